"""The question before publishing: asked only where warnings are open, with what was seen, and answered with a name."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from crawlmill.contracts import contract
from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.orchestrate.approval import HOLD, PUBLISH, QualityApproval
from crawlmill.protocol import answers

OLD, NEW = "CC-MAIN-2026-38", "CC-MAIN-2026-43"


def judged(lake: str, snapshot: str, observed: str, success: bool = False, expectation: str = "keep_rate_near_baseline") -> None:
    """A gate run with one warning, as the stage records it."""
    run = RunRow(
        run_id=f"gate-{snapshot}-{expectation}", stage="gate", snapshot=snapshot, stage_key="k", verdict="warned", fence=1
    )
    ledger.append_run(lake, run)
    row = {
        "snapshot": snapshot, "stage": "gate", "table": "verdicts", "version": 1, "run_id": run.run_id, "expectation": expectation,
        "column": None, "severity": "warning", "description": "as many are kept as before", "success": success, "observed": observed,
        "limit": "0.1", "samples": '["a `page` text"]', "error": None, "answer": None, "checked_at": datetime.now(UTC),
    }  # fmt: skip
    ledger.append_quality(lake, [row])


class Instance(SimpleNamespace):
    """Stands in for the task instance: its XComs."""

    def __init__(self) -> None:
        super().__init__(id="x", task_id="approve", pushed={})

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, key: str, task_ids: str) -> Any:
        return self.pushed.get(key)


@pytest.fixture
def written(lake: str) -> str:
    table.create_all(lake)
    return lake


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    told: dict[str, Any] = {}
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **kwargs: told.update(kwargs))
    instance = Instance()
    return {"ti": instance, "task_instance": instance, "told": told}


def operator(lake: str) -> QualityApproval:
    made = QualityApproval(task_id="approve", lake=lake, hours="1.5")
    made.params = ParamsDict(
        {"lake": Param("", type="string"), "wait_minutes": Param(360, type="integer")}
    )  # the DAG's, as at run time
    return made


def event(choice: str, user: Any = None, because: str = "fewer hosts") -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"chosen_options": [choice], "params_input": {"because": because}, "responded_at": now, "responded_by_user": user}


def ask(lake: str, context: Any) -> QualityApproval:
    asked = operator(lake)
    with pytest.raises(TaskAwaitingInput):
        asked.execute(context)
    return asked


def test_nothing_is_asked_where_nothing_is_open(written: str, context: Any) -> None:
    operator(written).execute(context)
    assert context["told"] == {}


def test_the_form_shows_expectation_value_history_and_samples_as_data(written: str, context: Any) -> None:
    judged(written, OLD, '{"eng": 0.7}', success=True)
    judged(written, NEW, '{"eng": 0.2}')
    ask(written, context)
    body = context["told"]["body"]
    assert list(context["told"]["params"]) == ["because"]
    assert "1 quality warning:" in context["told"]["subject"]
    assert "as many are kept as before" in body and '`{"eng": 0.2}`' in body and f'{OLD} `{{"eng": 0.7}}`' in body
    assert "a 'page' text" in body, "a sample cannot end the code that it stands in"
    assert context["told"]["defaults"] == [HOLD], "the contract declares hold for this one"
    assert "Without an answer within 1.5 hours: **Hold**." in body


def test_what_holds_on_timeout_is_what_all_contracts_say() -> None:
    declared = {rule["answer_on_timeout"]: rule["name"] for rule in contract.load("documents").expectations}
    publish, hold = ({"table": "documents", "expectation": declared[answer]} for answer in ("publish", "hold"))
    assert answers.on_timeout([publish]) == "publish"
    assert answers.on_timeout([publish, hold]) == answers.on_timeout([hold]) == "hold"
    assert answers.on_timeout([{"table": "documents", "expectation": "gone"}]) == "hold", "what no contract declares is held"


def test_publish_is_recorded_with_who_and_why_and_only_for_what_was_shown(written: str, context: Any) -> None:
    judged(written, NEW, "0.2")
    asked = ask(written, context)
    judged(written, OLD, "0.1")  # comes up while the person thinks
    done = asked.execute_complete(context, event(PUBLISH, {"id": "7", "name": "eve"}))
    assert done == {"answer": PUBLISH, "by": "eve", "because": "fewer hosts", "warnings": 1}
    assert [row["snapshot"] for row in ledger.open_warnings(written)] == [OLD]
    assert [row["answer"] for row in ledger.quality(written) if row["answer"]] == ["publish by eve: fewer hosts"]


def test_hold_is_recorded_fails_for_good_and_leaves_the_warning_open(written: str, context: Any) -> None:
    judged(written, NEW, "0.2")
    asked = ask(written, context)
    with pytest.raises(AirflowFailException, match="held by nobody in time"):
        asked.execute_complete(context, event(HOLD))
    assert len(ledger.open_warnings(written)) == 1
    assert [row["answer"] for row in ledger.quality(written) if row["answer"]] == ["hold by nobody in time: fewer hosts"]
