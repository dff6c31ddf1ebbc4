"""The last trace of what was taken down: data files that held it, once nobody can be reading them any more. Without Spark.

VACUUM keeps whole versions, and a version that is kept for one snapshot keeps the files of all, also of one out of which records were taken since.
So the files of such a snapshot's partitions are looked at one by one: those of the newest version and of the versions that runs in force rest on stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from crawlmill.lake import pins, superseded, table
from crawlmill.lake.ledger import RunRow
from crawlmill.storage import lake_files
from crawlmill.takedowns import takedown_rows


def purge(lake: str, name: str, every: list[RunRow], standing: Iterable[RunRow], until: datetime, dry_run: bool) -> int:
    """Take the files of a table that a takedown before `until` has replaced; returns how many. Call it under the table's lock.

    Args:
        lake: folder of the tables.
        name: of the table.
        every: the ledger.
        standing: runs whose versions may still be read.
        until: what was taken down later stays.
        dry_run: only count.
    """
    gone = superseded.versions(every)
    used: dict[str, set[int]] = {}
    for run in standing:
        for (own, snapshot), at in pins.of(run).items():
            if own == name and (own, snapshot, at) not in gone:
                used.setdefault(snapshot, set()).add(at)
    removed = 0
    for run in every:
        if run.stage == superseded.STAGE and run.finished_at <= until and any(entry["table"] == name for entry in run.inputs):
            held = used.get(run.snapshot, set()) | {table.version(lake, name)}
            stay = {path for at in held for path in takedown_rows.files(lake, name, run.snapshot, at)}
            removed += _take(lake, name, run.snapshot, stay, run.finished_at, dry_run)
    return removed


def _take(lake: str, name: str, snapshot: str, stay: set[str], before: datetime, dry_run: bool) -> int:
    removed = 0
    for file, written in lake_files.dated(lake, f"{name}/snapshot={snapshot}"):
        if file.endswith(".parquet") and written < before and file.removeprefix(f"{name}/") not in stay:
            removed += 1
            if not dry_run:
                lake_files.remove(lake, file)
    return removed
