"""Which rows of a lake's tables takedown orders name, found by the same matcher as extract asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import table
from crawlmill.lake.snapshot import MAX_SHARDS
from crawlmill.rows.final_text import KEYS
from crawlmill.takedowns import orders

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST = ("documents", "rejects")  # by these the rows of all other tables are found, so they are changed last
RECORD = "snapshot string, shard int, id string, url string, parent_id string, file_path string, offset bigint, length bigint"


@dataclass
class Named:
    """The records of a snapshot that orders name.

    Attributes:
        documents: `RECORD`, `named_by` and `at`: a row for each state of table `documents` that has it. With what was derived from a page.
        rejects: the same of `rejects`.
        states: of each of the two tables, version -> the least version in which the snapshot has the very same files.
        newest: of each of the two, the newest version.
    """

    documents: DataFrame
    rejects: DataFrame
    states: dict[str, dict[int, int]]
    newest: dict[str, int]

    def ids(self) -> DataFrame:
        """(shard, id) of the documents."""
        return self.documents.select(*KEYS).distinct()

    def captured(self, versions: Iterable[int]) -> DataFrame:
        """The captured pages in some versions of `documents`."""
        states = {self.states["documents"][at] for at in versions} or {-1}
        rows = self.documents.where(f"at IN ({', '.join(map(str, sorted(states)))}) AND shard < {MAX_SHARDS}")
        return rows.drop("at").distinct()

    def per_shard(self) -> dict[int, int]:
        """How many documents go, by shard."""
        return {row["shard"]: row["count"] for row in self.ids().groupBy("shard").count().collect()}  # at most 1,000 shards

    def release(self) -> None:
        """Give back the memory."""
        self.documents.unpersist()
        self.rejects.unpersist()


def tables() -> list[str]:
    """Tables with rows about single records, in the order in which they are changed; clusters and corpus follow from these."""
    own = {name for name in contract.all_tables() if {"snapshot", "shard", "id"} <= set(contract.load(name).columns)}
    return [*sorted((own | {"bands", "crawl_files"}) - {*FIRST, "clusters", "corpus"}), *reversed(FIRST)]


def look(spark: SparkSession, lake: str, snapshot: str, used: Mapping[str, Iterable[int]], known: orders.Orders) -> Named | None:
    """The records of a snapshot that orders name, in the newest version of a table and in those that are in use; None where there is none.

    Raises UserError where an order names a derived document but not the page that it was made of: it would be made again.
    """
    states: dict[str, dict[int, int]] = {}
    newest = {name: table.version(lake, name) for name in FIRST}
    frames: dict[str, DataFrame] = {}
    for name in FIRST:
        states[name] = alike(lake, name, snapshot, {*used[name], newest[name]})
        for at in sorted(set(states[name].values())):
            rows = table.read(spark, lake, name, at, table.partition(snapshot, stage="extract" if name == "rejects" else None))
            rows = rows.where(f"reason <> '{orders.REASON}'") if name == "rejects" else rows
            found = matching(rows, known).selectExpr("*", f"{at} AS at")
            frames[name] = frames[name].unionByName(found) if name in frames else found
    documents, rejects = frames["documents"].persist(), frames["rejects"].persist()
    if documents.isEmpty() and rejects.isEmpty():
        return None
    lone = documents.where("parent_id IS NOT NULL").join(
        documents.selectExpr("id AS parent_id", "at"), ["parent_id", "at"], "left_anti"
    )
    if (child := lone.first()) is not None:
        raise UserError(f"{child['id']} was derived from page {child['parent_id']} of {snapshot}: name that page, and both go")
    return Named(documents, rejects, states, newest)


def matching(rows: DataFrame, known: orders.Orders) -> DataFrame:
    """The rows (`RECORD`; columns that a table lacks are null) that orders name, or whose parent they name, with `named_by`.

    A derived document has its page's address.
    """
    columns = [part.split() for part in RECORD.split(", ")]
    ready = rows.selectExpr(*(name if name in rows.columns else f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns))

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            values = (batch.column(name).to_pylist() for name in ("url", "id", "parent_id"))
            found = [known.find(url, own) or known.find(None, parent) for url, own, parent in zip(*values, strict=True)]
            yield batch.append_column("named_by", pa.array(found, pa.string()))

    return ready.mapInArrow(work, f"{RECORD}, named_by string").where("named_by IS NOT NULL")


def alike(lake: str, name: str, snapshot: str, versions: Iterable[int]) -> dict[int, int]:
    """Each version to the least of those in which a snapshot has the very same files."""
    first: dict[frozenset[str], int] = {}
    return {at: first.setdefault(frozenset(files(lake, name, snapshot, at)), at) for at in sorted(versions)}


def files(lake: str, name: str, snapshot: str, at: int) -> dict[str, int | None]:
    """The data files of a snapshot at a version of a table, with their shard; None where the table has no shards."""
    from deltalake import DeltaTable

    found = pa.table(DeltaTable(table.path(lake, name), version=at).get_add_actions(flatten=True))
    paths, snapshots = (found.column(column).to_pylist() for column in ("path", "partition.snapshot"))
    shards = found.column("partition.shard").to_pylist() if "partition.shard" in found.column_names else [None] * len(paths)
    return {path: shard for path, own, shard in zip(paths, snapshots, shards, strict=True) if own == snapshot}
