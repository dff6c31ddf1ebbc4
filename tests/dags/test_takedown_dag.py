"""DAG `takedown`: nothing is deleted before a person has seen the counts and agreed."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError, TaskAwaitingInput

from crawlmill.orchestrate.takedowns import DELETE, KEEP, TakedownApproval
from crawlmill.takedowns import orders
from crawlmill.verbs import takedown_cli


@pytest.fixture
def asked(lake: str, monkeypatch: pytest.MonkeyPatch) -> TakedownApproval:
    orders.add(lake, orders.make(["elsewhere.example"], "", ""))  # so that the lake's folder is there
    name = orders.make(["example.org", "https://other.example/x"], "", "").name
    takedown_cli.keep_preview(
        lake, name, {"tables": {"documents": {"CC-MAIN-2026-43": 17, "CC-MAIN-2026-38": 3}}, "releases": ["web"]}
    )
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **kwargs: None)
    return TakedownApproval(
        task_id="approve", lake=lake, names="https://other.example/x\nexample.org", because="a `letter`", by="Ann"
    )


def test_the_form_shows_pages_rows_and_releases(asked: TakedownApproval) -> None:
    instance = SimpleNamespace(id="x", task_id="approve")
    with pytest.raises(TaskAwaitingInput):
        asked.execute({"ti": instance, "task_instance": instance})  # type: ignore[typeddict-item]
    assert (asked.body or "").splitlines() == [
        "Asked for by `Ann`, because: `a 'letter'`", "", "* `example.org`", "* `https://other.example/x`", "",
        "Rows that would go:", "", "* documents: 20 (CC-MAIN-2026-38 3, CC-MAIN-2026-43 17)", "",
        "releases to withdraw: web", "", "Without an answer within a week: **Keep**.",
    ]  # fmt: skip
    assert asked.defaults == [KEEP]


def answer(choice: str, user: dict[str, str] | None) -> dict[str, Any]:
    return {
        "chosen_options": [choice],
        "params_input": {},
        "responded_by_user": user,
        "responded_at": datetime.now(UTC),
        "timedout": user is None,
    }


def test_who_agrees_is_handed_on(asked: TakedownApproval) -> None:
    assert asked.execute_complete({}, answer(DELETE, {"id": "7", "name": "Ann"})) == "Ann"  # type: ignore[typeddict-item]


@pytest.mark.parametrize("user", [{"id": "7", "name": "Ann"}, None])
def test_keeping_or_silence_deletes_nothing(asked: TakedownApproval, user: dict[str, str] | None) -> None:
    with pytest.raises(AirflowFailException, match="nothing was deleted"):
        asked.execute_complete({}, answer(KEEP, user))  # type: ignore[typeddict-item]


def test_the_jobs_get_the_form_and_only_the_last_deletes(dags: dict[str, Any]) -> None:
    dag = dags["takedown"]
    find, delete = dag.get_task("find").application_args, dag.get_task("delete").application_args
    assert "--yes" not in find and delete[-1] == "--yes"
    assert delete[:3] == ["{{ params.names }}", "--because", "{{ params.because }}"]
    assert "approved by {{ ti.xcom_pull(task_ids='approve') }}" in delete[4]
    assert dag.get_task("delete").upstream_task_ids == {"approve"} and dag.get_task("approve").upstream_task_ids == {"find"}


@pytest.mark.parametrize(("param", "value"), [("names", " \n "), ("names", "{{ 1 }}"), ("because", "x"), ("by", "a\nb")])
def test_the_form_refuses_what_is_empty_or_a_template(dags: dict[str, Any], param: str, value: str) -> None:
    import copy

    with pytest.raises(ParamValidationError):
        copy.deepcopy(dags["takedown"].params)[param] = value
