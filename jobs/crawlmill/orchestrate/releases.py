"""The tasks of `build_release`: wait for a set of snapshots, then the Spark job that copies what it keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.orchestrate.stages import SPARK_TIMEOUT
from crawlmill.orchestrate.submit import job_file, placement

PARAMS = {
    "name": Param(type="string", pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$(?!\n)", title="Name", section="What",
                  description="Of the release: lower-case letters, digits, points and dashes, like web-2026.10."),
    "snapshots": Param(type="string", pattern=r"^\s*CC-MAIN-20[0-9]{2}-[0-9]{2}(-[0-9]{2})?(\s*,\s*CC-MAIN-20[0-9]{2}-[0-9]{2}(-[0-9]{2})?)*\s*$(?!\n)",
                       title="Snapshots", section="What", description="Ids, separated by commas."),
    "weights": Param(10, type="integer", minimum=1, maximum=1000, title="Weights", section="How",
                     description="Greatest rehydration weight: how often a document may be repeated."),
    "wait_hours": Param(72, type="number", minimum=0, maximum=720, title="Wait", section="When",
                        description="Hours to wait for snapshots that are not ingested and deduplicated yet."),
}  # fmt: skip


@task.sensor(task_id="wait_for_snapshots", mode="reschedule", poke_interval=30.0, timeout=31 * 86400.0)
def wait_for_snapshots(snapshots: str, lake: str, hours: str, dag_run: Any = None) -> bool:
    """Done when dedup has settled every snapshot of the set; fails, naming those that lack, when the wait has been long enough."""
    from datetime import UTC, datetime

    from crawlmill.releases import release

    lacking = release.missing(layout.lake_root(lake), [name.strip() for name in snapshots.split(",")])
    if lacking and datetime.now(UTC) - dag_run.start_date >= timedelta(hours=float(hours)):
        raise AirflowFailException(
            f"{', '.join(lacking)} not ingested and deduplicated within {hours} hours: ingest, then clear this task"
        )
    if lacking:
        print(f"waiting for {', '.join(lacking)}")
    return not lacking


def build() -> SparkSubmitOperator:
    """The Spark job."""
    return SparkSubmitOperator(
        task_id="build",
        application=job_file("release"),
        name="release {{ params.name }}",
        application_args=[
            "{{ params.name }}",
            "{{ params.snapshots }}",
            "--weights",
            "{{ params.weights }}",
            "--lake",
            "{{ params.lake }}",
            "--recipe",
            "{{ params.recipe }}",
        ],
        conn_id="spark_default",
        pool="spark",
        execution_timeout=SPARK_TIMEOUT,
        **placement(),
    )  # fmt: skip
