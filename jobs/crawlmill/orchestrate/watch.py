"""Snapshots that the source lists and the calendar does not know yet: what `watch_crawls` looks for.

What is found goes into a file of the lake, which the calendar reads whenever the DAG files are parsed: within a minute or two the scheduler
knows the snapshot, and starts it if CRAWLMILL_SCHEDULED_FROM says that snapshots start by themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import Asset, task
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.lake import snapshot
from crawlmill.orchestrate import crawls
from crawlmill.storage import lake_files

EVERY = "CRAWLMILL_WATCH"  # environment variable: cron expression of the watch
DEFAULT = "23 */6 * * *"
LISTED = Asset("crawl_listing")


def schedule() -> str:
    """When to look: CRAWLMILL_WATCH, a cron expression in UTC; every six hours by default."""
    return os.environ.get(EVERY) or DEFAULT


def look(source: str, lake: str) -> list[str]:
    """Ask the source for its snapshots and add those that are not known to the lake's list; returns their ids, oldest first.

    Raises UserError: the source does not answer, or what it gives is no list of snapshots.
    """
    from crawlmill.sources import listing

    known = crawls.known(found=crawls.found_list(lake))
    new: dict[str, date] = {}
    for crawl in listing.collinfo(source):
        if snapshot.SNAPSHOT.fullmatch(crawl.id) and crawl.id not in known:
            try:
                new[crawl.id] = date.fromisoformat(crawl.from_[:10])
            except ValueError:
                raise UserError(
                    f"{source} lists {crawl.id} without the first day of its crawl: give the day in the file that {crawls.FURTHER} names"
                ) from None
    if new:
        lake_files.update(lake, crawls.FOUND, lambda _: _with(crawls.read_found(crawls.found_list(lake)) | new))
    return sorted(new, key=lambda name: (new[name], name))


def _with(days: Mapping[str, date]) -> bytes:
    """The list's content."""
    rows = [{"id": name, "from": day.isoformat()} for name, day in sorted(days.items(), key=lambda entry: (entry[1], entry[0]))]
    return (json.dumps(rows, indent=1) + "\n").encode()


@task(task_id="look", outlets=[LISTED])
def look_for_new_snapshots(params: Any = None, asset_state_store: Any = None, outlet_events: Any = None) -> list[str]:
    """Look once; the newest snapshot seen is kept as the asset's watermark and shown in the UI with the event."""
    source, lake = layout.source_root(params["source"]), layout.lake_root(params["lake"])
    try:
        new = look(source, lake)
    except SourceUnavailable:
        raise
    except UserError as error:
        raise AirflowFailException(str(error)) from error
    newest = next(reversed(crawls.known(found=crawls.found_list(lake))))
    asset_state_store[LISTED].set("newest", newest)
    outlet_events[LISTED].extra = {"new": new, "newest": newest}
    print(
        f"{source} lists {', '.join(new)}, new since the last look" if new else f"{source} lists nothing new; newest is {newest}"
    )
    return new
