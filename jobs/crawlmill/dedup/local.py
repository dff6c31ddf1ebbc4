"""The steps on SQLite, in the driver's memory: for lakes so small that planning a Spark job costs more than the work.

The same SQL texts, so the same rows: the property tests run them here, and compare both interpreters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from crawlmill.contracts import contract
from crawlmill.dedup.relations import Relation
from crawlmill.lake import table, table_log
from crawlmill.text.shingle_set import compare

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from crawlmill.dedup.removals import Places
    from crawlmill.recipes.recipe import Dedup

# Bytes of the files of bands, signatures, pairs and clusters up to which a lake is small: some 10,000 documents, and in memory
# some ten times that.
SMALL = 16 << 20
MEMBERS = "scope string, band int, key bigint, content string, stood int, stands int, shifted int"


class _BitOr:
    """The aggregate that SQLite lacks."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def step(self, value: int) -> None:
        self.values.append(value)

    def finalize(self) -> int:
        return reduce(or_, self.values, 0)


def small(lake: str) -> bool:
    """Whether a lake is small enough for its dedup to be worked out in the driver."""
    return sum(table_log.size(lake, name) for name in ("bands", "signatures", "pairs", "clusters")) <= SMALL


class LocalRelations:
    """A relation is the name of a table of SQLite; every step is executed at once."""

    def __init__(self, spark: SparkSession | None, lake: str, sets: Mapping[str, int], rules: Dedup, cap: int):
        """`sets`: the version of table signatures for each snapshot; `cap` is the greatest size of a stored set."""
        self.spark, self.lake, self.pins, self.rules, self.cap = spark, lake, sets, rules, cap
        self.places: Places | None = None
        self.tables = 0
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.create_function("least", 2, min, deterministic=True)
        self.db.create_function("greatest", 2, max, deterministic=True)
        self.db.create_function("shiftleft", 2, lambda number, bits: number << bits, deterministic=True)
        self.db.create_function("translate", 3, lambda text, a, b: text.translate(str.maketrans(a, b)), deterministic=True)
        self.db.create_aggregate("bit_or", 1, _BitOr)

    def table(self, columns: str, rows: Iterable[Sequence[Any]]) -> str:
        """A relation of given rows; `columns` are names parted by commas."""
        self.tables += 1
        name, count = f"t{self.tables}", columns.count(",") + 1
        self.db.execute(f"CREATE TABLE {name} ({columns})")
        self.db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * count)})", rows)
        return name

    def rows(self, relation: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """The rows, in order."""
        return sorted(self.db.execute(f"SELECT {columns} FROM {relation}").fetchall())

    def pinned(self, name: str, pins: Mapping[str, int], columns: str) -> Relation:
        """See `Tables`."""
        return self.table(columns, (row for snapshot, at in pins.items() for row in self._read(name, at, columns, snapshot)))

    def at(self, name: str, version: int, columns: str) -> Relation:
        """See `Tables`."""
        return self.table(columns, self._read(name, version, columns))

    def _read(self, name: str, at: int, columns: str, snapshot: str | None = None) -> Iterable[tuple[Any, ...]]:
        from deltalake import DeltaTable

        found = DeltaTable(table.path(self.lake, name), version=at)
        own = found.to_pyarrow_table(partitions=[("snapshot", "=", snapshot)] if snapshot else None, columns=columns.split(", "))
        return zip(*(own.column(column).to_pylist() for column in columns.split(", ")), strict=True)

    def first(self, relation: Relation) -> Sequence[Any] | None:
        """See `Tables`."""
        row: tuple[Any, ...] | None = self.db.execute(f"SELECT * FROM {relation} LIMIT 1").fetchone()
        return row

    def frame(self, relation: Relation, name: str) -> DataFrame:
        """See `Tables`."""
        kinds = {field.name: field.dataType.simpleString() for field in contract.load(name).struct()}
        schema = ", ".join(f"{column} {kind}" for column, kind in {**kinds, "_gone": "int", "_new": "int"}.items())
        return self._frame(self.rows(relation, ", ".join([*kinds, "_gone", "_new"])), schema)

    def _frame(self, rows: list[tuple[Any, ...]], schema: str) -> DataFrame:
        if self.spark is None:
            raise ValueError("an interpreter without a session makes no DataFrames")
        return self.spark.createDataFrame(rows, schema).coalesce(1)

    def sql(self, query: str, **given: Relation | int | float) -> Relation:
        """See `Relations`."""
        self.tables += 1
        self.db.execute(f"CREATE TABLE t{self.tables} AS {query.format(**given)}")
        return f"t{self.tables}"

    def keep(self, relation: Relation) -> Relation:
        """See `Relations`."""
        return relation

    def some(self, relation: Relation) -> bool:
        """See `Relations`."""
        return self.first(relation) is not None

    def aside(self, relation: Relation, alias: str) -> str:
        """See `Relations`."""
        return f"/* {relation} {alias} */"

    def crowd(self, places: Relation, complete: bool) -> None:
        """See `Relations`."""
        from crawlmill.dedup.removals import Places

        names = ", ".join(column.split()[0] for column in MEMBERS.split(", "))
        self.places = Places(self._frame(self.rows(places, names), MEMBERS), complete)

    def sets(self, contents: set[str]) -> dict[str, bytes]:
        """The stored sets of some contents."""
        rows = (row for snapshot, at in self.pins.items() for row in self._read("signatures", at, "content, shingles", snapshot))
        return {content: shingles for content, shingles in rows if shingles is not None and content in contents}

    def verify(self, met: Relation) -> Relation:
        """See `Relations`."""
        rows = self.rows(met, "scope, a, b, bits")
        sets = self.sets({content for row in rows for content in row[1:3]})
        numbers = compare([sets[row[1]] for row in rows], [sets[row[2]] for row in rows], self.cap)
        found = []
        for (scope, a, b, bits), similarity, in_a, in_b in zip(rows, *(column.tolist() for column in numbers), strict=True):
            if (similarity if self.rules.measure == "jaccard" else max(in_a, in_b)) >= self.rules.threshold:
                found.append((scope, a, b, similarity, in_a, in_b, bits))
        return self.table("scope, a, b, similarity, containment_a, containment_b, bits", found)
