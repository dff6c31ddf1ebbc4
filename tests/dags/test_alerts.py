"""Who is told of failures and delays, and whose turn it is."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import AsyncCallback, BaseNotifier, SyncCallback

from crawlmill.errors import UserError
from crawlmill.orchestrate import alerts
from crawlmill.orchestrate.priority import ScheduledFirst

TOLD: list[str] = []
HERE = __name__


class Plain(BaseNotifier):
    """A notifier as a user might write it."""

    template_fields = ("text",)

    def __init__(self, text: str, context: Any = None) -> None:
        super().__init__(context)
        self.text = text

    def notify(self, context: Any) -> None:
        TOLD.append(self.text)


class Awaitable(Plain):
    """One that the triggerer can run."""

    async def async_notify(self, context: Any) -> None:
        TOLD.append(f"later: {self.text}")


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    def choose(name: str, arguments: str = '{"text": "{{ who }} failed"}') -> None:
        monkeypatch.setenv(alerts.NOTIFIER, name)
        monkeypatch.setenv(alerts.ARGUMENTS, arguments)

    TOLD.clear()
    return choose


def test_nobody_is_told_where_nobody_is_named() -> None:
    assert alerts.notifiers() == []
    late = alerts.deadline("ingest_snapshot")
    assert late.interval == timedelta(hours=72) and late.callback.path == "crawlmill.orchestrate.alerts.log_late"


def test_a_late_run_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "crawlmill.alerts"):
        asyncio.run(alerts.log_late(**alerts.deadline("ingest_snapshot").callback.kwargs, context={}))
    assert "a run of ingest_snapshot has missed its deadline" in caplog.text


def test_the_users_notifier_is_called_with_its_templates_filled_in(chosen: Any) -> None:
    chosen(f"{HERE}.Plain")
    (notifier,) = alerts.notifiers()
    notifier({"who": "extract"})
    assert TOLD == ["extract failed"]


@pytest.mark.parametrize(("name", "kind"), [("Plain", SyncCallback), ("Awaitable", AsyncCallback)])
def test_deadlines_are_told_by_the_same_notifier(chosen: Any, monkeypatch: pytest.MonkeyPatch, name: str, kind: type) -> None:
    chosen(f"{HERE}.{name}", '{"text": "late"}')
    monkeypatch.setenv(alerts.HOURS, "1.5")
    late = alerts.deadline("publish_corpus")
    assert type(late.callback) is kind and late.interval == timedelta(hours=1.5)
    assert late.callback.path == f"{HERE}.{name}" and late.callback.kwargs == {"text": "late"}


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("nowhere.Notifier", "{}", "CRAWLMILL_NOTIFIER=nowhere.Notifier cannot be imported"),
        ("json.dumps", "{}", "is no Airflow notifier"),
        (f"{HERE}.Plain", "{}", "CRAWLMILL_NOTIFIER_ARGS does not fit"),
        (f"{HERE}.Plain", "[1]", "it is no object"),
        (f"{HERE}.Plain", "{", "CRAWLMILL_NOTIFIER_ARGS does not fit"),
    ],
)
def test_a_wrong_setting_names_the_variable(chosen: Any, name: str, arguments: str, words: str) -> None:
    chosen(name, arguments)
    with pytest.raises(UserError, match=words.replace("[", r"\[")):
        alerts.notifiers()


@pytest.mark.parametrize("hours", ["soon", "0", "-1"])
def test_a_deadline_is_a_number_of_hours(monkeypatch: pytest.MonkeyPatch, hours: str) -> None:
    monkeypatch.setenv(alerts.HOURS, hours)
    with pytest.raises(UserError, match=f"CRAWLMILL_DEADLINE_HOURS={hours}: give a number of hours above 0"):
        alerts.deadline("ingest_snapshot")


def test_long_runs_have_a_deadline_that_survives_serialisation(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for name in ("ingest_snapshot", "publish_corpus"):
        assert dags[name].deadline
        assert "deadline" in json.dumps(DagSerialization.to_dict(dags[name]), default=str)


@pytest.mark.parametrize(
    ("run_id", "first"),
    [
        ("backfill__CC-MAIN-2026-43__b573ee", False),
        ("scheduled__CC-MAIN-2026-43__1", True),
        ("manual__x", True),
        ("asset_triggered__x", True),
    ],
)
def test_backfills_wait_for_what_came_by_itself(run_id: str, first: bool) -> None:
    weight = ScheduledFirst().get_weight(SimpleNamespace(run_id=run_id))  # type: ignore[arg-type]
    assert (weight > ScheduledFirst().get_weight(SimpleNamespace(run_id="backfill__y"))) is first  # type: ignore[arg-type]
