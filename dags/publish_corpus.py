"""
# Publish the corpus

Removes duplicates across all ingested snapshots and publishes the documents that are kept. One run at a time; it starts by itself when a
snapshot's `verdicts` have been released, the last of its tables.

| task | what it does |
|---|---|
| wait_for_ingestion | waits until no snapshot is being ingested or queued (at most *Wait* minutes): a backfill of fifty is published once |
| dedup | candidates, verified pairs and clusters over all contents, survivors among the eligible ones; writes pairs, clusters |
| approve | asks a person about open quality warnings, in the UI under *Required Actions*, and records the answer; done at once where none is open |
| publish | rewrites those shards of corpus whose set of kept documents changed |

A run that was asked for while another one did the work finds everything up to date and is done in seconds. A question that nobody answers within
*Answer within* hours is answered as the contracts of the warnings declare; "Hold" fails `approve`: clear it to be asked again. Warnings may be answered
beforehand by `crawlmill answer`. To publish by hand, trigger the DAG.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Asset, FixedKeyMapper, PartitionedAssetTimetable, dag

from crawlmill.orchestrate import alerts
from crawlmill.orchestrate.approval import ANSWER_HOURS, QualityApproval
from crawlmill.orchestrate.coalesce import WAIT_MINUTES, wait_for_ingestion
from crawlmill.orchestrate.stages import DEFAULTS, PUBLISHED, WHERE, stage_group


@dag(
    dag_display_name="Publish the corpus",
    description="Deduplicate what has been ingested and publish what is kept",
    doc_md=__doc__,
    schedule=PartitionedAssetTimetable(
        assets=Asset("verdicts") | Asset("recycled"), default_partition_mapper=FixedKeyMapper(PUBLISHED)
    ),
    start_date=datetime(2008, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    max_active_tasks=2,
    dagrun_timeout=timedelta(days=14),
    deadline=alerts.deadline("publish_corpus"),
    default_args=DEFAULTS,
    params={**WHERE, "wait_minutes": WAIT_MINUTES, "answer_hours": ANSWER_HOURS},
    tags=["publish", "across snapshots"],
)
def publish_corpus() -> None:
    quiet = wait_for_ingestion("{{ params.wait_minutes }}")
    dedup = stage_group("dedup", "duplicates across snapshots, survivors among the eligible", snapshot=None)
    approve = QualityApproval(
        task_id="approve", lake="{{ params.lake }}", hours="{{ params.answer_hours }}", response_timeout=timedelta(days=3)
    )
    publish = stage_group("publish", "the documents that are kept", snapshot=None)

    quiet >> dedup >> approve >> publish


publish_corpus()
