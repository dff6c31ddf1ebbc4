"""The protocol of every stage: arguments, session, pinned inputs, transform, fenced commit, reconciled counts, audit, ledger.

A stage is a declaration and a pure transform (one file of `jobs/`); everything that makes a run exact is here and in the modules that
this one calls. First run, retry, backfill and re-run are the same call and leave the same rows.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import crawlmill
from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure, UserError
from crawlmill.lake import failpoint, fence, intact, ledger, pins, superseded, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.lake.pins import Pins
from crawlmill.lake.snapshot import RESERVED, Listing
from crawlmill.layout import jobs_dir
from crawlmill.protocol import answers, session
from crawlmill.recipes.recipe import Recipe
from crawlmill.storage import log_store, space

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMES = ("extract", "identify", "rewrite", "measure", "sketch", "gate", "recycle", "dedup", "publish")
PER_SNAPSHOT = NAMES[:7]
Outputs = Mapping[str, "DataFrame"]
INCOMPLETE = "crawl files that could not be fetched"  # a run with this digest is never up to date


@dataclass(frozen=True)
class Job:
    """What one call of a stage is to do: the typed arguments."""

    lake: str
    recipe: Recipe
    source: str
    snapshot: str = pins.EVERY
    shards: list[int] | None = None
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    force: bool = False


@dataclass
class Context:
    """What a transform sees: the session, the pinned inputs, its part of the recipe.

    `given` are rows that take the place of a table's: how derived documents go through the same transforms.
    `digests` goes into the ledger, `notes` are what a transform tells the stage's own commit and check.
    """

    spark: SparkSession
    job: Job
    pins: Pins
    listing: Listing | None = None
    digests: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    given: dict[str, DataFrame] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    def pinned(self, name: str) -> dict[str, int]:
        """The version of each pinned snapshot of a table."""
        return {snapshot: at for (pinned, snapshot), at in self.pins.items() if pinned == name}

    def read(self, name: str, *columns: str) -> DataFrame:
        """The job's partitions of a table, at the version at which they passed."""
        if name in self.given:
            rows = self.given[name]
        else:
            at = self.pins[name, self.job.snapshot]
            rows = table.read(self.spark, self.job.lake, name, at, table.partition(self.job.snapshot, self.job.shards))
        return rows.select(*columns) if columns else rows

    def has(self, name: str) -> bool:
        """Whether the job's partitions of a table, which only some recipes ask for, can be read."""
        return name in self.given or (name, self.job.snapshot) in self.pins

    def read_all(self, name: str, *columns: str) -> DataFrame:
        """The partitions of every pinned snapshot, each at its own version."""
        rows = table.read_pinned(self.spark, self.job.lake, name, self.pinned(name))
        return rows.select(*columns) if columns else rows


@dataclass(frozen=True)
class Stage:
    """A stage's declaration.

    Attributes:
        name: of the stage, its job file, its task group.
        reads: tables it reads, at pinned versions.
        writes: tables it writes.
        recipe: sections of the recipe that decide its bytes.
        version: of the transform; raise it when the same recipe gives other rows.
        transform: pinned inputs to rows, a table each.
        commit: writes the rows; by default each table's own partitions are replaced.
        optional: tables it writes only where the recipe asks.
        borrows: tables of other stages of which it writes the reserved shards, those of derived documents.
        also: further pins and upstream keys that the job's recipe asks for.
        keep: whether its outputs are worked out and kept before the table's lock is taken; False where the transform has done the work.
        preflight: what can be known to be missing before Spark starts; raises UserError.
        reconcile: counts what was read and what was written; raises CriticalFailure where they do not match.
    """

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    recipe: tuple[str, ...]
    version: int
    transform: Callable[[Context], Outputs]
    reconcile: Callable[[Context, dict[str, int]], list[dict[str, Any]]]
    commit: Callable[[Context, table.Commit, Outputs], dict[str, int]] | None = None
    preflight: Callable[[Recipe], object] | None = None
    optional: tuple[str, ...] = ()
    borrows: tuple[str, ...] = ()
    also: Callable[[Job], tuple[Pins, dict[str, str]]] | None = None
    keep: bool = True

    @property
    def per_snapshot(self) -> bool:
        return self.name in PER_SNAPSHOT

    def owns(self, name: str) -> list[int] | None:
        """The shards of a table that it writes; None for all."""
        return list(RESERVED) if name in self.borrows else None


def key(stage: Stage, recipe: Recipe, upstream: Mapping[str, str]) -> str:
    """The stage's key: equal keys mean equal rows.

    Made of the transform's version, the major versions of the contracts that it writes (a new one starts an empty table), the recipe's
    slice and the keys of what it reads.
    """
    parts = {
        "stage": stage.name,
        "version": [stage.version, *(contract.load(name).major for name in (*stage.writes, *stage.borrows))],
        "recipe": recipe.slice(stage.recipe),
        "upstream": dict(sorted(upstream.items())),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def load(name: str) -> Stage:
    """The stage declared in `jobs/<name>.py`."""
    path = jobs_dir() / f"{name}.py"
    if name not in NAMES or not path.is_file():
        raise UserError(f"there is no stage {name!r}; the stages are {', '.join(NAMES)}")
    spec = importlib.util.spec_from_file_location(f"crawlmill_jobs_{name}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"stage file {path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    stage = module.STAGE
    if not isinstance(stage, Stage):
        raise UserError(f"{path} declares no STAGE")
    return stage


def wanted(name: str, recipe: Recipe) -> bool:
    """Whether a recipe has work for a stage."""
    return name != "recycle" or bool(recipe.recycle.hooks)


def resolve(stage: Stage, job: Job) -> tuple[Pins, str, Listing | None]:
    """Pins, stage key and crawl listing of a job. Raises UserError where an input is missing."""
    from crawlmill.protocol import crawl

    if stage.name == "extract":
        listing = crawl.listing(job.source, job.snapshot, job.recipe)
        return {}, key(stage, job.recipe, {"listing": listing.digest}), listing
    if stage.per_snapshot:
        found, upstream = pins.for_snapshot(job.lake, stage.name, job.snapshot, stage.reads)
        if stage.also:
            more, keys = stage.also(job)
            found, upstream = found | more, upstream | keys
        return found, key(stage, job.recipe, upstream), None
    if stage.name == "dedup":
        found, upstream = pins.ingested(job.lake, wanted("recycle", job.recipe))
        if not found:
            raise UserError("dedup needs a snapshot that has passed gate and sketch: ingest one first")
        return found, key(stage, job.recipe, upstream), None
    run = ledger.released(job.lake, "dedup", pins.EVERY)
    if run is None:
        raise UserError(f"{stage.name} needs what dedup writes, and dedup has not passed: run dedup first")
    superseded.refuse(job.lake, pins.of(run))
    answers.require(job.lake)
    return pins.of(run), key(stage, job.recipe, {"dedup": run.stage_key}), None


def up_to_date(stage: Stage, job: Job, stage_key: str, found: Pins) -> RunRow | None:
    """The released run that already did this job on these inputs, if it is the last that was judged and its tables are intact."""
    run = ledger.verdict(job.lake, stage.name, job.snapshot)
    if run is None or run.verdict not in ledger.RELEASED or INCOMPLETE in run.digests:
        return None
    if run.stage_key != stage_key or run.inputs != pins.rows(found):
        return None
    return None if intact.of_run(job.lake, run) else run


def run(stage: Stage, job: Job, spark: SparkSession | None = None, say: Callable[[str], None] = lambda line: None) -> RunRow:
    """Do a job. Returns the ledger's row; raises UserError, CriticalFailure, Fenced, AnswerNeeded.

    Args:
        stage: what to run.
        job: on which snapshot and shards, with which recipe.
        spark: a session to use; one is built where none is given.
        say: told of progress, a line at a time.
    """
    started = time.time()
    if job.shards is not None and stage.name != "extract":
        raise UserError(f"{stage.name} takes a snapshot as a whole: leave --shards to extract")
    if stage.preflight:
        stage.preflight(job.recipe)
    found, stage_key, listing = resolve(stage, job)
    table.create_all(job.lake)
    done = None if job.force else up_to_date(stage, job, stage_key, found)
    if done:
        say(f"{stage.name} {job.snapshot}: up to date since run {done.run_id}")
        return done
    intact.require(job.lake, stage.name, job.snapshot, found, stage.reads, (*stage.writes, *stage.borrows))
    space.require(job.lake)
    known = max((row.fence for row in ledger.runs(job.lake)), default=0)
    token = fence.draw(job.lake, stage.name, job.snapshot, job.shards, job.run_id, known)
    failpoint.hit(f"{stage.name}:started")
    if spark is None:
        spark = session.build(f"crawlmill {stage.name} {job.snapshot}", job.lake)
    log_store.require(spark, job.lake)
    session.suit(spark, _input_size(stage, job, listing))
    row = RunRow(
        run_id=job.run_id,
        stage=stage.name,
        snapshot=job.snapshot,
        shards=job.shards,
        stage_key=stage_key,
        verdict="committed",
        inputs=pins.rows(found),
        code_version=crawlmill.__version__,
        fence=token,
    )
    context = Context(spark, job, found, listing)
    try:
        _write(stage, context, row)
    except CriticalFailure as error:
        ledger.append_run(job.lake, replace(row, verdict="failed", message=str(error), seconds=time.time() - started))
        raise
    row.seconds = time.time() - started
    from crawlmill.protocol import seal

    return seal.settle(stage, context, row, say)


def _input_size(stage: Stage, job: Job, listing: Listing | None) -> int:
    """Bytes of the documents that a job works on; of extract a quarter of its crawl files', which is what documents take in tables, or less."""
    if listing is None:
        return table_log.size(job.lake, "documents", job.snapshot if stage.per_snapshot else None)
    from crawlmill.sources.fetch import stored_bytes

    return stored_bytes(job.source, [path for _, path in listing.files(job.shards)]) // 4


def _write(stage: Stage, context: Context, row: RunRow) -> None:
    """Transform, commit, reconcile; versions and counts go into the row."""
    job = context.job
    identity: dict[str, Any] = {"run_id": job.run_id, "stage_key": row.stage_key, "code": crawlmill.__version__}
    if stage.name == "extract" and (lists := job.recipe.extract.select.list_hashes()):
        identity["lists"] = lists
    commit = table.Commit(job.lake, stage.name, job.snapshot, job.shards, row.fence, identity)
    try:
        outputs = stage.transform(context)
        if stage.keep:  # the work is done here, so that the table's lock is held for the copying only
            outputs = {name: rows.persist() for name, rows in outputs.items()}
            for rows in outputs.values():
                rows.count()
        versions = (stage.commit or replace_partitions)(context, commit, outputs)
    finally:
        context.spark.catalog.clearCache()  # the outputs and what transforms kept
    failpoint.hit(f"{stage.name}:before_ledger")
    row.outputs = [{"table": name, "version": at} for name, at in sorted(versions.items())]
    row.counts = stage.reconcile(context, versions)
    row.digests = context.digests


def replace_partitions(context: Context, commit: table.Commit, outputs: Outputs) -> dict[str, int]:
    """Commit each table's partitions of this job; returns the versions."""
    versions = {}
    for name, rows in outputs.items():
        versions[name] = commit.replace(name, rows)
        failpoint.hit(f"{commit.stage}:committed:{name}")
    return versions


def judge(row: RunRow, messages: list[str]) -> None:
    """Raise CriticalFailure for a run whose expectations failed."""
    if row.verdict == "failed":
        raise CriticalFailure(
            f"{row.stage} of {row.snapshot} wrote rows that break a contract and are not released: " + "; ".join(messages)
        )
