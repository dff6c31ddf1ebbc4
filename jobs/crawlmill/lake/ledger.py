"""The run ledger: what ran, on which pinned inputs, with which verdict. Read and written without Spark.

A stage may read a partition only at a version that the ledger says has passed. Rows are appended, never changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from crawlmill.lake import fence, ledger_length

RELEASED = ("passed", "warned", "answered")  # verdicts whose versions the next stage may read
PUBLISH = "publish"  # how an answer begins that lets a warning pass


@dataclass
class RunRow:
    """A row of table `runs`; the contract `schemas/runs.yaml` describes the columns."""

    run_id: str
    stage: str
    snapshot: str
    stage_key: str
    verdict: str
    shards: list[int] | None = None
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    by_language: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    code_version: str = ""
    fence: int = 0
    message: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def output(self, table: str) -> int:
        """The version of a table that this run committed or found."""
        return int(next(entry["version"] for entry in self.outputs if entry["table"] == table))

    def wrote(self, table: str) -> bool:
        """Whether this run committed a table."""
        return any(entry["table"] == table for entry in self.outputs)


def append_rows(lake: str, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a table that only grows, without Spark."""
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    if not rows:
        return
    with fence.commits(lake, table):
        target = DeltaTable(f"{lake}/{table}")
        schema = pa.schema(target.schema().to_arrow())
        write_deltalake(target, pa.Table.from_pylist([dict(row) for row in rows], schema=plain(schema)), mode="append")
    ledger_length.remember(lake, table)


def plain(schema: Any) -> Any:
    """The schema with Arrow's ordinary string types: from_pylist builds no views."""
    import pyarrow as pa

    def plain(kind: Any) -> Any:
        if kind in (pa.string_view(), pa.large_string()):
            return pa.string()
        if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
            return pa.list_(plain(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([pa.field(f.name, plain(f.type)) for f in kind])
        if pa.types.is_map(kind):
            return pa.map_(plain(kind.key_type), plain(kind.item_type))
        return kind

    return pa.schema([pa.field(f.name, plain(f.type)) for f in schema])


def append_run(lake: str, row: RunRow) -> None:
    """Append a run."""
    append_runs(lake, [row])


def append_runs(lake: str, rows: Sequence[RunRow]) -> None:
    """Append runs, all or none; their maps are stored as Delta maps."""
    maps = [{"by_language": sorted(row.by_language.items()), "digests": sorted(row.digests.items())} for row in rows]
    append_rows(lake, "runs", [{**asdict(row), **own} for row, own in zip(rows, maps, strict=True)])


def append_quality(lake: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append the results of expectations."""
    append_rows(lake, "quality", rows)


_READ: dict[str, tuple[tuple[str, int, int], list[dict[str, Any]]]] = {}  # a table's rows, and the state in which they were read


def _rows(lake: str, name: str) -> list[dict[str, Any]]:
    """The rows of a table that only grows, not to be changed; none where there is no such table. Raises UserError where it has become shorter.

    A stage asks for them dozens of times, so a process reads each state of the table once.
    """
    from deltalake import DeltaTable

    path = f"{lake}/{name}"
    known = ledger_length.known(lake, name)  # first: what is appended meanwhile makes the table longer, never shorter
    if not DeltaTable.is_deltatable(path):
        ledger_length.compare(lake, name, known, -1, 0)
        return []
    table = DeltaTable(path)
    state = str(table.metadata().id), table.version(), len(table.file_uris())  # a log that loses its end may keep its version
    held = _READ.get(path)
    if held is None or held[0] != state:
        held = _READ[path] = state, table.to_pyarrow_table().to_pylist(maps_as_pydicts="strict")
    ledger_length.compare(lake, name, known, state[1], len(held[1]))
    return held[1]


def raw(lake: str, table: str) -> list[dict[str, Any]]:
    """The rows of a table that only grows as they are, maps as pairs, however many there were."""
    from deltalake import DeltaTable

    rows: list[dict[str, Any]] = DeltaTable(f"{lake}/{table}").to_pyarrow_table().to_pylist()
    return rows


def runs(lake: str, stage: str | None = None, snapshot: str | None = None) -> list[RunRow]:
    """The runs of a stage on a snapshot, oldest first; every run where neither is given. No ledger yet: no runs."""
    found = [
        RunRow(**{**row, "by_language": row["by_language"] or {}, "digests": row["digests"] or {}})
        for row in _rows(lake, "runs")
        if stage in (None, row["stage"]) and snapshot in (None, row["snapshot"])
    ]
    return sorted(found, key=lambda run: (run.fence, run.finished_at))


def verdict(lake: str, stage: str, snapshot: str) -> RunRow | None:
    """The latest run that was judged on the whole snapshot, whatever the verdict; None where there is none."""
    judged = [run for run in runs(lake, stage, snapshot) if run.verdict != "committed"]
    return judged[-1] if judged else None


def released(lake: str, stage: str, snapshot: str) -> RunRow | None:
    """The latest run whose versions may be read; None where the stage never passed on this snapshot."""
    passed = [run for run in runs(lake, stage, snapshot) if run.verdict in RELEASED]
    return passed[-1] if passed else None


def released_snapshots(lake: str, stage: str) -> dict[str, RunRow]:
    """Every snapshot on which a stage passed, with its latest such run, ordered by snapshot."""
    latest = {run.snapshot: run for run in runs(lake, stage) if run.verdict in RELEASED}
    return dict(sorted(latest.items()))


def quality(lake: str, snapshot: str | None = None) -> list[dict[str, Any]]:
    """Results of expectations, oldest first."""
    rows = [dict(row) for row in _rows(lake, "quality") if snapshot in (None, row["snapshot"])]
    return sorted(rows, key=lambda row: row["checked_at"])


def open_warnings(lake: str) -> list[dict[str, Any]]:
    """Failed expectations of severity warning, in runs still in force, that nobody has answered yet."""
    current = {(run.stage, run.snapshot): run.run_id for run in runs(lake) if run.verdict in RELEASED}
    judged = quality(lake)
    answered = {
        (row["run_id"], row["table"], row["expectation"], row["column"])
        for row in judged
        if (row["answer"] or "").startswith(PUBLISH)
    }
    return [
        row
        for row in judged
        if row["severity"] == "warning"
        and not row["success"]
        and not row["answer"]
        and current.get((row["stage"], row["snapshot"])) == row["run_id"]
        and (row["run_id"], row["table"], row["expectation"], row["column"]) not in answered
    ]


def answer(lake: str, rows: Sequence[Mapping[str, Any]], said: str) -> None:
    """Record an answer (`publish by …`, `hold by …`) to warnings, as further rows of `quality`."""
    append_quality(lake, [{**row, "answer": said, "checked_at": datetime.now(UTC)} for row in rows])


def dumps(value: Any) -> str:
    """JSON for the ledger's text columns."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
