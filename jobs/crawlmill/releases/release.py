"""A release: a named physical copy of what a set of snapshots keeps, with everything that is needed to say what a model was trained on.

Survivors are resolved among the documents of the set, from stored pairs alone: a filter on `corpus` or `clusters` would lose every text whose survivor
lies in another snapshot. The copy is a Delta table of its own with the columns of `corpus` and what each document stands for; beside it lie a manifest
and a data card. A release is written once: the manifest comes last, and a name with a manifest is never written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import crawlmill
from crawlmill.dedup import cluster_stats, dedup_report
from crawlmill.dedup.rehydrate import weight_of
from crawlmill.dedup.resolve import resolve
from crawlmill.errors import CriticalFailure, UserError
from crawlmill.lake import fence, intact, ledger, pins, snapshot, superseded, table
from crawlmill.protocol.stage import Context, Job
from crawlmill.recipes.recipe import canonical_hash
from crawlmill.releases import release_card
from crawlmill.rows.corpus_rows import corpus_rows
from crawlmill.rows.final_text import KEYS
from crawlmill.storage import lake_files, log_store

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST = 10  # greatest rehydration weight where none is said
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
STANDS_FOR = ("minhash_cluster_size", "exact_copies", "near_copies", "urls", "snapshots", "first_seen", "last_seen")
DOCUMENT = list(cluster_stats.DOCUMENT)


def root(lake: str, name: str) -> str:
    """Where a release lies. Raises UserError for a name that is none."""
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no name for a release: give lower-case letters, digits, points and dashes, like web-2026.10, at most 64"
        )
    return f"{lake}/releases/{name}"


def withdrawn(lake: str, name: str) -> dict[str, Any] | None:
    """What a release that a takedown has withdrawn said of itself, with `withdrawn`: the order and the successor's name."""
    held = lake_files.read(root(lake, name), "withdrawn.json")
    found: dict[str, Any] | None = json.loads(held) if held else None
    return found


def manifest(lake: str, name: str) -> dict[str, Any] | None:
    """What a finished release says of itself; None where there is none of that name."""
    held = lake_files.read(root(lake, name), "manifest.json")
    found: dict[str, Any] | None = json.loads(held) if held else None
    return found


def names(lake: str) -> list[str]:
    """The finished releases of a lake."""
    found = (name.split("/") for name in lake_files.names(lake, "releases"))
    return sorted(parts[1] for parts in found if len(parts) == 3 and parts[2] == "manifest.json")


def missing(lake: str, snapshots: Sequence[str]) -> list[str]:
    """The snapshots of a set that the last released dedup has not settled in their present state: what a release waits for."""
    run = ledger.released(lake, "dedup", pins.EVERY)
    settled, (now, _) = pins.of(run) if run else {}, pins.ingested(lake)

    def state(found: pins.Pins, name: str) -> pins.Pins:
        return {key: at for key, at in found.items() if key[1] == name}

    return [name for name in snapshots if not state(now, name) or not state(now, name).items() <= settled.items()]


def build(
    spark: SparkSession, job: Job, name: str, snapshots: Sequence[str], most: int = MOST, say: Any = print,
    replaces: dict[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write a release; returns its manifest. A release of this name with the same content is left as it is.

    Args:
        spark: session.
        job: lake and recipe.
        name: of the release.
        snapshots: ids of the set, in any order.
        most: greatest rehydration weight.
        say: told of progress.
        replaces: which release it takes the place of, by which takedown order; goes into the manifest.

    Raises:
        UserError: a wrong name, snapshots that are not ingested and settled, a release of this name with other content.
        AnswerNeeded: a quality warning waits for a person.
        CriticalFailure: the copy does not hold the survivors.
    """
    seen, key = prepare(spark, job, name, snapshots, most)
    target = root(job.lake, name)
    log_store.require(spark, job.lake)
    with fence.lock(job.lake, f"release@{name}"):
        if done := manifest(job.lake, name):
            if done["key"] != key:
                raise UserError(f"release {name} exists and holds something else: choose another name, or take it down first")
            say(f"release {name} is already there, with the same content")
            return done
        lake_files.remove(job.lake, f"releases/{name}")  # what an attempt has left that died
        written = _write(seen, target, most, say)
        entry = _manifest(seen, name, key, written) | {"greatest_weight": most, "replaces": replaces}
        lake_files.replace(target, "README.md", release_card.card(entry).encode())
        lake_files.replace(target, "manifest.json", (json.dumps(entry, indent=1, ensure_ascii=False) + "\n").encode())
    return manifest(job.lake, name) or entry


def prepare(spark: SparkSession | None, job: Job, name: str, snapshots: Sequence[str], most: int) -> tuple[Context, str]:
    """The pinned inputs of a release, and its key: equal keys mean equal rows."""
    from crawlmill.protocol import answers

    if gone := withdrawn(job.lake, name):
        raise UserError(
            f"release {name} was withdrawn by {gone['withdrawn']['order']}: release {gone['withdrawn']['successor']} takes its place"
        )
    chosen = sorted({snapshot.parse(each) for each in snapshots})
    if not chosen:
        raise UserError("a release needs snapshots: name those that it is made of")
    table.require(job.lake, "runs")
    if lacking := missing(job.lake, chosen):
        raise UserError(
            f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not ingested and deduplicated yet: do that first"
        )
    answers.require(job.lake)
    intact.refuse(intact.of_lake(job.lake))
    run = ledger.released(job.lake, "dedup", pins.EVERY)
    superseded.refuse(job.lake, pins.of(run) if run else {})
    found = {key: at for key, at in (pins.of(run) if run else {}).items() if key[1] in (*chosen, pins.EVERY)}
    parts = {
        "pins": pins.rows(found),
        "recipe": job.recipe.slice(("dedup", "publish")),
        "weights": most,
        "code": crawlmill.__version__,
    }
    return Context(spark, replace(job, snapshot=pins.EVERY), found), canonical_hash(parts)  # type: ignore[arg-type]


def _write(seen: Context, target: str, most: int, say: Any) -> dict[str, Any]:
    """The rows, a commit a snapshot; returns counts, digest, weights."""
    from pyspark.sql import functions as F

    say(f"resolving survivors among {', '.join(pins.snapshots(seen.pins))}")
    copies = seen.read_all("signatures", *DOCUMENT, "content").join(
        seen.read_all("verdicts").where("eligible").select(*DOCUMENT), DOCUMENT
    )
    pairs = table.read(seen.spark, seen.job.lake, "pairs", seen.pins["pairs", pins.EVERY])
    clusters = resolve(copies, pairs, seen.recipe.dedup).persist()
    kept = cluster_stats.sizes(clusters, seen.read_all("documents", *DOCUMENT, *cluster_stats.SEEN)).persist()
    try:
        weights = dedup_report.repeats(seen, most)
        for name in pins.snapshots(seen.pins):
            say(f"writing what is kept of {name}")
            own = rows(seen, name, kept.where(F.col("snapshot") == name), weights).write.format("delta").partitionBy("snapshot")
            # In a bucket a lock may run out: should two attempts overlap, the rows are the same, and there once.
            own.mode("overwrite").option("replaceWhere", table.partition(name)).save(f"{target}/corpus")
        due = kept.count()
    finally:
        kept.unpersist()
        clusters.unpersist()
    written = seen.spark.read.format("delta").load(f"{target}/corpus")
    languages = [row.asDict() for row in written.groupBy("snapshot", "language", "language_script").agg(
        F.count("*").alias("documents"), F.sum(F.length("text")).alias("characters"), F.sum(F.octet_length("text")).alias("bytes"),
        F.sum("minhash_cluster_size").alias("stands_for"), F.bit_xor(F.xxhash64(*written.columns)).alias("digest"),
    ).orderBy("snapshot", "language", "language_script").collect()]  # fmt: skip
    if sum(row["documents"] for row in languages) != due:
        raise CriticalFailure(
            f"the copy holds {sum(row['documents'] for row in languages)} documents of {due}: build the release again"
        )
    return {"languages": languages, "weights": weights}


def rows(seen: Context, name: str, kept: DataFrame, weights: dict[str, dict[int, int]]) -> DataFrame:
    """The release's rows of a snapshot: the columns of `corpus`, what the document stands for, its rehydration weight."""
    from pyspark.sql import functions as F

    def read(of: str) -> DataFrame:
        return table.read(seen.spark, seen.job.lake, of, seen.pins[of, name], table.partition(name))

    weight = F.udf(lambda language, size: weight_of(size, weights[language]) if language in weights else 1, "int")
    told = kept.select(*KEYS, *STANDS_FOR).join(read("languages").select(*KEYS, "language"), KEYS)
    weighed = told.withColumn("rehydration_weight", weight("language", "minhash_cluster_size"))
    return corpus_rows(read, weighed, (*STANDS_FOR, "rehydration_weight"))


def _manifest(seen: Context, name: str, key: str, written: dict[str, Any]) -> dict[str, Any]:
    """Everything that a reader of the release can ask: which rows, of which versions, by which recipe and code."""
    languages = written["languages"]
    chosen = pins.snapshots(seen.pins)
    stage_keys = {
        f"{run.stage}@{run.snapshot}": run.stage_key
        for run in ledger.runs(seen.job.lake)
        if run.verdict in ledger.RELEASED and run.snapshot in (*chosen, pins.EVERY)
    }
    total = {what: sum(row[what] for row in languages) for what in ("documents", "characters", "bytes", "stands_for")}
    return {
        "name": name, "key": key, "snapshots": chosen, "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": crawlmill.__version__, "pins": pins.rows(seen.pins), "stage_keys": stage_keys, "total": total,
        "languages": [{**row, "digest": f"{row['digest'] & (1 << 64) - 1:016x}"} for row in languages],
        "rehydration_weights": written["weights"], "recipe": seen.recipe.slice(),
    }  # fmt: skip
