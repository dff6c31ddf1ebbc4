"""Care of the tables: small files together, files that nothing in use refers to away. Without Spark.

A version is in use while a run in force rests on it (as its input, its output, or the state that dedup compares with), while an attempt that is not
judged yet does, and for some days after any run that was released, for the people who look at it. VACUUM keeps the files of all those and of the newest
version, whatever their age; of the others it takes those that were replaced long enough ago.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import fence, ledger, pins, superseded, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.storage import lake_files
from crawlmill.upkeep import purge

if TYPE_CHECKING:
    from deltalake import DeltaTable

LEAST_HOURS = 24  # a Spark job may run for twelve hours, and its files are in no log before it commits
SETTLED = ("pairs", "clusters")  # tables whose commits name the state that dedup compares with next


@dataclass(frozen=True)
class Done:
    """What was done to a table: files put together into fewer, files taken away, versions kept for those who use them."""

    table: str
    merged: int
    written: int
    removed: int
    kept: int


def in_use(lake: str, keep_days: float) -> dict[str, set[int]]:
    """The versions of each table that may still be read.

    Args:
        lake: folder of the tables.
        keep_days: days for which a released run's versions are kept although a later run has replaced it.
    """
    used: dict[str, set[int]] = defaultdict(set)
    every = ledger.runs(lake)
    gone = superseded.versions(every)
    runs = [run for run in every if run.stage != superseded.STAGE]
    for run in _standing(runs, datetime.now(UTC) - timedelta(days=keep_days)):
        for (name, snapshot), at in pins.of(run).items():
            if (name, snapshot, at) not in gone:
                used[name].add(at)
    for (name, _), at in pins.ingested(lake)[0].items():
        used[name].add(at)
    for settled in SETTLED:
        note = (table_log.noted(lake, settled) or {}).get("note", {})
        for name, versions in note.get("pins", {}).items():
            used[name].update(versions.values())
        if note.get("pairs") is not None:
            used["pairs"].add(note["pairs"])
    return used


def _standing(runs: Iterable[RunRow], since: datetime) -> list[RunRow]:
    """Runs in force, attempts after them that nobody has judged, and what was released since a day."""
    by_work: dict[tuple[str, str], list[RunRow]] = defaultdict(list)
    for run in runs:  # oldest first
        by_work[run.stage, run.snapshot].append(run)
    kept = []
    for history in by_work.values():
        last = max((place for place, run in enumerate(history) if run.verdict in ledger.RELEASED), default=-1)
        kept += history[max(last, 0) :]
        kept += [run for run in history[: max(last, 0)] if run.verdict in ledger.RELEASED and run.finished_at >= since]
    return kept


def maintain(
    lake: str, tables: Iterable[str] = (), retention_hours: int = 168, keep_days: float = 30.0, dry_run: bool = False
) -> list[Done]:
    """Compact and vacuum tables; returns what was done, or with `dry_run` what VACUUM would take, a row a table.

    Args:
        lake: folder of the tables.
        tables: names; all by default.
        retention_hours: how long ago a file must have been replaced to be taken, at least 24.
        keep_days: days for which the versions of replaced runs are kept.
        dry_run: change nothing.

    Raises:
        UserError: an unknown table, too short a retention, no lake.
    """
    from deltalake import DeltaTable

    if retention_hours < LEAST_HOURS:
        raise UserError(
            f"{retention_hours} hours of retention would take files from under jobs that run: give {LEAST_HOURS} or more"
        )
    names = list(tables) or contract.all_tables()
    if unknown := sorted(set(names) - set(contract.all_tables())):
        raise UserError(f"there is no table {unknown[0]!r}: the tables are {', '.join(contract.all_tables())}")
    table.require(lake, "runs")
    used, done = in_use(lake, keep_days), []
    every, now = ledger.runs(lake), datetime.now(UTC)
    runs = [run for run in every if run.stage != superseded.STAGE]
    for name in names:
        if not DeltaTable.is_deltatable(table.path(lake, name)):
            continue
        with fence.commits(lake, name):
            one = _care(DeltaTable(table.path(lake, name)), name, used[name], retention_hours, dry_run)
            standing = _standing(runs, now - timedelta(days=keep_days))
            taken = purge.purge(lake, name, every, standing, now - timedelta(hours=retention_hours), dry_run)
            done.append(replace(one, removed=one.removed + taken))
    if not dry_run:
        lake_files.sweep(lake, retention_hours)
    return done


def _care(found: DeltaTable, name: str, used: set[int], hours: int, dry_run: bool) -> Done:
    merged = written = 0
    if contract.load(name).compact and not dry_run and len(found.file_uris()) > 1:
        metrics = found.optimize.compact()
        merged, written = int(metrics["numFilesRemoved"]), int(metrics["numFilesAdded"])
    keep = sorted(version for version in used if version <= found.version())
    removed = found.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True, keep_versions=keep or None)
    return Done(name, merged, written, len(removed), len(keep))
