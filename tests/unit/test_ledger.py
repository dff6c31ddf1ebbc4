"""The run ledger and the pins that it gives."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Any

import pytest
from deltalake import DeltaTable

from crawlmill.errors import AnswerNeeded, UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import answers

S = "CC-MAIN-2026-43"


def row(
    stage: str, verdict: str = "passed", fence: int = 1, snapshot: str = S, inputs: pins.Pins | None = None, **outputs: int
) -> RunRow:
    return RunRow(
        run_id=f"{stage}-{fence}", stage=stage, snapshot=snapshot, stage_key=f"key-{stage}-{fence}", verdict=verdict, fence=fence,
        inputs=pins.rows(inputs or {}), outputs=[{"table": name, "version": at} for name, at in outputs.items()],
        counts=[{"shard": 0, "read": 3, "written": 3, "rejected": 0}], by_language={"eng": 3}, digests={"a/0": "x"},
    )  # fmt: skip


def test_an_empty_lake_has_no_runs(lake: str) -> None:
    assert ledger.runs(lake) == [] and ledger.verdict(lake, "extract", S) is None


def test_a_run_is_read_as_it_was_written(lake: str) -> None:
    table.create_all(lake)
    written = row("extract", documents=3)
    ledger.append_run(lake, written)
    (read,) = ledger.runs(lake)
    assert read.by_language == {"eng": 3} and read.digests == {"a/0": "x"} and read.output("documents") == 3
    assert read.counts == written.counts and read.started_at == written.started_at


def test_a_state_of_the_ledger_is_read_once_and_the_next_one_is_seen(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table.create_all(lake)
    ledger.append_run(lake, row("extract"))
    reads: list[DeltaTable] = []
    read = DeltaTable.to_pyarrow_table

    def counted(self: DeltaTable) -> Any:
        reads.append(self)
        return read(self)

    monkeypatch.setattr(DeltaTable, "to_pyarrow_table", counted)
    assert len(ledger.runs(lake)) == len(ledger.runs(lake, "extract")) == 1 and len(reads) == 1
    ledger.append_run(lake, row("identify", fence=2))
    assert len(ledger.runs(lake)) == 2 and len(reads) == 2
    shutil.rmtree(lake)  # another lake at the same place
    table.create_all(lake)
    ledger.append_run(lake, row("gate"))
    ledger.append_run(lake, row("sketch", fence=2))
    assert [run.stage for run in ledger.runs(lake)] == ["gate", "sketch"]


def test_only_what_passed_is_released(lake: str) -> None:
    table.create_all(lake)
    for one in (
        row("extract", fence=1, documents=1),
        row("extract", "failed", 2, documents=2),
        row("extract", "committed", 3, documents=3),
    ):
        ledger.append_run(lake, one)
    released, verdict = ledger.released(lake, "extract", S), ledger.verdict(lake, "extract", S)
    assert released and released.output("documents") == 1
    assert verdict and verdict.verdict == "failed"


def test_a_missing_upstream_names_the_stage_to_run(lake: str) -> None:
    table.create_all(lake)
    with pytest.raises(UserError, match="run extract first"):
        pins.for_snapshot(lake, "identify", S, ["documents"])


def test_siblings_on_other_versions_are_refused(lake: str) -> None:
    table.create_all(lake)
    ledger.append_run(lake, row("extract", fence=1, documents=1))
    ledger.append_run(lake, row("identify", fence=2, inputs={("documents", S): 1}, languages=1))
    pins.for_snapshot(lake, "rewrite", S, ["documents", "languages"])
    ledger.append_run(lake, row("extract", fence=3, documents=5))
    with pytest.raises(UserError, match="run identify again first"):
        pins.for_snapshot(lake, "rewrite", S, ["documents", "languages"])


def test_dedup_reads_the_last_complete_state_of_a_snapshot(lake: str) -> None:
    table.create_all(lake)
    old = {("documents", S): 1}
    ledger.append_run(lake, row("sketch", fence=1, inputs=old, bands=1, signatures=1))
    ledger.append_run(lake, row("gate", fence=2, inputs=old, verdicts=1))
    ledger.append_run(lake, row("sketch", fence=3, inputs={("documents", S): 9}, bands=2, signatures=2))  # gate is still to come
    found, keys = pins.ingested(lake)
    assert found["documents", S] == 1 and found["bands", S] == 1 and keys[f"sketch@{S}"] == "key-sketch-1"


def quality(run: RunRow, severity: str = "warning") -> dict[str, object]:
    return {
        "snapshot": run.snapshot, "stage": run.stage, "table": "verdicts", "version": 1, "run_id": run.run_id, "expectation": "share",
        "column": None, "severity": severity, "description": "a usual share is eligible", "success": False, "observed": "0.01", "limit": "{}",
        "samples": "[]", "error": None, "answer": None, "checked_at": datetime.now(UTC),
    }  # fmt: skip


def test_publishing_waits_for_an_answer_to_a_warning(lake: str) -> None:
    table.create_all(lake)
    run = row("gate", "warned", verdicts=1)
    ledger.append_run(lake, run)
    answers.require(lake)
    ledger.append_quality(lake, [quality(run)])
    with pytest.raises(AnswerNeeded, match=f"crawlmill answer {S}"):
        answers.require(lake)
    assert answers.give(lake, S, "a small crawl") == 1
    answers.require(lake)
    with pytest.raises(UserError, match="no warning"):
        answers.give(lake, S, "again")


def test_a_warning_of_a_run_that_was_replaced_no_longer_counts(lake: str) -> None:
    table.create_all(lake)
    run = row("gate", "warned", 1, verdicts=1)
    ledger.append_run(lake, run)
    ledger.append_quality(lake, [quality(run)])
    ledger.append_run(lake, row("gate", "passed", 2, verdicts=2))
    answers.require(lake)
