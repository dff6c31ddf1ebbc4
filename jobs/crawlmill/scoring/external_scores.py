"""Scores that a job elsewhere gave: loaded into table `external_scores` without Spark, joined by id to what measure writes.

Loading the same scores again changes nothing; other scores of the same scorer and version for a snapshot take the place of the earlier ones. What
is loaded for a snapshot is known by its digest, which is in the key of the stage that joins it.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.lake import fence, ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.rows.final_text import KEYS
from crawlmill.text import selection

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from crawlmill.lake.pins import Pins
    from crawlmill.protocol.stage import Context, Job
    from crawlmill.recipes.recipe_scorers import Scorer

TABLE, STAGE = "external_scores", "load-scores"
Found = dict[tuple[str, str], dict[str, tuple[float, dict[str, str] | None]]]  # (scorer, version) -> id -> value, metadata


@dataclass(frozen=True)
class Loaded:
    """What a load did: rows that were given, those of documents, and whether the table changed."""

    given: int
    known: int
    changed: bool


def read(rows: Iterable[dict[str, Any]], name: str) -> Found:
    """Scores of rows with id, scorer, version, value and, where there is any, metadata.

    Raises:
        UserError: a row lacks one of these, a value is no finite number, or a document has two different scores of one scorer and version.
    """
    found: Found = {}
    for number, row in enumerate(rows, 1):
        missing = [key for key in ("id", "scorer", "version", "value") if row.get(key) in (None, "")]
        if missing:
            raise UserError(f"{name} row {number} has no {missing[0]}: each row needs id, scorer, version and value")
        try:
            value = float(row["value"])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{name} row {number}: {row['value']!r} is no finite number: leave out documents without a score")
        said = row.get("metadata")
        metadata = {str(key): str(text) for key, text in sorted(dict(said).items())} if said else None
        own = found.setdefault((str(row["scorer"]), str(row["version"])), {})
        if own.setdefault(str(row["id"]), (value, metadata))[0] != value:
            raise UserError(f"{name} row {number}: {row['id']} has two scores of {row['scorer']} {row['version']}: give one")
    return found


def load(lake: str, snapshot: str, found: Found) -> Loaded:
    """Put scores into the table; scores of ids that the snapshot has no document of are left out and counted.

    Raises:
        UserError: extract has not passed for the snapshot.
    """
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    started = time.time()
    table.create_all(lake)
    shards = _shards(lake, snapshot)
    fresh = [
        {
            "snapshot": snapshot,
            "shard": shard,
            "id": id_,
            "scorer": scorer,
            "scorer_version": version,
            "value": value,
            "metadata": metadata,
        }
        for (scorer, version), values in sorted(found.items())
        for id_, (value, metadata) in sorted(values.items())
        for shard in shards.get(id_, ())
    ]
    given = sum(len(values) for values in found.values())
    token = fence.draw(lake, STAGE, snapshot, None, "load", max((run.fence for run in ledger.runs(lake)), default=0))
    with fence.commits(lake, TABLE):
        target = DeltaTable(table.path(lake, TABLE))
        fence.check(lake, STAGE, snapshot, None, token)  # after the state was read: what is written on another state conflicts
        data = target.to_pyarrow_table(partitions=[("snapshot", "=", snapshot)])
        kept = [row for row in data.to_pylist(maps_as_pydicts="strict") if (row["scorer"], row["scorer_version"]) not in found]
        rows = sorted([*kept, *fresh], key=lambda row: (row["scorer"], row["scorer_version"], row["shard"], row["id"]))
        digest = _digest(rows)
        before = ledger.released(lake, STAGE, snapshot)
        if before and before.stage_key == digest:
            return Loaded(given, len(fresh), False)
        schema = ledger.plain(pa.schema(target.schema().to_arrow()))
        for row in rows:
            row["metadata"] = sorted(row["metadata"].items()) if row["metadata"] else None
        write_deltalake(target, pa.Table.from_pylist(rows, schema=schema), mode="overwrite", predicate=f"snapshot = '{snapshot}'")
        at = table.version(lake, TABLE)
    ledger.append_run(
        lake,
        RunRow(
            run_id=f"load-{uuid.uuid4().hex[:12]}", stage=STAGE, snapshot=snapshot, stage_key=digest, verdict="passed", fence=token,
            outputs=[{"table": TABLE, "version": at}], seconds=time.time() - started,
            message=None if len(fresh) >= given else f"{given - len(fresh)} scores are of no document of {snapshot}",
        ),
    )  # fmt: skip
    return Loaded(given, len(fresh), True)


def _shards(lake: str, snapshot: str) -> dict[str, list[int]]:
    """The shards in which each id of a snapshot lies."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    run = ledger.released(lake, "extract", snapshot)
    if run is None:
        raise UserError(
            f"extract has not passed for {snapshot}, so there are no documents that scores could be of: ingest it first"
        )
    data = DeltaTable(table.path(lake, "documents"), version=run.output("documents")).to_pyarrow_dataset()
    found: dict[str, list[int]] = {}
    for batch in data.to_batches(columns=["id", "shard"], filter=ds.field("snapshot") == snapshot):
        for id_, shard in zip(batch.column("id").to_pylist(), batch.column("shard").to_pylist(), strict=True):
            found.setdefault(id_, []).append(shard)
    return found


def _digest(rows: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps({**row, "metadata": row["metadata"] or None}, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def pinned(job: Job) -> tuple[Pins, dict[str, str]]:
    """What measure reads of the table, and its key: nothing where the recipe names no external scorer or none is loaded."""
    if not any(scorer.kind == "external" for scorer in job.recipe.measure.scorers.values()):
        return {}, {}
    run = ledger.released(job.lake, STAGE, job.snapshot)
    if run is None:
        return {}, {STAGE: "nothing"}
    return {(TABLE, job.snapshot): run.output(TABLE)}, {STAGE: run.stage_key}


def joined(signals: DataFrame, context: Context) -> DataFrame:
    """Rows of `signals` with the scores that are not worked out from the text: external ones by id, then buckets. Only narrow rows are joined."""
    from pyspark.sql import functions as F

    scorers = context.recipe.measure.scorers
    external = {name: scorer for name, scorer in scorers.items() if scorer.kind == "external"}
    if external:
        loaded = (TABLE, context.job.snapshot) in context.pins
        if loaded:
            signals = signals.join(F.broadcast(_by_document(context.read(TABLE), external)), KEYS, "left")
        entries = []
        for name, scorer in external.items():
            value = F.col(f"_{name}") if loaded else F.lit(None).cast("double")
            entries += [F.lit(name), _valid(scorer, value)]
        signals = signals.withColumn("scores", F.map_concat("scores", F.create_map(*entries)))
        signals = signals.drop(*(f"_{name}" for name in external))
    for name, scorer in scorers.items():
        if scorer.kind in MADE:
            signals = signals.withColumn("scores", F.map_concat("scores", F.create_map(F.lit(name), MADE[scorer.kind](scorer))))
    return signals


def _by_document(rows: DataFrame, external: dict[str, Scorer]) -> DataFrame:
    from pyspark.sql import functions as F

    columns = []
    for name, scorer in external.items():
        own = (F.col("scorer") == (scorer.scorer or name)) & (F.col("scorer_version") == scorer.version)
        columns.append(F.max(F.when(own, F.col("value"))).alias(f"_{name}"))
    return rows.groupBy(*KEYS).agg(*columns)


def _bucket(scorer: Scorer) -> Column:
    """The greatest of the buckets of some scores: how many cut points each reaches; null where there is no score, or in another language."""
    from pyspark.sql import functions as F

    cuts = _cuts(scorer)
    found: list[Column] = []
    for name in scorer.of:
        value = F.col("scores").getItem(name)
        reached = sum(((value >= F.lit(float(cut))).cast("double") for cut in cuts[name]), F.lit(0.0))
        found.append(F.when(value.isNotNull(), reached))
    greatest = F.greatest(*found) if len(found) > 1 else found[0]
    return _valid(scorer, greatest)


def _cuts(scorer: Scorer) -> dict[str, Any]:
    path = layout.model_path(str(scorer.path))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["cuts"]
    return found


def _by_language(scorer: Scorer) -> tuple[Column, Callable[[int], Column]]:
    """The score that a scorer is made of, and the percentiles of the document's language; both null where either is missing."""
    from pyspark.sql import functions as F

    (name,) = scorer.of
    table = _cuts(scorer)[name]
    known = F.create_map(
        *(F.lit(part) for language, own in sorted(table.items()) for part in (language, [float(cut) for cut in own]))
    )
    own = F.try_element_at(known, F.col("language"))
    value = F.col("scores").getItem(name)
    return F.when(own.isNotNull() & ~F.isnan(value), value), own.getItem


def _ccnet(scorer: Scorer) -> Column:
    """CCNet's parts: 0 head, below the language's 30th percentile of perplexity, 1 middle, below the 60th, 2 tail."""

    value, cut = _by_language(scorer)
    part = (value >= cut(0)).cast("double") + (value >= cut(1)).cast("double")
    return _valid(scorer, part)


def _bertin(scorer: Scorer) -> Column:
    """BERTIN's sampling: the probability that its formula gives the document, less a number in 0 to 1 that hangs on its id and the seed.

    The same as `selection.bertin_gaussian`, `bertin_stepwise` and `chance`: at least 0 is kept.
    """
    from pyspark.sql import functions as F

    value, cut = _by_language(scorer)
    if scorer.form == "gaussian":
        away = (value - cut(1)) / cut(1)
        kept = F.lit(scorer.factor or selection.GAUSSIAN) * F.exp(-away * away / F.lit(selection.WIDTH))
    else:
        width = F.when(value < cut(0), cut(0)).when(value < cut(1), cut(1) - cut(0)).when(value < cut(2), cut(2) - cut(1))
        kept = F.least(F.lit(1.0), F.lit(scorer.factor or selection.STEPWISE) / width.otherwise(cut(2) * 10))
    digest = F.sha2(F.concat(F.lit(f"{scorer.seed}\0"), F.col("id")).cast("binary"), 256)
    digits = selection.CHANCE_DIGITS
    chance = (F.conv(F.substring(digest, 1, digits), 16, 10).cast("double") + 0.5) / F.lit(float(16**digits))
    return _valid(scorer, F.when(value.isNotNull(), kept - chance))


MADE = {"buckets": _bucket, "ccnet": _ccnet, "bertin": _bertin}


def _valid(scorer: Scorer, value: Column) -> Column:
    """The value in the scorer's languages, else null."""
    from pyspark.sql import functions as F

    return value if scorer.languages is None else F.when(F.col("language").isin(list(scorer.languages)), value)
