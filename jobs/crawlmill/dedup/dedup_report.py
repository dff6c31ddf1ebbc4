"""What the last dedup made of the lake, as numbers: sizes of clusters, and the weights that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawlmill.dedup import cluster_stats, rehydrate
from crawlmill.dedup.resolve import resolve
from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.protocol.stage import Context, Job

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LANGUAGE_RULES = ("language_score", "language_selected")
LARGEST = 5


def context(spark: Any, job: Job) -> Context:
    """The lake as the last released dedup saw it. Raises UserError where dedup has not passed."""
    table.require(job.lake, "runs")
    run = ledger.released(job.lake, "dedup", pins.EVERY)
    if run is None:
        raise UserError(f"dedup has not passed in the lake {job.lake}: ingest a snapshot and run dedup first")
    return Context(spark, job, pins.of(run))


def report(seen: Context) -> dict[str, Any]:
    """Clusters by class of size, totals, and the largest clusters with the document that stays.

    Keys: snapshots, documents, clusters, classes (rows of `cluster_stats.by_class`, `size` naming the class), largest.
    """
    found = cluster_stats.sizes(
        _clusters(seen), seen.read_all("documents", *cluster_stats.DOCUMENT, *cluster_stats.SEEN)
    ).persist()
    try:
        classes = [
            {"size": cluster_stats.CLASSES[row.pop("class")][1], **row}
            for row in cluster_stats.rows(cluster_stats.by_class(found))
        ]
        columns = ("minhash_cluster_size", "exact_copies", "near_copies", "urls", "snapshots", "first_seen", "last_seen", "id")
        largest = cluster_stats.rows(
            found.select(*columns).orderBy(found["minhash_cluster_size"].desc(), "content").limit(LARGEST)
        )
    finally:
        found.unpersist()
    return {
        "snapshots": pins.snapshots(seen.pins),
        "documents": sum(row["documents"] for row in classes),
        "clusters": sum(row["clusters"] for row in classes),
        "classes": classes,
        "largest": largest,
    }


def everybody(seen: Context, before: tuple[str, ...] = LANGUAGE_RULES) -> DataFrame:
    """Clusters of all documents that pass the rules in `before`, whatever the other rules say: from pairs alone, no set is read."""
    keys = list(cluster_stats.DOCUMENT)
    chosen = cluster_stats.as_if_eligible(seen.read_all("verdicts"), before).where("eligible").select(*keys)
    copies = seen.read_all("signatures", *keys, "content").join(chosen, keys)
    pairs = table.read(seen.spark, seen.job.lake, "pairs", seen.pins["pairs", pins.EVERY])
    return resolve(copies, pairs, seen.recipe.dedup)


def repeats(seen: Context, most: int, least: int = 100, before: tuple[str, ...] = LANGUAGE_RULES) -> dict[str, dict[int, int]]:
    """Language -> first size of a range -> rehydration weight up to `most`, from our own clusters and our own gate.

    `least`: how many clusters a size needs before its share says anything; greater sizes are one tail.
    """
    counts: dict[str, dict[int, tuple[int, int]]] = {}
    found = cluster_stats.removals(everybody(seen, before), seen.read_all("verdicts"))
    for row in cluster_stats.rows(found):  # languages times sizes
        counts.setdefault(row["language"], {})[row["size"]] = (row["clusters"], row["removed"])
    weights = {}
    for language, of_size in sorted(counts.items()):
        held = rehydrate.distribution(of_size, least)
        weights[language] = rehydrate.ranges(held.sizes, rehydrate.weights(held.rates, held.overall, most))
    return weights


def _clusters(seen: Context) -> DataFrame:
    return table.read(seen.spark, seen.job.lake, "clusters", seen.pins["clusters", pins.EVERY])
