"""How much of the corpus may be derived: which derived documents are left out so that a share of a snapshot's tokens is not passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawlmill.lake.snapshot import MAX_SHARDS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

DOCUMENT = ["snapshot", "shard", "id"]


def left_out(survivors: DataFrame, share: float) -> DataFrame:
    """(snapshot, shard, id) of the derived documents that do not fit.

    Those of smallest hash of their id stay, as long as they and those before them have at most `share` of the tokens that are then published
    of their snapshot: a choice that no run and no other snapshot changes.

    Args:
        survivors: (snapshot, shard, id, tokens) of all documents that dedup kept, whole snapshots.
        share: of all published tokens, below 1.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    derived = F.col("shard") >= MAX_SHARDS
    room = survivors.groupBy("snapshot").agg(
        (F.coalesce(F.sum(F.when(~derived, F.col("tokens"))), F.lit(0)) * F.lit(share / (1 - share))).alias("room")
    )
    order = Window.partitionBy("snapshot").orderBy(F.xxhash64("id"), "id").rowsBetween(Window.unboundedPreceding, 0)
    taken = survivors.where(derived).withColumn("taken", F.sum("tokens").over(order))
    return taken.join(F.broadcast(room), "snapshot").where("taken > room").select(*DOCUMENT)
