"""The crawl calendar as an Airflow timetable: one run a snapshot, its id the partition key, its first day of crawl the partition date.

A backfill over a range of dates makes one run for each snapshot whose crawl began in it. By itself the calendar schedules nothing unless
`scheduled_from` says from which snapshot on: a crawl is 90,000 files, and switching a DAG on must not start one by surprise.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from crawlmill.lake import snapshot
from crawlmill.orchestrate import crawls

if TYPE_CHECKING:
    from airflow.utils.types import DagRunType

SCHEDULED_FROM = "CRAWLMILL_SCHEDULED_FROM"  # environment variable: snapshot id from which on runs start by themselves
PUBLISHED_AFTER = timedelta(days=16)  # a crawl takes about two weeks and is announced days later


class CrawlCalendar(Timetable):
    """One run per Common Crawl snapshot.

    Args:
        snapshots: id -> first day of crawl; `crawls.known()` by default.
        scheduled_from: snapshot id from which on runs are scheduled; CRAWLMILL_SCHEDULED_FROM by default; '' for none.
        listed: ids that the source has been seen to list, so nothing has to be waited for; those that `watch_crawls` found by default.
    """

    description = "One run per Common Crawl snapshot"
    partitioned = True
    periodic = True
    can_be_scheduled = True
    run_ordering = ("partition_date", "run_after")

    def __init__(
        self,
        snapshots: Mapping[str, date] | None = None,
        scheduled_from: str | None = None,
        listed: Iterable[str] | None = None,
    ) -> None:
        self.snapshots = dict(crawls.known() if snapshots is None else snapshots)
        self.scheduled_from = os.environ.get(SCHEDULED_FROM, "") if scheduled_from is None else scheduled_from
        self.listed = frozenset(crawls.read_found() if listed is None and snapshots is None else listed or ())

    def validate(self) -> None:
        """Raise where the DAG names a first snapshot that the calendar does not have."""
        from airflow.exceptions import AirflowTimetableInvalid

        if self.scheduled_from and self.scheduled_from not in self.snapshots and not self._to_come():
            raise AirflowTimetableInvalid(f"{SCHEDULED_FROM}: {crawls.unknown(self.scheduled_from, self.snapshots)}")

    def _to_come(self) -> bool:
        """Whether the first snapshot asked for is a later one than any known: `watch_crawls` will find it."""
        newest = max(self.snapshots, default="")
        return (
            bool(snapshot.SNAPSHOT.fullmatch(self.scheduled_from)) and self.scheduled_from > newest
        )  # ids sort by year and week

    @property
    def summary(self) -> str:
        """What the UI shows as the schedule."""
        return f"each crawl from {self.scheduled_from}" if self.scheduled_from else "by backfill or by hand, a run per crawl"

    def serialize(self) -> dict[str, Any]:
        return {
            "snapshots": {name: day.isoformat() for name, day in self.snapshots.items()},
            "scheduled_from": self.scheduled_from,
            "listed": sorted(self.listed),
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CrawlCalendar:
        days = {name: date.fromisoformat(day) for name, day in data["snapshots"].items()}
        return cls(days, data["scheduled_from"], data["listed"])

    def run_info(self, name: str, run_after: datetime | None = None) -> DagRunInfo:
        """The run of a snapshot, due at once or when it will have been published."""
        at = _midnight(self.snapshots[name])
        return DagRunInfo(run_after=pendulum.instance(run_after or at), data_interval=None, partition_date=at, partition_key=name)

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """The snapshots of a backfill: those whose crawl began in [earliest, latest], oldest first."""
        for name, day in self.snapshots.items():
            if earliest <= _midnight(day) <= latest:
                yield self.run_info(name)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Never asked for: runs of partitions have no data interval."""
        return None

    def next_dagrun_info_v2(self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction) -> DagRunInfo | None:
        """The next snapshot to start by itself: none is passed over, none runs twice, none before the first one asked for."""
        if self.scheduled_from not in self.snapshots:
            return None
        last = last_dagrun_info.partition_date if last_dagrun_info else None
        for name, day in self.snapshots.items():
            at = _midnight(day)
            if (
                day < self.snapshots[self.scheduled_from]
                or (last and at <= last)
                or (restriction.latest and at > restriction.latest)
            ):
                continue
            return self.run_info(name, at if name in self.listed else at + PUBLISHED_AFTER)
        return None

    def _decode_partition_date(self, partition_key: str) -> datetime:
        if partition_key not in self.snapshots:
            raise InvalidPartitionKeyError(crawls.unknown(partition_key, self.snapshots))
        return _midnight(self.snapshots[partition_key])

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: datetime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """`backfill__CC-MAIN-2026-43__b573ee`: readable in the grid, and a second run of a snapshot is a new run beside the first."""
        key = extra.get("partition_key") or f"{run_after:%Y-%m-%dT%H-%M-%S}"
        return run_type.generate_run_id(suffix=f"{key}__{uuid.uuid4().hex[:6]}")

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Runs have no data interval; Airflow asks all the same when a logical date is given."""
        return DataInterval.exact(run_after)


def _midnight(day: date) -> pendulum.DateTime:
    return pendulum.instance(datetime.combine(day, time(), UTC))
