"""What executes the engine's steps: relations that are queried by SQL, kept, counted, verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from crawlmill.lake import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from crawlmill.dedup.removals import Places
    from crawlmill.recipes.recipe import Dedup

Relation = Any  # a DataFrame, or the name of a table of SQLite
VERIFIED = "scope string, a string, b string, similarity double, containment_a double, containment_b double, bits bigint"
# Rows of contents or bucket keys that are sent to every executor rather than have the whole table exchanged: some 100 bytes each.
ASIDE = 1_000_000


class Relations(Protocol):
    """An interpreter of the steps."""

    def sql(self, query: str, **given: Relation | int | float) -> Relation:
        """The relation of a query; `{name}` in it stands for a relation."""

    def keep(self, relation: Relation) -> Relation:
        """The same relation, computed once although it is read more than once, and without the plan of how it came about."""

    def some(self, relation: Relation) -> bool:
        """Whether it has a row."""

    def aside(self, relation: Relation, alias: str) -> str:
        """The hint to put after SELECT where the relation, a side of a join under this alias, is small beside the other."""

    def crowd(self, places: Relation, complete: bool) -> None:
        """Told of members of buckets with their places, before and now: of all buckets, or of those in which something changed."""

    def verify(self, met: Relation) -> Relation:
        """Of candidates (scope, a, b, bits) those that are alike enough, with their similarities: rows of `VERIFIED`."""


class Tables(Relations, Protocol):
    """An interpreter that reads the lake."""

    places: Places | None

    def pinned(self, name: str, pins: Mapping[str, int], columns: str) -> Relation:
        """Columns of a table's rows of some snapshots, each at its version."""

    def at(self, name: str, version: int, columns: str) -> Relation:
        """Columns of all rows of a table at a version."""

    def first(self, relation: Relation) -> Sequence[Any] | None:
        """Some row; None where there is none."""

    def frame(self, relation: Relation, name: str) -> DataFrame:
        """Changes of a table as `table.Commit.merge` takes them, computed."""


def differences(db: Relations, old: Relation, new: Relation, keys: Sequence[str], columns: Sequence[str]) -> Relation:
    """What makes rows `old` equal to rows `new`: new rows (`_new`), rows that are gone (`_gone`) and rows that differ."""
    same = " AND ".join(f"n.{key} = o.{key}" for key in keys)
    differ = " OR ".join(f"n.{name} <> o.{name}" for name in columns if name not in keys)
    listed = {side: ", ".join(f"{side}.{name}" for name in columns) for side in "no"}
    return db.sql(
        f"SELECT {listed['n']}, 0 AS _gone, CASE WHEN o.{keys[0]} IS NULL THEN 1 ELSE 0 END AS _new FROM {{new}} n "
        f"LEFT JOIN {{old}} o ON {same} WHERE o.{keys[0]} IS NULL OR {differ} UNION ALL "
        f"SELECT {listed['o']}, 1, 0 FROM {{old}} o LEFT JOIN {{new}} n ON {same} WHERE n.{keys[0]} IS NULL",
        old=old, new=new,
    )  # fmt: skip


def sized(kept: DataFrame) -> DataFrame:
    """A checkpointed relation, of unknown size where its plan was estimated at 2^64 bytes and more; how its rows are distributed stays known.

    Spark takes a join for the product of its sides, and a checkpoint hands that on: sizes square with every round, until planning
    the next join is mostly the multiplying of long numbers. There is no public way to say that a size is unknown.
    """
    spark, jvm = kept.sparkSession, kept.sparkSession.sparkContext._jvm
    plan, nothing = kept._jdf.queryExecution().logical(), jvm.scala.Option.empty()  # type: ignore[union-attr]
    if plan.stats().sizeInBytes().bit_length() <= 64:
        return kept
    bare = jvm.org.apache.spark.sql.execution.LogicalRDD(  # type: ignore[union-attr]
        plan.output(), plan.rdd(), plan.outputPartitioning(), plan.outputOrdering(), False, nothing, spark._jsparkSession, nothing, nothing,
    )  # fmt: skip
    return type(kept)(jvm.org.apache.spark.sql.classic.Dataset.ofRows(spark._jsparkSession, bare), spark)  # type: ignore[union-attr]


class SparkRelations:
    """The steps on Spark: DataFrames, no collect of anything that grows."""

    def __init__(self, spark: SparkSession, lake: str, sets: DataFrame, rules: Dedup, cap: int):
        """`sets` has content and shingles, perhaps many times the same; `cap` is the greatest size of a stored set."""
        self.spark, self.lake, self.sets, self.rules, self.cap = spark, lake, sets, rules, cap
        self.places: Places | None = None
        self.durable = spark.sparkContext.getCheckpointDir() is not None

    def pinned(self, name: str, pins: Mapping[str, int], columns: str) -> Relation:
        """See `Tables`."""
        return table.read_pinned(self.spark, self.lake, name, pins).selectExpr(*columns.split(", "))

    def at(self, name: str, version: int, columns: str) -> Relation:
        """See `Tables`."""
        return table.read(self.spark, self.lake, name, version).selectExpr(*columns.split(", "))

    def first(self, relation: Relation) -> Sequence[Any] | None:
        """See `Tables`."""
        return next(iter(relation.take(1)), None)

    def frame(self, relation: Relation, name: str) -> DataFrame:
        """See `Tables`."""
        rows: DataFrame = relation.persist()
        rows.count()
        return rows

    def sql(self, query: str, **given: Relation | int | float) -> Relation:
        """See `Relations`."""
        return self.spark.sql(query, None, **given)

    def keep(self, relation: Relation) -> Relation:
        """See `Relations`. Not `persist`, which leaves the plan: relations that are read twice and more would double it at every step.

        Where the cluster has a checkpoint folder (`spark.checkpoint.dir`) a lost executor costs what it held; without one it costs
        the run, which is then done again.
        """
        return sized(relation.checkpoint() if self.durable else relation.localCheckpoint(eager=False))

    def some(self, relation: Relation) -> bool:
        """See `Relations`."""
        return not relation.isEmpty()

    def aside(self, relation: Relation, alias: str) -> str:
        """See `Relations`. The relation is kept: counting its rows as they lie there costs a fifth of planning an aggregate."""
        return f"/*+ BROADCAST({alias}) */" if relation._jdf.queryExecution().toRdd().count() <= ASIDE else ""

    def crowd(self, places: Relation, complete: bool) -> None:
        """See `Relations`."""
        from crawlmill.dedup.removals import Places

        self.places = Places(places, complete)

    def verify(self, met: Relation) -> Relation:
        """See `Relations`. Reads the stored sets of the contents that met, no texts."""
        met = self.keep(met)
        ends = self.sql("SELECT a AS content FROM {met} UNION ALL SELECT b FROM {met}", met=met)
        touched = self.keep(self.sql("SELECT DISTINCT content FROM {ends}", ends=ends))
        sets = self.sql(  # equal in all copies of a content; no set of another content is exchanged
            f"SELECT {self.aside(touched, 't')} s.content, first(s.shingles) AS shingles FROM {{stored}} s "
            "LEFT SEMI JOIN {touched} t ON s.content = t.content WHERE s.shingles IS NOT NULL GROUP BY s.content",
            stored=self.sets, touched=touched,
        )  # fmt: skip
        joined = self.sql(
            "SELECT m.scope, m.a, m.b, m.bits, x.shingles AS set_a, y.shingles AS set_b FROM {met} m "
            "JOIN {sets} x ON m.a = x.content JOIN {sets} y ON m.b = y.content",
            met=met, sets=sets,
        )  # fmt: skip
        threshold, measure, cap = self.rules.threshold, self.rules.measure, self.cap

        def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            from crawlmill.text.shingle_set import compare_batch

            return (compare_batch(batch, threshold, measure, cap) for batch in batches)

        return joined.mapInArrow(work, VERIFIED)
