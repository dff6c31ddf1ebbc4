"""Reading pinned versions of the lake's tables and committing partitions to them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure, Fenced, UserError
from crawlmill.lake import failpoint, fence, table_log
from crawlmill.lake.snapshot import format_shards, parse
from crawlmill.storage import bucket, lake_files

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession


def path(lake: str, table: str) -> str:
    """The folder of a table of the lake."""
    return f"{lake}/{table}"


def create_all(lake: str) -> list[str]:
    """Create or migrate every table of the contracts; returns those that were created. Safe to call from several processes."""
    created = []
    if lake_files.is_bucket(lake):
        bucket.probe(lake)
    for name in contract.all_tables():
        with fence.commits(lake, name):
            if contract.create(lake, name):
                created.append(name)
            else:
                contract.migrate(lake, name)
    return created


def version(lake: str, table: str) -> int:
    """The newest version of a table, read from its log without Spark."""
    from deltalake import DeltaTable

    return int(DeltaTable(path(lake, table)).version())


def shards_of(lake: str, table: str, snapshot: str) -> set[int]:
    """The shards of a snapshot that have rows in a table's newest version."""
    from deltalake import DeltaTable

    found = DeltaTable(path(lake, table)).partitions([("snapshot", "=", parse(snapshot))])
    return {int(partition["shard"]) for partition in found}


def parts_of(lake: str, table: str) -> set[str]:
    """All `snapshot/shard` that have rows in a table's newest version."""
    from deltalake import DeltaTable

    return {f"{found['snapshot']}/{found['shard']}" for found in DeltaTable(path(lake, table)).partitions()}


def partition(snapshot: str | None, shards: Sequence[int] | None = None, stage: str | None = None) -> str:
    """The predicate of the partitions that an attempt owns, made of checked literals only."""
    parts = ["true"] if snapshot is None else [f"snapshot = '{parse(snapshot)}'"]
    if shards is not None:
        parts.append(f"shard IN ({', '.join(str(int(shard)) for shard in shards)})")
    if stage is not None:
        parts.append(f"stage = '{stage}'")
    return " AND ".join(parts)


def read(spark: SparkSession, lake: str, table: str, at: int, where: str = "true") -> DataFrame:
    """The rows of a table at a version; the predicate prunes partitions."""
    return spark.read.format("delta").option("versionAsOf", at).load(path(lake, table)).where(where)


def read_pinned(spark: SparkSession, lake: str, table: str, pins: Mapping[str, int]) -> DataFrame:
    """The partitions of several snapshots, each as of its own version; no rows for no snapshots."""
    by_version: dict[int, list[str]] = {}
    for snapshot, at in together(lake, table, pins).items():
        by_version.setdefault(at, []).append(parse(snapshot))
    if not by_version:
        return spark.createDataFrame([], contract.load(table).struct())
    parts = [
        read(spark, lake, table, at, "snapshot IN ({})".format(", ".join(f"'{snapshot}'" for snapshot in sorted(own))))
        for at, own in sorted(by_version.items())
    ]
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part)
    return rows


def together(lake: str, table: str, pins: Mapping[str, int]) -> dict[str, int]:
    """The pins, moved up to the newest one wherever nobody has written to the snapshot in between: then one scan reads all of them."""
    if len(set(pins.values())) < 2:
        return dict(pins)
    from deltalake import DeltaTable

    newest, oldest = max(pins.values()), min(pins.values())
    written: dict[str, int] = {}
    for entry in DeltaTable(path(lake, table), version=newest).history():  # newest first
        if entry["version"] <= oldest:
            break
        owner = json.loads(entry.get("userMetadata") or "{}").get("snapshot")
        if owner is None and entry.get("operation") not in table_log.UNCHANGING:
            return dict(pins)
        if owner is not None:
            written.setdefault(owner, entry["version"])
    return {snapshot: newest if written.get(snapshot, oldest) <= at else at for snapshot, at in pins.items()}


def difference(old: DataFrame, new: DataFrame, keys: Sequence[str]) -> DataFrame:
    """What makes rows `old` equal to rows `new` of the same columns: changes as `Commit.merge` takes them."""
    from pyspark.sql import functions as F

    columns = new.columns
    both = (
        old.select(*columns).alias("o").join(new.alias("n"), [F.col(f"o.{k}").eqNullSafe(F.col(f"n.{k}")) for k in keys], "outer")
    )
    gone, fresh = F.col(f"n.{keys[0]}").isNull(), F.col(f"o.{keys[0]}").isNull()
    same = F.lit(True)
    for name in columns:
        same = same & F.col(f"o.{name}").eqNullSafe(F.col(f"n.{name}"))
    state = [F.when(gone, F.col(f"o.{name}")).otherwise(F.col(f"n.{name}")).alias(name) for name in columns]
    return both.where(~same).select(*state, gone.cast("int").alias("_gone"), fresh.cast("int").alias("_new"))


def _tally(changes: DataFrame) -> tuple[int, int, list[str]]:
    """How many rows are new, how many are known, and the snapshots of the known ones (none where the table has no such column)."""
    snapshots = "collect_set(CASE WHEN _new = 0 THEN snapshot END)" if "snapshot" in changes.columns else "array()"
    row = changes.selectExpr("count_if(_new = 1) AS new", "count_if(_new = 0) AS known", f"{snapshots} AS snapshots").head()
    return (row["new"], row["known"], sorted(row["snapshots"])) if row else (0, 0, [])


class Commit:
    """Who commits: the attempt's identity, written into every commit of it."""

    def __init__(
        self, lake: str, stage: str, snapshot: str, shards: Sequence[int] | None, token: int, metadata: Mapping[str, Any]
    ):
        self.lake, self.stage, self.snapshot, self.shards, self.token = lake, stage, snapshot, shards, token
        identity = {"stage": stage, "snapshot": snapshot, "fence": token, "shards": None if shards is None else sorted(shards)}
        self.metadata = json.dumps({**metadata, **identity}, sort_keys=True)

    def app_id(self, table: str) -> str:
        """Delta's transaction application: the snapshot and shards are in it, so an older snapshot's lower token is never dropped."""
        return f"crawlmill/{table}/{self.stage}/{self.snapshot}/{'all' if self.shards is None else format_shards(self.shards)}"

    def replace(self, table: str, rows: DataFrame, snapshot: str | None = None, shards: Sequence[int] | None = None) -> int:
        """Replace the attempt's partitions of a table by these rows; returns the version. Raises Fenced, CriticalFailure."""
        own = self.snapshot if snapshot is None else snapshot
        kept = self.shards if shards is None else shards
        partitioned_by_stage = "stage" in contract.load(table).partition_columns
        predicate = partition(own, kept, self.stage if partitioned_by_stage else None)
        app = self.app_id(table) if snapshot is None else f"{self.app_id(table)}/{snapshot}/{format_shards(kept or [])}"
        return self.replace_where(table, rows, predicate, app)

    def replace_where(self, table: str, rows: DataFrame, predicate: str, app: str) -> int:
        """Replace the partitions of a predicate, made of checked literals, under the name of a Delta application; returns the version."""
        with fence.commits(self.lake, table):
            fence.check(self.lake, self.stage, self.snapshot, self.shards, self.token)
            failpoint.hit(f"{self.stage}:before_commit:{table}")
            before = version(self.lake, table)
            writer = rows.write.format("delta").mode("overwrite").option("replaceWhere", predicate)
            writer = writer.option("txnAppId", app).option("txnVersion", self.token).option("userMetadata", self.metadata)
            _save(writer, path(self.lake, table), f"{self.stage} of {self.snapshot}, table {table}")
            return self._verify(table, before)

    def drop(self, table: str, spark: SparkSession) -> int:
        """Delete the attempt's partitions of a table; returns the version."""
        empty = read(spark, self.lake, table, version(self.lake, table), "false")
        return self.replace(table, empty)

    def merge(self, table: str, changes: DataFrame, keys: Sequence[str], at: int, note: Mapping[str, Any] | None = None) -> int:
        """Change rows of a whole table; returns the version (`at` if there was nothing to say).

        Args:
            table: to change.
            changes: rows in their new state with `_gone` (1: delete) and `_new` (1: the table has no row of these keys), a key once.
            keys: that identify a row.
            at: the version that the changes were worked out from; raises CriticalFailure if the table is no longer there.
            note: goes into the commit, for `noted`; a new note is committed even if no row changes.
        """
        new, known, snapshots = _tally(changes)
        metadata = self.metadata if note is None else json.dumps({**json.loads(self.metadata), "note": note}, sort_keys=True)
        with fence.commits(self.lake, table):
            fence.check(self.lake, self.stage, self.snapshot, self.shards, self.token)
            failpoint.hit(f"{self.stage}:before_commit:{table}")
            if version(self.lake, table) != at:
                raise CriticalFailure(
                    f"table {table} was changed by somebody else while {self.stage} ran: run {self.stage} again"
                )
            if not new and not known and (note is None or (table_log.noted(self.lake, table) or {}).get("note") == note):
                return at
            rows = changes.select(*contract.load(table).columns, "_gone")
            if known:
                self._merge(table, rows, keys, snapshots, metadata)
            else:
                writer = rows.drop("_gone").write.format("delta").mode("append").option("userMetadata", metadata)
                writer = writer.option("txnAppId", self.app_id(table)).option("txnVersion", self.token)
                _save(writer, path(self.lake, table), f"{self.stage}, table {table}")
            return self._verify(table, at, metadata)

    def _merge(self, table: str, rows: DataFrame, keys: Sequence[str], snapshots: Sequence[str], metadata: str) -> None:
        """One MERGE. Only partitions of the rows' snapshots are looked at, and equal rows are not written again."""
        columns = contract.load(table).columns
        on = " AND ".join(f"t.{key} = s.{key}" for key in keys)
        if snapshots:
            on += " AND t.snapshot IN ({})".format(", ".join(f"'{parse(snapshot)}'" for snapshot in snapshots))
        assigned: dict[str, str | Column] = {name: f"s.{name}" for name in columns}
        differs = " OR ".join(f"NOT (t.{name} <=> s.{name})" for name in columns)
        with self._merging(table, rows.sparkSession, metadata, self.app_id(table)) as target:
            merge = (
                target.merge(rows.alias("s"), on)
                .whenMatchedDelete("s._gone = 1")
                .whenMatchedUpdate(condition=differs, set=assigned)
            )
            _told(merge.whenNotMatchedInsert(condition="s._gone = 0", values=assigned).execute, f"{self.stage}, table {table}")

    def edit(self, table: str, spark: SparkSession, change: Callable[[DeltaTable], object], app: str) -> int:
        """One MERGE on a table (alias `t`) that others write, under the name of a Delta application; returns the version."""
        with fence.commits(self.lake, table):
            fence.check(self.lake, self.stage, self.snapshot, self.shards, self.token)
            failpoint.hit(f"{self.stage}:before_commit:{table}")
            before = version(self.lake, table)
            with self._merging(table, spark, self.metadata, app) as target:
                _told(lambda: change(target), f"{self.stage}, table {table}")
            return before if version(self.lake, table) == before else self._verify(table, before)

    @contextmanager
    def _merging(self, table: str, spark: SparkSession, metadata: str, app: str) -> Iterator[DeltaTable]:
        """The table, alias `t`; what is executed on it carries this attempt's identity."""
        from delta.tables import DeltaTable

        settings = {
            "commitInfo.userMetadata": metadata,
            "write.txnAppId": app,
            "write.txnVersion": str(self.token),
        }
        for name, value in settings.items():
            spark.conf.set(f"spark.databricks.delta.{name}", value)
        try:
            yield DeltaTable.forPath(spark, path(self.lake, table)).alias("t")
        finally:
            for name in settings:
                spark.conf.unset(f"spark.databricks.delta.{name}")

    def _verify(self, table: str, before: int, metadata: str | None = None) -> int:
        """The version of this attempt's commit, found by what it was told to remember; none is an error: Delta skipped it, or it was lost."""
        from deltalake import DeltaTable

        found = DeltaTable(path(self.lake, table))
        for entry in found.history(max(1, found.version() - before)):  # in a bucket others may have committed since
            if entry["version"] > before and entry.get("userMetadata") == (metadata or self.metadata):
                return int(entry["version"])
        fence.check(self.lake, self.stage, self.snapshot, self.shards, self.token)
        raise CriticalFailure(
            f"the commit of {self.stage} to table {table} is not in its log (version {before} before, {found.version()} now): "
            "Delta skipped it as already done; run the stage again"
        )


def _save(writer: DataFrameWriter, folder: str, what: str) -> None:
    _told(lambda: writer.save(folder), what)


def _told(commit: Callable[[], object], what: str) -> None:
    """Commit; a row that breaks a CHECK constraint or a NOT NULL is a broken contract, told in one sentence."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        commit()
    except (PySparkException, Py4JJavaError) as error:
        broken = re.search(
            r"\[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES\] CHECK constraint (\w+)|NOT NULL constraint violated for column: (\S+)",
            str(error),
        )
        if taken := re.search(r"crawlmill fence: ([^\n]*)", str(error)):  # told by the log store of a bucket
            raise Fenced(f"{what}: {taken[1]}, so nothing was written; nothing is to be done if that one succeeds") from None
        if broken is None:
            raise
        if broken[1] == "EXPRESSION":  # Delta's name for the predicate of replaceWhere
            raise CriticalFailure(
                f"{what}: a row is outside the partitions that this attempt may write, so nothing was written"
            ) from None
        # The rest of Delta's message quotes the row, which may be anybody's data.
        which = f"CHECK constraint {broken[1]}" if broken[1] else f"NOT NULL of column {broken[2]}"
        raise CriticalFailure(f"{what}: a row breaks {which}, so nothing was written; schemas/ says what it asks for") from None


def require(lake: str, table: str) -> None:
    """Raise UserError where a table does not exist yet."""
    from deltalake import DeltaTable

    if lake_files.is_bucket(lake):
        lake_files.holds(lake, table, "")  # a bucket that refuses or does not answer is told in one sentence
    if Path(lake).is_dir() and not os.access(lake, os.R_OK | os.X_OK):
        raise UserError(
            f"the lake {lake} cannot be read (Permission denied): run as who owns it, or give another folder with --lake"
        )
    if not DeltaTable.is_deltatable(path(lake, table)):
        raise UserError(
            f"there is no table {table} in the lake {lake}: ingest a snapshot first, or give the right folder with --lake"
        )
