"""Which snapshots exist and when each was crawled.

`crawls.yaml` is shipped; `watch_crawls` adds what the source has listed since, in the lake's `_control/crawls.json`; a further list may be given by
hand. Both have the form of the index server's collinfo.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date, timedelta
from importlib import resources
from itertools import count
from pathlib import Path

import yaml

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.lake import snapshot
from crawlmill.sources import listing
from crawlmill.storage import lake_files
from crawlmill.storage.lake_files import File

FOUND = "_control/crawls.json"  # in the lake
FURTHER = "CRAWLMILL_CALENDAR"  # environment variable: path of a further list


def known(further: str | None = None, found: Path | File | None = None) -> dict[str, date]:
    """Every known snapshot with the first day of its crawl, oldest first.

    Args:
        further: path of a list given by hand; CRAWLMILL_CALENDAR by default. It wins where it and the shipped list know a snapshot.
        found: path of the list of `watch_crawls`; that of the installation's lake by default. It adds snapshots and changes none.

    Raises:
        UserError: a list cannot be read, or two snapshots start on one day (Airflow tells runs of a calendar apart by day).
    """
    days: dict[str, date] = yaml.safe_load(resources.files("crawlmill.orchestrate").joinpath("crawls.yaml").read_text())
    path = further if further is not None else os.environ.get(FURTHER)
    if path:
        days |= read_collinfo(Path(path))
    by_day: dict[date, str] = {}
    for name, day in sorted(days.items(), key=_by_day):
        if day in by_day:
            raise UserError(
                f"snapshots {by_day[day]} and {name} both start on {day}: give one of them another first day in {path}"
            )
        by_day[day] = name
    return dict(sorted(with_found(days, read_found(found)).items(), key=_by_day))


def read_found(path: Path | File | None = None) -> dict[str, date]:
    """What `watch_crawls` has found, with the first days as the source listed them; empty before it has found anything.

    Args:
        path: of its list; that of the installation's lake by default.
    """
    listed = path or found_list(layout.lake_root())
    return read_collinfo(listed) if listed.is_file() else {}


def found_list(lake: str) -> Path | File:
    """Where `watch_crawls` writes the snapshots that the source has listed and nobody has shipped."""
    return lake_files.at(lake, FOUND)


def with_found(days: Mapping[str, date], found: Mapping[str, date]) -> dict[str, date]:
    """The calendar with the found snapshots that it lacks; one that starts on another's day is put on the next free day."""
    merged, taken = dict(days), set(days.values())
    for name, day in sorted(found.items(), key=_by_day):
        if name in merged:
            continue
        free = next(at for at in (day + timedelta(days=after) for after in count()) if at not in taken)
        merged[name] = free
        taken.add(free)
    return merged


def _by_day(entry: tuple[str, date]) -> tuple[date, str]:
    return entry[1], entry[0]


def read_collinfo(path: Path | File) -> dict[str, date]:
    """Snapshots of a collinfo.json with their first days. ARC crawls (ids of another form) are passed over."""
    try:
        listed = listing.parse_collinfo(json.loads(path.read_text()), str(path))
        return {crawl.id: date.fromisoformat(crawl.from_[:10]) for crawl in listed if snapshot.SNAPSHOT.fullmatch(crawl.id)}
    except (OSError, ValueError, UserError) as error:
        told, remedy = (
            f"{path} ({FURTHER})",
            "it must be a JSON list of objects with `id` and `from`, like the index server's collinfo.json",
        )
        if str(path).endswith(FOUND):
            told, remedy = str(path), "delete it, and the next look of `watch_crawls` writes it anew"
        raise UserError(f"the list of snapshots {told} cannot be read: {error}; {remedy}") from error


def unknown(name: str, calendar: Mapping[str, date]) -> str:
    """One sentence for an id that the calendar does not have, with the nearest ones that it has."""
    near = ", ".join(listing.nearest(name, calendar))
    return f"unknown snapshot {name!r}: the nearest known ones are {near}; a newer one is added by the file that {FURTHER} names"


def between(first: date, last: date, calendar: Mapping[str, date]) -> dict[str, date]:
    """The snapshots whose crawl began in a range of days, both included, oldest first: those that a backfill of it runs.

    Raises UserError where the range is turned round or has none.
    """
    if first > last:
        raise UserError(f"{first} is after {last}: give the first day before the last")
    found = {name: day for name, day in calendar.items() if first <= day <= last}
    if not found:
        near = sorted(calendar, key=lambda name: min(abs(calendar[name] - first), abs(calendar[name] - last)))[:3]
        days = ", ".join(f"{name} ({calendar[name]})" for name in near)
        raise UserError(
            f"no snapshot began between {first} and {last}: the nearest are {days}; a newer one is added by the file that {FURTHER} names"
        )
    return found
