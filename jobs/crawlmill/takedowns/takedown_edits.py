"""What becomes of each table without the records that are taken down.

A table ends up as the stages would have written it had these records been rejects from the start. Rows go by MERGE on ids, so only data files that
hold such rows are written anew. A version that is still in use beside the newest one is put in place first and treated alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from crawlmill.lake import table
from crawlmill.rows.final_text import KEYS
from crawlmill.takedowns import orders
from crawlmill.takedowns.takedown_rows import alike, files

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

    from crawlmill.takedowns.takedown import Plan


@dataclass(frozen=True)
class State:
    """A version of a table that is being changed: what the edits look at.

    Attributes:
        spark: session.
        lake: where.
        plan: of the snapshot.
        name: of the table.
        at: the version whose rows these are.
        here: the version of the table right now, with the same rows in this snapshot.
    """

    spark: SparkSession
    lake: str
    plan: Plan
    name: str
    at: int
    here: int

    def rows(self, name: str, at: int) -> DataFrame:
        """A table's rows of the snapshot."""
        return table.read(self.spark, self.lake, name, at, table.partition(self.plan.snapshot))

    def on(self, *columns: str) -> str:
        """The condition of a MERGE: this snapshot and these columns."""
        parts = [f"t.snapshot = '{self.plan.snapshot}'"]
        return " AND ".join([*parts, *(f"t.{column} = s.{column}" for column in columns)])


def clean(spark: SparkSession, commit: table.Commit, plan: Plan, name: str) -> dict[int, int]:
    """Take the named records out of every state of a table that is in use; returns version -> the one that stands for it now."""
    lake, newest, used = commit.lake, table.version(commit.lake, name), plan.versions(name)
    same = alike(lake, name, plan.snapshot, {*used, newest})
    states = sorted({same[at] for at in used} - {same[newest]})
    if not used or same[newest] in {same[at] for at in used}:
        states.append(same[newest])
    nothing = name != "rejects" and not any(files(lake, name, plan.snapshot, at) for at in states)
    if nothing or (states != [same[newest]] and not _concerned(spark, lake, plan, name, states)):
        return {at: at for at in used}
    moved: dict[int, int] = {}
    standing = newest
    for number, state in enumerate(states):
        app = f"{commit.app_id(name)}/{number}"
        changed = _put(spark, commit, plan.snapshot, name, standing, state, app)
        here = table.version(lake, name)
        what = State(spark, lake, plan, name, state, here)
        to = commit.edit(name, spark, partial(EDITS.get(name, by_id), what), f"{app}/edit")
        moved |= {at: at if not changed and to == here and len(states) == 1 else to for at in used if same[at] == state}
        standing = state
    return moved


def _concerned(spark: SparkSession, lake: str, plan: Plan, name: str, states: list[int]) -> bool:
    """Whether any of a table's states has something to change."""
    if name in EDITS:
        return True
    assert plan.named is not None
    ids = plan.named.ids()
    return any(
        not table.read(spark, lake, name, at, table.partition(plan.snapshot)).join(ids, KEYS, "left_semi").isEmpty()
        for at in states
    )


def _put(spark: SparkSession, commit: table.Commit, snapshot: str, name: str, standing: int, wanted: int, app: str) -> bool:
    """Put the rows of another version in place, those parts of the snapshot that differ; False where none does."""
    was, will = (files(commit.lake, name, snapshot, at) for at in (standing, wanted))
    parts = {shard for path, shard in [*was.items(), *will.items()] if not (path in was and path in will)}
    if not parts:
        return False
    shards = None if None in parts else sorted(shard for shard in parts if shard is not None)
    where = table.partition(snapshot, shards)
    commit.replace_where(name, table.read(spark, commit.lake, name, wanted, where), where, f"{app}/put")
    return True


def by_id(state: State, target: DeltaTable) -> None:
    """Rows of the documents go."""
    assert state.plan.named is not None
    target.merge(state.plan.named.ids().alias("s"), state.on(*KEYS)).whenMatchedDelete().execute()


def crawl_files(state: State, target: DeltaTable) -> None:
    """A document that goes is one more reject of its file."""
    assert state.plan.named is not None
    pages = state.plan.named.captured(state.plan.beside(state.name, state.at, "documents"))
    counted = pages.groupBy("shard", "file_path").agg({"id": "count"}).withColumnRenamed("count(id)", "n")
    sets: dict[str, Any] = {"documents": "t.documents - s.n", "rejects": "t.rejects + s.n"}
    target.merge(counted.alias("s"), state.on("shard", "file_path")).whenMatchedUpdate(set=sets).execute()


def rejects(state: State, target: DeltaTable) -> None:
    """A document that goes becomes a reject, and a reject that is named loses its address."""
    named = state.plan.named
    assert named is not None
    pages = named.captured(state.plan.beside(state.name, state.at, "documents")).drop("parent_id")
    others = named.rejects.where(f"at = {named.states['rejects'].get(state.at, -1)}").drop("at", "parent_id")
    both = pages.unionByName(others).distinct()
    message = f"concat('{orders.message('')}', s.named_by)"
    sets: dict[str, Any] = {"reason": f"'{orders.REASON}'", "message": message, "url": "NULL"}
    fresh: dict[str, Any] = {column: f"s.{column}" for column in ("snapshot", "shard", "file_path", "offset", "length", "id")}
    on = f"{state.on('shard', 'file_path', 'offset')} AND t.stage = 'extract' AND t.id <=> s.id AND (t.url <=> s.url OR t.reason = '{orders.REASON}')"
    merge = target.merge(both.alias("s"), on).whenMatchedUpdate(set=sets)
    merge.whenNotMatchedInsert(values={**fresh, **sets, "stage": "'extract'"}).execute()


def page_index(state: State, target: DeltaTable) -> None:
    """Addresses go; what is found by its id was rejected."""
    named = state.plan.named
    assert named is not None
    keys = named.documents.selectExpr("shard", "id AS key").unionByName(
        named.rejects.selectExpr("shard", "coalesce(id, url) AS key")
    )
    on = f"{state.on('shard')} AND coalesce(t.id, t.url) = s.key"
    merge = target.merge(keys.distinct().alias("s"), on).whenMatchedDelete("t.url IS NOT NULL")
    merge.whenMatchedUpdate(set={"outcome": "'rejected'"}).execute()


def signatures(state: State, target: DeltaTable) -> None:
    """Rows go; where copies of a text stay in the shard, the one of least id gets the set, which is kept once."""
    assert state.plan.named is not None
    ids, own = state.plan.named.ids(), state.rows(state.name, state.here)
    gone = own.join(ids, KEYS, "left_semi").where("shingles IS NOT NULL").select("shard", "content", "shingles")
    stay = own.join(ids, KEYS, "left_anti").select(*KEYS, "content")
    heirs = stay.join(gone, ["shard", "content"]).groupBy("shard", "content").agg({"id": "min", "shingles": "first"})
    source = ids.selectExpr("*", "CAST(NULL AS binary) AS shingles").unionByName(
        heirs.selectExpr("shard", "`min(id)` AS id", "`first(shingles)` AS shingles")
    )
    merge = target.merge(source.alias("s"), state.on(*KEYS)).whenMatchedDelete("s.shingles IS NULL")
    merge.whenMatchedUpdate(set={"shingles": "s.shingles"}).execute()


def bands(state: State, target: DeltaTable) -> None:
    """Keys go of a text that stands no more in the shard."""
    assert state.plan.named is not None
    beside = state.plan.beside(state.name, state.at, "signatures") or {table.version(state.lake, "signatures")}
    own = state.rows("signatures", max(beside)).select(*KEYS, "content")
    ids = state.plan.named.ids()
    gone = own.join(ids, KEYS, "left_semi").select("shard", "content").distinct()
    gone = gone.join(own.join(ids, KEYS, "left_anti"), ["shard", "content"], "left_anti")
    target.merge(gone.alias("s"), state.on("shard", "content")).whenMatchedDelete().execute()


EDITS: dict[str, Callable[[State, DeltaTable], None]] = {
    "crawl_files": crawl_files, "rejects": rejects, "page_index": page_index, "signatures": signatures, "bands": bands,
}  # fmt: skip
