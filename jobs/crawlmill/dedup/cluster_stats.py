"""What a release says of each document it keeps: how many it stands for, where and when they were seen.

Aggregates of a release, never columns of a member's row: a further snapshot would change the sizes of old survivors and so rewrite
every old shard. `clusters` is the resolution for the release's own snapshots. Where a release has fewer snapshots than were
ingested, a filter on the table `clusters` would lose every group whose survivor lies outside: resolve those snapshots from `pairs`
instead (the job's functions `eligible_copies`, `edges`, `survivors`, `clusters`; edges only, no text and no set).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DOCUMENT = ("snapshot", "shard", "id")
SEEN = ("url", "date")  # of `documents`: all that the aggregates need beside the keys
CLASSES = ((1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5-9"), (10, "10-99"), (100, "100-999"), (1_000, "1000 and more"))


def sizes(clusters: DataFrame, documents: DataFrame) -> DataFrame:
    """A row per survivor.

    Args:
        clusters: rows of table `clusters`, resolved over the release's snapshots.
        documents: snapshot, shard, id, url, date of (at least) the same documents.

    Returns:
        snapshot, shard, id and content of the survivor; minhash_cluster_size (itself included), exact_copies, near_copies,
        urls and snapshots (distinct ones), first_seen and last_seen (least and greatest capture date). Sizes add up to the rows of
        `clusters`.
    """
    from pyspark.sql import functions as F

    seen = clusters.join(documents.select(*DOCUMENT, *SEEN), list(DOCUMENT), "left")
    kept = F.col("kind") == "survivor"
    head = F.max(F.when(kept, F.struct(*DOCUMENT)))
    grouped = seen.groupBy("survivor").agg(
        head.alias("head"),
        F.count("*").alias("minhash_cluster_size"),
        F.count(F.when(F.col("kind") == "exact", 1)).alias("exact_copies"),
        F.count(F.when(F.col("kind") == "near", 1)).alias("near_copies"),
        # Hashes of 64 bits stand for URLs: a set of strings of a large cluster would not fit a task.
        F.countDistinct(F.xxhash64("url")).alias("urls"),
        F.countDistinct("snapshot").alias("snapshots"),
        F.min("date").alias("first_seen"),
        F.max("date").alias("last_seen"),
    )
    columns = ("minhash_cluster_size", "exact_copies", "near_copies", "urls", "snapshots", "first_seen", "last_seen")
    return grouped.select("head.*", grouped["survivor"].alias("content"), *columns)


def by_class(found: DataFrame) -> DataFrame:
    """Clusters by class of size: clusters, documents, exact and near copies, distinct URLs, clusters of several snapshots."""
    from pyspark.sql import functions as F

    place = F.lit(0)
    for number, (first, _) in enumerate(CLASSES):
        place = F.when(F.col("minhash_cluster_size") >= first, number).otherwise(place)
    return (
        found.groupBy(place.alias("class"))
        .agg(
            F.count("*").alias("clusters"),
            F.sum("minhash_cluster_size").alias("documents"),
            F.sum("exact_copies").alias("exact_copies"),
            F.sum("near_copies").alias("near_copies"),
            F.sum("urls").alias("urls"),
            F.count(F.when(F.col("snapshots") > 1, 1)).alias("in_several_snapshots"),
        )
        .orderBy("class")
    )


def removals(everybody: DataFrame, verdicts: DataFrame) -> DataFrame:
    """(language, size, clusters, removed): of how many clusters of a size the document that stays is not eligible.

    Args:
        everybody: rows like those of `clusters`, but resolved as if every document were eligible: among the eligible ones alone
            nothing would be removed.
        verdicts: snapshot, shard, id, language, eligible of the same documents.
    """
    from pyspark.sql import functions as F

    head = F.max(F.when(F.col("kind") == "survivor", F.struct(*DOCUMENT)))
    grouped = everybody.groupBy("survivor").agg(head.alias("head"), F.count("*").alias("size")).select("head.*", "size")
    judged = grouped.join(verdicts.select(*DOCUMENT, "language", "eligible"), list(DOCUMENT))
    counts = judged.groupBy("language", "size")
    return counts.agg(F.count("*").alias("clusters"), F.count(F.when(~F.col("eligible"), 1)).alias("removed"))


def as_if_eligible(verdicts: DataFrame, before: tuple[str, ...]) -> DataFrame:
    """Verdicts in which only the named rules, those that come before dedup, can make a document ineligible.

    FineWeb2 tells the language before it deduplicates and filters afterwards: with the language rules in `before`, a weight is about
    the quality filters, as theirs is.
    """
    from pyspark.sql import functions as F

    early = F.exists("failed", lambda reason: reason["rule"].isin(*before)) if before else F.lit(False)
    return verdicts.withColumn("eligible", ~early)


def rows(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a small aggregate."""
    return [row.asDict() for row in frame.collect()]
