"""The crawl calendar: which runs a backfill makes, which come by themselves, what an unknown snapshot says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from airflow.exceptions import AirflowTimetableInvalid, InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.utils.types import DagRunType

from crawlmill.errors import UserError
from crawlmill.orchestrate import crawls
from crawlmill.orchestrate.calendar import PUBLISHED_AFTER, CrawlCalendar

DAYS = {"CC-MAIN-2026-30": date(2026, 7, 10), "CC-MAIN-2026-34": date(2026, 8, 7), "CC-MAIN-2026-39": date(2026, 9, 4)}
ANY = TimeRestriction(earliest=None, latest=None, catchup=False)


def utc(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def keys(calendar: CrawlCalendar, earliest: datetime, latest: datetime) -> list[str | None]:
    return [info.partition_key for info in calendar.iter_partition_dagrun_infos(earliest=earliest, latest=latest)]


def test_a_backfill_makes_a_run_for_each_crawl_that_began_in_its_range() -> None:
    calendar = CrawlCalendar(DAYS, "")
    assert keys(calendar, utc(2026, 7, 10), utc(2026, 8, 7)) == ["CC-MAIN-2026-30", "CC-MAIN-2026-34"]
    assert keys(calendar, utc(2026, 7, 11), utc(2026, 8, 6)) == []
    assert keys(calendar, utc(2008, 1, 1), utc(2030, 1, 1)) == list(DAYS)


def test_a_run_has_a_key_a_date_and_no_interval() -> None:
    info = CrawlCalendar(DAYS, "").run_info("CC-MAIN-2026-34")
    assert (info.partition_key, info.partition_date, info.data_interval, info.logical_date) == (
        "CC-MAIN-2026-34", utc(2026, 8, 7), None, None
    )  # fmt: skip


def test_nothing_starts_by_itself_unless_a_first_snapshot_is_named() -> None:
    assert CrawlCalendar(DAYS, "").next_dagrun_info_v2(last_dagrun_info=None, restriction=ANY) is None


def test_from_the_first_snapshot_on_each_runs_once_in_order_when_it_has_been_published() -> None:
    calendar = CrawlCalendar(DAYS, "CC-MAIN-2026-34")
    seen, last = [], None
    while info := calendar.next_dagrun_info_v2(last_dagrun_info=last, restriction=ANY):
        assert info.partition_date is not None and info.run_after == info.partition_date + PUBLISHED_AFTER
        seen.append(info.partition_key)
        last = info
    assert seen == ["CC-MAIN-2026-34", "CC-MAIN-2026-39"]


def test_a_snapshot_that_becomes_known_later_is_the_next_run() -> None:
    last = CrawlCalendar(DAYS, "CC-MAIN-2026-34").run_info("CC-MAIN-2026-39")
    longer = CrawlCalendar(DAYS | {"CC-MAIN-2026-43": date(2026, 10, 2)}, "CC-MAIN-2026-34")
    info = longer.next_dagrun_info_v2(last_dagrun_info=last, restriction=ANY)
    assert isinstance(info, DagRunInfo) and info.partition_key == "CC-MAIN-2026-43"


def test_a_backfill_of_older_snapshots_does_not_bring_newer_ones_up_again() -> None:
    older = CrawlCalendar(DAYS, "CC-MAIN-2026-34").run_info("CC-MAIN-2026-30")
    info = CrawlCalendar(DAYS, "CC-MAIN-2026-34").next_dagrun_info_v2(last_dagrun_info=older, restriction=ANY)
    assert info is not None and info.partition_key == "CC-MAIN-2026-34"


def test_an_end_date_ends_the_calendar() -> None:
    until = TimeRestriction(earliest=None, latest=utc(2026, 8, 8), catchup=False)  # type: ignore[arg-type]
    calendar = CrawlCalendar(DAYS, "CC-MAIN-2026-39")
    assert calendar.next_dagrun_info_v2(last_dagrun_info=None, restriction=until) is None


def test_an_unknown_snapshot_is_refused_with_the_nearest_known_ones() -> None:
    calendar = CrawlCalendar(DAYS, "")
    with pytest.raises(
        InvalidPartitionKeyError, match=r"unknown snapshot 'CC-MAIN-2026-35': the nearest known ones are CC-MAIN-2026-3"
    ):
        calendar.resolve_partition_date("CC-MAIN-2026-35")
    assert calendar.resolve_partition_date("CC-MAIN-2026-34") == utc(2026, 8, 7)
    with pytest.raises(AirflowTimetableInvalid, match="CRAWLMILL_SCHEDULED_FROM"):
        CrawlCalendar(DAYS, "CC-MAIN-1999-01").validate()


def test_the_first_snapshot_that_starts_by_itself_may_be_one_to_come() -> None:
    calendar = CrawlCalendar(DAYS, "CC-MAIN-2026-43")
    calendar.validate()
    assert calendar.next_dagrun_info_v2(last_dagrun_info=None, restriction=ANY) is None


def test_run_ids_are_readable_and_never_repeat() -> None:
    calendar = CrawlCalendar(DAYS, "")
    made = [
        calendar.generate_run_id(
            run_type=DagRunType.BACKFILL_JOB, run_after=utc(2026, 8, 7), data_interval=None, partition_key="CC-MAIN-2026-34"
        )
        for _ in range(50)
    ]
    assert len(set(made)) == 50 and all(run_id.startswith("backfill__CC-MAIN-2026-34__") for run_id in made)
    by_hand = calendar.generate_run_id(run_type=DagRunType.MANUAL, run_after=utc(2026, 8, 7), data_interval=None)
    assert by_hand.startswith("manual__2026-08-07")


def test_the_calendar_survives_serialisation() -> None:
    calendar = CrawlCalendar(DAYS, "CC-MAIN-2026-34")
    restored = CrawlCalendar.deserialize(json.loads(json.dumps(calendar.serialize())))
    assert restored.snapshots == calendar.snapshots and restored.scheduled_from == calendar.scheduled_from
    assert restored.summary == "each crawl from CC-MAIN-2026-34"


def test_the_shipped_calendar_is_whole_ordered_and_has_a_day_for_each_snapshot() -> None:
    shipped = crawls.known("")
    assert len(shipped) >= 125 and list(shipped)[0] == "CC-MAIN-2013-20"
    assert list(shipped.values()) == sorted(set(shipped.values()))


def test_a_further_list_adds_and_corrects(tmp_path: Path) -> None:
    further = tmp_path / "collinfo.json"
    entries = [
        {"id": "CC-MAIN-2027-04", "from": "2027-01-15T09:00:00", "to": "2027-01-29T09:00:00"},
        {"id": "CC-MAIN-2026-39", "from": "2026-09-05T09:00:00"},
        {"id": "CC-MAIN-2012", "from": "2012-01-27T17:41:51"},
    ]
    further.write_text(json.dumps(entries))
    merged = crawls.known(str(further))
    assert merged["CC-MAIN-2027-04"] == date(2027, 1, 15) and merged["CC-MAIN-2026-39"] == date(2026, 9, 5)
    assert "CC-MAIN-2012" not in merged and list(merged)[-1] == "CC-MAIN-2027-04"


@pytest.mark.parametrize("content", ["", "{}", '[{"id": "CC-MAIN-2027-04"}]', '[{"id": "CC-MAIN-2027-04", "from": "soon"}]'])
def test_a_further_list_that_is_none_is_named_with_the_remedy(tmp_path: Path, content: str) -> None:
    further = tmp_path / "collinfo.json"
    further.write_text(content)
    with pytest.raises(UserError, match=r"collinfo\.json \(CRAWLMILL_CALENDAR\) cannot be read"):
        crawls.known(str(further))


def test_two_snapshots_of_one_day_are_refused(tmp_path: Path) -> None:
    further = tmp_path / "collinfo.json"
    further.write_text(json.dumps([{"id": "CC-MAIN-2026-40", "from": "2026-09-04T00:00:00"}]))
    with pytest.raises(UserError, match="CC-MAIN-2026-39 and CC-MAIN-2026-40 both start on 2026-09-04"):
        crawls.known(str(further))
