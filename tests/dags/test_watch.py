"""What the watch finds, how the calendar takes it up, and what a list that is none says."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.timetables.base import TimeRestriction

from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.orchestrate import crawls, watch
from crawlmill.orchestrate.calendar import CrawlCalendar
from tests.fixtures.answers import Server, answering, reply

NEW = "CC-MAIN-2031-05"


@pytest.fixture(autouse=True)
def installation(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRAWLMILL_LAKE", lake)


def serve(server: Server, rows: Any) -> None:
    server.answers["/collinfo.json"] = [reply(200, json.dumps(rows).encode())]


def listing(*rows: tuple[str, str]) -> list[dict[str, str]]:
    return [{"id": name, "name": name, "from": day, "to": day} for name, day in rows]


def test_what_the_source_lists_and_nobody_knows_is_found_once(lake: str) -> None:
    rows = listing((NEW, "2031-01-20T00:00:00"), ("CC-MAIN-2025-38", "2025-09-05T00:00:00"), ("CC-MAIN-2008-2009", "x"))
    with answering() as server:
        serve(server, rows)
        assert watch.look(server.base, lake) == [NEW]
        serve(server, rows)
        assert watch.look(server.base, lake) == []
    assert crawls.read_found() == {NEW: date(2031, 1, 20)}
    assert next(reversed(crawls.known())) == NEW


def test_the_calendar_starts_a_found_snapshot_at_once_and_survives_serialisation(lake: str) -> None:
    path = crawls.found_list(lake)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"id": NEW, "from": "2031-01-20"}]))
    calendar = CrawlCalendar(scheduled_from=NEW)
    again = CrawlCalendar.deserialize(json.loads(json.dumps(calendar.serialize())))
    info = again.next_dagrun_info_v2(last_dagrun_info=None, restriction=TimeRestriction(None, None, False))
    assert info is not None and info.partition_key == NEW and info.run_after == datetime(2031, 1, 20, tzinfo=UTC)


def test_a_found_snapshot_that_starts_on_a_taken_day_moves_to_the_next_free_one() -> None:
    days = {"CC-MAIN-2025-38": date(2025, 9, 5), "CC-MAIN-2025-39": date(2025, 9, 6)}
    merged = crawls.with_found(days, {NEW: date(2025, 9, 5), "CC-MAIN-2025-38": date(2030, 1, 1)})
    assert merged == {**days, NEW: date(2025, 9, 7)}


def test_a_snapshot_without_a_first_day_is_told_by_name(lake: str) -> None:
    with answering() as server:
        serve(server, listing((NEW, "")))
        with pytest.raises(UserError, match=rf"{NEW} without the first day.*CRAWLMILL_CALENDAR"):
            watch.look(server.base, lake)
    assert crawls.read_found() == {}


def test_the_task_keeps_a_watermark_and_fails_for_good_only_where_asking_again_is_useless(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[Any, Any] = defaultdict(dict)
    store = {watch.LISTED: SimpleNamespace(set=state[watch.LISTED].__setitem__)}
    event = SimpleNamespace(extra={})
    task = watch.look_for_new_snapshots.function
    with answering() as server:
        serve(server, listing((NEW, "2031-01-20")))
        assert task({"source": server.base, "lake": lake}, store, {watch.LISTED: event}) == [NEW]
        assert state[watch.LISTED] == {"newest": NEW} and event.extra == {"new": [NEW], "newest": NEW}
        serve(server, {"no": "list"})
        with pytest.raises(AirflowFailException, match="is not a list of snapshots"):
            task({"source": server.base, "lake": lake}, store, {watch.LISTED: event})

    def silent(source: str, lake: str) -> list[str]:
        raise SourceUnavailable("nobody there")

    monkeypatch.setattr(watch, "look", silent)
    with pytest.raises(SourceUnavailable):
        task({"source": "http://127.0.0.1:9/", "lake": lake}, store, {watch.LISTED: event})


def test_the_watch_is_off_unless_snapshots_start_by_themselves(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert dags["watch_crawls"].is_paused_upon_creation is True
    monkeypatch.setenv(watch.EVERY, "* * * * *")
    assert watch.schedule() == "* * * * *"


def test_a_broken_list_is_named(lake: str) -> None:
    path: Path = crawls.found_list(lake)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(UserError, match="crawls.json cannot be read: .*; delete it, and the next look"):
        crawls.known()
