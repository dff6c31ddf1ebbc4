"""Whether the tables still hold what the ledger says was written: the ends of their logs, data files, rows by shard. Without Spark.

Delta reads a table whose last commit file is missing or empty as a smaller one without an error, and counts the rows of data files that are gone. Both are
told here by comparison with `runs`: before a stage reads, before it writes, and by `crawlmill tables` and `crawlmill check`. The remedy is the same for all:
the stage that wrote runs again and leaves the same rows, since a stage whose outputs are damaged is not up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import ledger, superseded, table
from crawlmill.lake.ledger import RunRow
from crawlmill.lake.pins import EVERY, Pins
from crawlmill.storage import lake_files

# The table of which `counts` of a stage's run has the rows by shard.
COUNTED = {"extract": "documents", "identify": "languages", "measure": "signals", "sketch": "signatures", "gate": "verdicts"}
Wanted = dict[str, dict[str, RunRow]]  # table -> snapshot -> the run whose output is to be looked at


@dataclass(frozen=True)
class Damage:
    """A table that does not hold what a run left in it."""

    table: str
    stage: str
    snapshot: str
    what: str

    def __str__(self) -> str:
        work = f"run {self.stage} of {self.snapshot.replace(EVERY, 'all snapshots')} again, which leaves the same rows"
        return f"table {self.table}: {self.what}; {work} (infra/RUNBOOK.md, TableDamaged)"


def require(lake: str, stage: str, snapshot: str, found: Pins, reads: Iterable[str], writes: Iterable[str]) -> None:
    """Raise UserError where what a stage is to read is damaged, or where its commit would take the place of one that was lost.

    Args:
        lake: where the tables are.
        stage: that is to run, on a snapshot.
        snapshot: or EVERY.
        found: pins of the run; those of tables that it `reads` are looked at.
        reads: tables.
        writes: tables; a lost commit of this very stage and snapshot may be written again, since it leaves the same rows.
    """
    runs = ledger.runs(lake)
    by_output = {(e["table"], run.snapshot, int(e["version"])): run for run in _released(runs) for e in run.outputs}
    wanted: Wanted = {}
    for (name, of), at in found.items():
        if name in set(reads) and (run := by_output.get((name, of, at))):
            wanted.setdefault(name, {})[of] = run
    refuse([*damages(lake, wanted, runs), *_lost(lake, stage, snapshot, writes, runs)])


def refuse(found: list[Damage]) -> None:
    """Raise UserError that names the first damage and counts the others."""
    if found:
        more = f" ({len(found) - 1} more: see `crawlmill tables`)" if len(found) > 1 else ""
        raise UserError(f"{found[0]}{more}")


def of_run(lake: str, run: RunRow) -> list[Damage]:
    """What of a run's outputs is damaged."""
    wanted: Wanted = {entry["table"]: {run.snapshot: run} for entry in run.outputs}
    return list(damages(lake, wanted, ledger.runs(lake)))


def of_lake(lake: str) -> list[Damage]:
    """What of the outputs of all runs in force is damaged."""
    runs, wanted = ledger.runs(lake), Wanted()
    for run in _in_force(runs):
        for entry in run.outputs:
            # Of a table that several stages write, the last one's version has what the others left.
            before = wanted.setdefault(entry["table"], {}).get(run.snapshot)
            if before is None or before.output(entry["table"]) <= int(entry["version"]):
                wanted[entry["table"]][run.snapshot] = run
    return list(damages(lake, wanted, runs))


def damages(lake: str, wanted: Wanted, runs: Iterable[RunRow]) -> Iterator[Damage]:
    """What is damaged of these outputs, the first that is found for each table and snapshot."""
    every = list(runs)
    for name, of in sorted(wanted.items()):
        try:
            newest = table.version(lake, name)
            told = {snapshot: what for snapshot, run in of.items() if (what := _in_log(lake, name, run, newest, every))}
            told |= dict(_in_files(lake, name, {snapshot: run for snapshot, run in of.items() if snapshot not in told}))
        except Exception as error:
            if not _unreadable(error):
                raise
            said = next(iter(str(error).splitlines()), "")
            told = dict.fromkeys(of, f"its log cannot be read ({said}): put back what is missing from a copy")
        for snapshot, what in sorted(told.items()):
            yield Damage(name, of[snapshot].stage, snapshot, what)


def _unreadable(error: Exception) -> bool:
    """Whether an error is deltalake's on a log or checkpoint that is missing or no log."""
    return type(error).__module__.startswith(("deltalake", "_internal")) or isinstance(
        error, (FileNotFoundError, json.JSONDecodeError)
    )


def _released(runs: Iterable[RunRow]) -> list[RunRow]:
    return [run for run in runs if run.verdict in ledger.RELEASED and run.stage != superseded.STAGE]


def _in_force(runs: Iterable[RunRow]) -> list[RunRow]:
    """The latest released run of each stage on each snapshot."""
    return list({(run.stage, run.snapshot): run for run in _released(runs)}.values())


def _lost(lake: str, stage: str, snapshot: str, writes: Iterable[str], runs: Iterable[RunRow]) -> list[Damage]:
    """Commits at a log's end that are gone: the next one would get their number, and who pinned that would read something else."""
    found = []
    for name in writes:
        newest, owners = table.version(lake, name), [run for run in _in_force(runs) if run.wrote(name)]
        gone = [run for run in owners if run.output(name) > newest]
        if not any((run.stage, run.snapshot) == (stage, snapshot) for run in gone):
            found += [Damage(name, run.stage, run.snapshot, _missing(run.output(name), newest)) for run in gone]
    return found


def _missing(at: int, newest: int) -> str:
    return f"its version {at} is gone (_delta_log/{at:020d}.json is missing, the newest is {newest})"


def _in_log(lake: str, name: str, run: RunRow, newest: int, runs: list[RunRow]) -> str | None:
    """What is wrong with the commits of a run, or of the attempts at groups of shards that it was put together from."""
    takedowns = any(other.stage == superseded.STAGE and other.snapshot == run.snapshot for other in runs)
    for at in sorted({run.output(name), *_parts(name, run, runs)}):
        if at > newest:
            return _missing(at, newest)
        content = lake_files.read(f"{lake}/{name}", f"_delta_log/{at:020d}.json")
        if content is None:  # older than what the log keeps beside its checkpoints
            continue
        if not content.strip():
            return f"the commit of its version {at} is empty (_delta_log/{at:020d}.json)"
        by = _who(content).get("snapshot", run.snapshot)
        if by != run.snapshot and EVERY not in (by, run.snapshot) and not takedowns:
            return f"its version {at} is not the one that was written (a commit of {by})"
    return None


def _who(content: bytes) -> dict[str, Any]:
    """What the writer of a commit said about itself."""
    for line in content.splitlines():
        action = json.loads(line)
        if "commitInfo" in action:
            found: dict[str, Any] = json.loads(action["commitInfo"].get("userMetadata") or "{}")
            return found
    return {}


def _parts(name: str, run: RunRow, runs: list[RunRow]) -> set[int]:
    """The versions that attempts at groups of shards committed, as far as no later attempt at their shards or the whole has."""
    latest: dict[int, RunRow] = {}
    for other in runs:  # oldest first
        if (other.stage, other.snapshot) != (run.stage, run.snapshot) or other.verdict != "committed":
            continue
        latest = latest | dict.fromkeys(other.shards, other) if other.shards else {}
    if not any(part.fence == run.fence for part in latest.values()):
        return set()
    return {part.output(name) for part in latest.values() if part.wrote(name)}


def _in_files(lake: str, name: str, of: Mapping[str, RunRow]) -> Iterator[tuple[str, str]]:
    """Snapshots with data files that are missing or cut, or with other rows than were counted."""
    from deltalake import DeltaTable

    by_version: dict[int, list[str]] = {}
    for snapshot, at in table.together(lake, name, {snapshot: run.output(name) for snapshot, run in of.items()}).items():
        by_version.setdefault(at, []).append(snapshot)
    for at, snapshots in by_version.items():
        adds = DeltaTable(table.path(lake, name), version=at).get_add_actions(flatten=True)
        columns = {
            column: adds[column].to_pylist() for column in adds.schema.names if not column.startswith(("min", "max", "null"))
        }
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        for snapshot in snapshots:
            own = [row for row in rows if snapshot in (EVERY, row.get("partition.snapshot", snapshot))]
            if what := _other_files(lake, name, snapshot, own) or _other_rows(name, of[snapshot], own):
                yield snapshot, what


def _other_files(lake: str, name: str, snapshot: str, rows: list[dict[str, Any]]) -> str | None:
    own = snapshot != EVERY and "snapshot" in contract.load(name).partition_columns
    held = lake_files.sizes(lake, f"{name}/snapshot={snapshot}" if own else name) if lake_files.is_bucket(lake) else {}
    for row in rows:
        path = f"{name}/{unquote(row['path'])}"
        size = held.get(path) if lake_files.is_bucket(lake) else _size(Path(lake) / path)
        if size is None:
            return f"data file {path} is missing"
        if size != row["size_bytes"]:
            return f"data file {path} has {size} bytes and was written with {row['size_bytes']}"
    return None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _other_rows(name: str, run: RunRow, rows: list[dict[str, Any]]) -> str | None:
    if COUNTED.get(run.stage) != name or any(row.get("num_records") is None for row in rows):
        return None
    held: dict[int, int] = {}
    for row in rows:
        shard = int(row["partition.shard"])
        held[shard] = held.get(shard, 0) + row["num_records"]
    for count in run.counts:
        if held.get(count["shard"], 0) != count["written"]:
            return f"shard {count['shard']} of {run.snapshot} has {held.get(count['shard'], 0)} rows and {count['written']} were written"
    return None
