"""Conservation: what a stage read equals what it wrote and what it rejected, per shard, counted on the committed rows by scanning them.

`count()` alone is answered from the log and stays right when a data file is gone, so ids are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crawlmill.errors import CriticalFailure
from crawlmill.lake import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from crawlmill.protocol.stage import Context


def per_document(source: str, target: str, unique: bool = True) -> Callable[[Context, dict[str, int]], list[dict[str, Any]]]:
    """A check that `target` has the ids of `source`, each once (or, not `unique`, at least once).

    Ids of `source` are known to stand once, since extract refuses doubles: equal counts and digests say that the sets are equal.
    """

    def reconcile(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
        from pyspark.sql import functions as F

        left = context.read(source, "shard", "id").withColumn("side", F.lit(0))
        right = committed(context, target, versions[target]).select("shard", "id", F.lit(1).alias("side"))
        read, written = by_side(left.unionByName(right if unique else right.distinct()))
        counts = [
            {"shard": shard, "read": read.get(shard, NONE)[0], "written": written.get(shard, NONE)[0], "rejected": 0}
            for shard in sorted(read.keys() | written.keys())
        ]
        refuse_losses(context, source, target, counts)
        if strange := [shard for shard, tally in written.items() if read[shard] != tally]:
            raise CriticalFailure(
                f"{target} of {context.job.snapshot} has other ids than {source} in shards {strange}; not released"
            )
        return counts

    return reconcile


def committed(context: Context, name: str, at: int) -> DataFrame:
    """The rows that this job's commit left in a table."""
    job = context.job
    return table.read(context.spark, job.lake, name, at, table.partition(job.snapshot, job.shards))


NONE = (0, "")
Tally = dict[int, tuple[int, str]]  # shard -> (rows, an order-free digest of their ids)


def ids(rows: DataFrame) -> Tally:
    """Rows and a digest of their ids by shard; `rows` has columns shard and id."""
    from pyspark.sql import functions as F

    return by_side(rows.select("shard", "id", F.lit(0).alias("side")))[0]


def by_side(rows: DataFrame) -> tuple[Tally, Tally]:
    """The same for rows of two sides (column side: 0 or 1), in one pass."""
    from pyspark.sql import functions as F

    sides: tuple[Tally, Tally] = ({}, {})
    hashed = F.xxhash64("id")
    counted = rows.groupBy("shard", "side").agg(
        F.count("id").alias("rows"), F.bit_xor(hashed).alias("xor"), F.sum(hashed.cast("decimal(38,0)")).alias("sum")
    )
    for row in counted.collect():  # at most 1,000 shards
        sides[row["side"]][row["shard"]] = (row["rows"], f"{row['xor']} {row['sum']}")
    return sides


def refuse_doubles(context: Context, name: str, rows: DataFrame) -> None:
    """Raise CriticalFailure where an id stands twice in a shard."""
    double = rows.groupBy("shard", "id").count().where("count > 1").count()
    if double:
        raise CriticalFailure(f"table {name} of {context.job.snapshot} holds {double} ids twice; not released")


def refuse_losses(context: Context, source: str, target: str, counts: list[dict[str, Any]]) -> None:
    """Raise CriticalFailure where read differs from written and rejected together."""
    lost = {c["shard"]: c["read"] - c["written"] - c["rejected"] for c in counts if c["read"] != c["written"] + c["rejected"]}
    if lost:
        raise CriticalFailure(
            f"rows were lost between {source} and {target} of {context.job.snapshot} (shard: rows missing): {lost}; not released"
        )
