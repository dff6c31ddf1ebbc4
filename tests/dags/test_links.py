"""Links of tasks: which have them, where they lead, and how the address of a job's Spark UI is learnt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from crawlmill.orchestrate import links
from crawlmill.orchestrate.submit import StageSubmit

KEY = SimpleNamespace(dag_id="ingest_snapshot", run_id="manual__2026-11-21T00:00:00+00:00", task_id="gate.check")


def test_every_stage_links_to_its_report_and_what_it_wrote(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = DagSerialization.from_dict(DagSerialization.to_dict(dags["ingest_snapshot"]))
    for task in dag.task_ids:
        due = {"check": {"Report", "Table versions"}, "submit": {"Report", "Table versions", "Spark UI"}}.get(
            task.split(".")[1], set()
        )
        assert set(dag.get_task(task).extra_links) == due, task
    to_report, to_tables = (link.get_link(None, ti_key=KEY) for link in links.LINKS)  # type: ignore[arg-type]
    assert to_report.endswith("/dags/ingest_snapshot/runs/manual__2026-11-21T00%3A00%3A00%2B00%3A00/plugin/crawlmill-report")
    assert to_tables.endswith("task_id=gate.check") and "2026-11-21T00%3A00%3A00%2B00%3A00" in to_tables


def test_the_job_s_own_words_make_the_link_to_its_spark_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: dict[str, str] = {}
    task = StageSubmit(stage="gate", task_id="submit", conn_id="spark_default")
    task._ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))  # type: ignore[assignment]
    said = ["26/11/21 WARN\n", "Spark application app-7 http://driver:4040\n", "Spark application app-8\n", "gate: passed\n"]
    assert list(task._watched(said)) == said
    assert task.application_id == "app-7" and pushed == {links.SPARK_KEY: "http://driver:4040"}
    assert links.SparkUI().xcom_key == links.SPARK_KEY
    assert links.SparkUI().get_link(task, ti_key=KEY) == "", "nobody has named a history server"  # type: ignore[arg-type]
    monkeypatch.setenv(links.SPARK_HISTORY, "http://history:18080/")
    assert links.SparkUI().get_link(task, ti_key=KEY) == "http://history:18080/history/app-7/"  # type: ignore[arg-type]
