"""The pages that recycling would rewrite, read without Spark: what an estimate of it rests on. As `jobs/recycle.py` chooses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from crawlmill.lake.snapshot import MAX_SHARDS
from crawlmill.rows.lookup import dataset, part
from crawlmill.text import recycle, rules, signals

if TYPE_CHECKING:
    import pyarrow as pa

    from crawlmill.recipes.recipe import Recipe

LABELS = ("language", "language_script", *rules.ANNOTATIONS)


def batches(lake: str, snapshot: str, at: Mapping[str, int], recipe: Recipe) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(shard, batch) as `recycle_batch` reads them, shard by shard.

    Args:
        lake: folder of the tables.
        snapshot: that has passed the gate.
        at: the version of each table, by name.
        recipe: its sections gate and recycle choose.
    """
    import pyarrow as pa

    for shard, failed in sorted(candidates(lake, snapshot, at["verdicts"], recipe).items()):

        def rows(table: str, columns: list[str], shard: int = shard) -> Iterator[dict[str, Any]]:
            data = dataset(lake, table, at[table])
            for batch in data.to_batches(columns=columns, filter=part(snapshot, shard)):
                yield from batch.to_pylist(maps_as_pydicts="strict")

        narrow = {row["id"]: row for row in rows("signals", ["id", "scores", *signals.SIGNALS]) if row["id"] in failed}
        for row in rows("languages", ["id", *LABELS]):
            if row["id"] in narrow:
                narrow[row["id"]] |= row
        texts = {row["id"]: row["text"] for row in rows("rewrites", ["id", "text"]) if row["id"] in failed}
        for row in rows("documents", ["snapshot", "shard", "id", "url", "title", "text"]):
            if row["id"] in narrow:
                whole = {**row, **narrow[row["id"]], "failed": failed[row["id"]], "text": texts.get(row["id"], row["text"])}
                yield shard, pa.RecordBatch.from_pylist([whole])


def candidates(lake: str, snapshot: str, at: int, recipe: Recipe) -> dict[int, dict[str, list[str]]]:
    """Shard -> id -> failed rules of the pages that may be rewritten; of a page that stands in several shards, the one of least number."""
    allowed = set(recycle.open_to(recipe.gate, recipe.recycle))
    barred = recycle.barring(recipe.gate, recipe.recycle)
    first: dict[str, tuple[int, list[str]]] = {}
    columns = ["shard", "id", "eligible", "failed", "flagged"]
    for batch in dataset(lake, "verdicts", at).to_batches(columns=columns, filter=part(snapshot)):
        for row in batch.to_pylist():
            failed = [broken["rule"] for broken in row["failed"] or ()]
            flagged = {broken["rule"] for broken in row["flagged"] or ()}
            if row["shard"] >= MAX_SHARDS or not allowed.issuperset(failed) or flagged & barred:
                continue
            if (recipe.recycle.eligible or not row["eligible"]) and row["shard"] < first.get(row["id"], (MAX_SHARDS, []))[0]:
                first[row["id"]] = row["shard"], failed
    found: dict[int, dict[str, list[str]]] = {}
    for identity, (shard, failed) in first.items():
        found.setdefault(shard, {})[identity] = failed
    return found
