"""Who changed side: what a consumer of `clusters` has to do again, from the table's change feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawlmill.lake import table, table_log

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def sides(spark: SparkSession, lake: str, since: int, until: int) -> DataFrame | None:
    """(snapshot, shard, id, side) of documents that stay now and did not (`came`), or did and do not any more (`left`).

    Args:
        spark: session.
        lake: where `clusters` is.
        since: the version of `clusters` that the consumer has seen.
        until: the version that it wants to see; equal to `since`, nothing changed.

    Returns:
        A row a document that changed side between the two; None where the feed cannot tell, because its log is gone or the table was
        made anew: then everything has to be looked at.
    """
    if since > until or not table_log.unbroken(lake, "clusters", since, until):
        return None
    if since == until:
        rows = spark.createDataFrame([], "snapshot string, shard int, id string, kind string, _change_type string")
    else:
        reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", since + 1)
        rows = reader.option("endingVersion", until).load(table.path(lake, "clusters"))
    # An insert or a new image adds, a delete or an old image takes away: what is left over is what changed from first to last.
    weight = "sum(CASE WHEN _change_type IN ('insert', 'update_postimage') THEN 1 ELSE -1 END)"
    counted = spark.sql(
        f"SELECT snapshot, shard, id, {weight} AS weight FROM {{rows}} WHERE kind = 'survivor' GROUP BY snapshot, shard, id",
        None,
        rows=rows,
    )
    return counted.where("weight <> 0").selectExpr(
        "snapshot", "shard", "id", "CASE WHEN weight > 0 THEN 'came' ELSE 'left' END AS side"
    )
