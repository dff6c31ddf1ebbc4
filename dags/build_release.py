"""
# Build a release

A named physical copy of what a set of snapshots keeps: what a model is trained on. Trigger it with a *Name* and *Snapshots*; it waits until all of
them are ingested and deduplicated, at most *Wait* hours, then resolves the survivors among the documents of the set, from stored pairs.

| task | what it does |
|---|---|
| wait_for_snapshots | waits for ingestion and dedup of every snapshot of the set |
| build | writes `releases/<name>` in the lake: a Delta table `corpus`, `manifest.json` (pins, recipe, counts, digests), a data card |

A release is written once: the same name with the same content is done at once, with another content it is refused.
`crawlmill export` makes Parquet or JSON lines of a release.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import dag

from crawlmill.orchestrate.releases import PARAMS, build, wait_for_snapshots
from crawlmill.orchestrate.stages import DEFAULTS, WHERE


@dag(
    dag_display_name="Build a release",
    description="A named copy of what a set of snapshots keeps",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2008, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=4,
    max_active_tasks=4,
    dagrun_timeout=timedelta(days=31),
    default_args=DEFAULTS,
    params={**PARAMS, "lake": WHERE["lake"], "recipe": WHERE["recipe"]},
    tags=["release", "across snapshots"],
)
def build_release() -> None:
    wait_for_snapshots("{{ params.snapshots }}", "{{ params.lake }}", "{{ params.wait_hours }}") >> build()


build_release()
