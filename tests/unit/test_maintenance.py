"""Maintenance never takes what somebody may still read, and takes what nobody can."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from crawlmill.errors import UserError
from crawlmill.lake import ledger, superseded, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.upkeep import maintenance

S = "CC-MAIN-2026-43"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def written(lake: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake whose table `languages` has four versions, each with other rows in place of those before."""
    monkeypatch.setattr(maintenance, "LEAST_HOURS", 0)
    table.create_all(lake)
    shutil.rmtree(table.path(lake, "languages"))  # the writer without Spark cannot check its constraints
    for number in range(4):
        write_deltalake(table.path(lake, "languages"), pa.table({"id": [f"document {number}"]}), mode="overwrite")
    return lake


def ran(
    lake: str, version: int, verdict: str = "passed", fence: int = 1, finished: datetime = LONG_AGO, stage: str = "identify"
) -> None:
    outputs = [{"table": "languages", "version": version}]
    ledger.append_run(
        lake,
        RunRow(run_id=f"r{fence}", stage=stage, snapshot=S, stage_key="k", verdict=verdict, outputs=outputs, fence=fence,
               started_at=finished, finished_at=finished),
    )  # fmt: skip


def readable(lake: str) -> list[int]:
    """The versions of the four that can still be read."""
    return [at for at in range(4) if table_log.readable(lake, "languages", at)]


def test_the_newest_version_and_those_of_runs_in_force_stay(written: str) -> None:
    ran(written, 0, fence=1)
    ran(written, 1, fence=2)
    (done,) = maintenance.maintain(written, ["languages"], 0)
    assert done.removed == 2 and done.kept == 1
    assert readable(written) == [1, 3]


def test_what_was_released_lately_and_what_nobody_has_judged_stays(written: str) -> None:
    ran(written, 0, fence=1, finished=datetime.now(UTC) - timedelta(days=3))
    ran(written, 1, fence=2)
    ran(written, 2, "committed", fence=3)
    assert maintenance.in_use(written, 7)["languages"] == {0, 1, 2}
    assert maintenance.in_use(written, 2)["languages"] == {1, 2}


def test_what_was_found_wrong_and_replaced_goes(written: str) -> None:
    ran(written, 0, "failed", fence=1)
    ran(written, 1, fence=2)
    assert maintenance.in_use(written, 30)["languages"] == {1}


def test_files_replaced_lately_stay_although_nobody_needs_them(written: str) -> None:
    (done,) = maintenance.maintain(written, ["languages"], 1)
    assert done.removed == 0


def test_a_dry_run_changes_nothing(written: str) -> None:
    before = [table.version(written, name) for name in ("languages", "runs")]
    (done,) = maintenance.maintain(written, ["languages"], 0, dry_run=True)
    assert done.removed == 3 and [table.version(written, name) for name in ("languages", "runs")] == before
    assert readable(written) == [0, 1, 2, 3]


def test_the_ledger_is_compacted_and_reads_the_same(written: str) -> None:
    for fence in range(5):
        ran(written, 0, fence=fence)
    before = ledger.runs(written)
    (done,) = maintenance.maintain(written, ["runs"])
    assert (done.merged, done.written) == (5, 1) and ledger.runs(written) == before
    ran(written, 0, fence=9)
    assert len(ledger.runs(written)) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"tables": ["langages"]}, "no table 'langages'"), ({"retention_hours": -1}, "give 0 or more")],
)
def test_wrong_input_is_told(written: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        maintenance.maintain(written, **arguments)


def test_a_lake_that_is_none_is_told(lake: str) -> None:
    with pytest.raises(UserError, match="ingest a snapshot first"):
        maintenance.maintain(lake)


def test_what_maintenance_commits_is_no_change_of_rows(written: str) -> None:
    changed = table_log.changed_at(written, "languages")
    assert changed == table.version(written, "languages") == 3
    maintenance.maintain(written, ["languages"], 0)
    DeltaTable(table.path(written, "languages")).optimize.compact()
    assert table_log.changed_at(written, "languages") == changed


def test_what_a_takedown_replaced_is_kept_for_nobody(written: str) -> None:
    ran(written, 0, fence=1, finished=datetime.now(UTC))
    replaced = [{"table": "languages", "snapshot": S, "version": 0}]
    entry = RunRow(run_id="takedown-1", stage="takedown", snapshot=S, stage_key="k", verdict="passed", fence=2, inputs=replaced,
                   outputs=[{"table": "languages", "version": 1}], started_at=LONG_AGO, finished_at=LONG_AGO)  # fmt: skip
    ledger.append_run(written, entry)
    ran(written, 1, fence=3)
    assert maintenance.in_use(written, 30)["languages"] == {1}
    with pytest.raises(UserError, match="run dedup first"):
        superseded.refuse(written, {("languages", S): 0, ("documents", S): 4})
    superseded.refuse(written, {("languages", S): 1, ("languages", "CC-MAIN-2026-38"): 0})
