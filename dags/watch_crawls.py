"""
# Watch for new snapshots

Asks the crawl source for its list of snapshots (`collinfo.json`, one small request) and adds those that are not known yet to the lake's own list.
The calendar of `ingest_snapshot` reads that list: a new snapshot needs no release of crawlmill.

Every six hours, or as the cron expression in `CRAWLMILL_WATCH` says. The DAG is switched on by itself where `CRAWLMILL_SCHEDULED_FROM` names the
first snapshot that is to start by itself; without it, a new snapshot becomes known and waits to be started by hand or by a backfill. The newest
snapshot that was seen is the state of the asset `crawl_listing`; each look is one of its events.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import dag

from crawlmill.orchestrate.calendar import SCHEDULED_FROM
from crawlmill.orchestrate.stages import DEFAULTS, WHERE
from crawlmill.orchestrate.watch import look_for_new_snapshots, schedule


@dag(
    dag_display_name="Watch for new snapshots",
    description="Finds snapshots that the calendar does not know yet",
    doc_md=__doc__,
    schedule=schedule(),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    is_paused_upon_creation=not os.environ.get(SCHEDULED_FROM),
    max_active_runs=1,
    max_active_tasks=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=DEFAULTS,
    params={name: WHERE[name] for name in ("lake", "source")},
    tags=["ingest", "across snapshots"],
)
def watch_crawls() -> None:
    look_for_new_snapshots()


watch_crawls()
