"""What a person sees while runs go on, and when one fails."""

from __future__ import annotations

from typing import Any

import pytest

from crawlmill.errors import CrawlmillError
from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.orchestrate.progress import Progress

RUN = "backfill__CC-MAIN-2026-43__a1b2c3"


def task(name: str, state: str | None, **more: Any) -> dict[str, Any]:
    return {
        "dag_id": "ingest_snapshot", "dag_run_id": RUN, "task_id": name, "state": state, "map_index": -1, "try_number": 1,
        "start_date": "2026-11-21T12:00:00Z", "rendered_map_index": None, **more,
    }  # fmt: skip


class Scripted:
    """Stands in for Airflow's API: each look at the runs shows the next scene."""

    url = "http://127.0.0.1:8080"

    def __init__(self, *scenes: tuple[str, list[dict[str, Any]]]) -> None:
        self.scenes = list(scenes)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        state, self.now = self.scenes.pop(0)
        return [{"dag_run_id": RUN, "partition_key": "CC-MAIN-2026-43", "state": state}]

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return self.now

    def log(self, task: dict[str, Any]) -> list[str]:
        return [
            "::group::Pre Execute",
            "Spark-Submit cmd: spark-submit",
            "crawlmill: critical: documents: url is never null (observed 3)",
        ]


def watch(lake: str, *scenes: tuple[str, list[dict[str, Any]]]) -> list[str]:
    said: list[str] = []
    Progress(Scripted(*scenes), lake, said.append).watch("ingest_snapshot", 1, 60)  # type: ignore[arg-type]
    return [line.partition("] ")[2] for line in said]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawlmill.orchestrate.progress.POLL", 0.0)


def test_each_stage_is_told_once_when_it_starts_and_with_its_counts_when_it_ends(lake: str) -> None:
    table.create_all(lake)
    outputs = [{"table": "languages", "version": 1}]
    counts = [{"shard": shard, "read": 5, "written": 4, "rejected": 1} for shard in (0, 1)]
    ledger.append_run(
        lake, RunRow("r", "identify", "CC-MAIN-2026-43", "k", "passed", outputs=outputs, counts=counts, seconds=7.2, fence=1)
    )
    running, done = task("identify.submit", "running"), task("identify.submit", "success")
    said = watch(
        lake,
        ("queued", []),
        ("running", [running]),
        ("running", [running]),
        ("success", [done, task("identify.check", "success")]),
    )
    assert said == [
        "CC-MAIN-2026-43   identify  running",
        "CC-MAIN-2026-43   identify  passed: 10 read, 8 written, 2 rejected in 7 s",
    ]


def test_a_group_of_shards_is_named(lake: str) -> None:
    mapped = task("extract.submit", "running", map_index=0, rendered_map_index="CC-MAIN-2026-43 shards 0-1, 90 files")
    assert watch(lake, ("running", [mapped]), ("success", [])) == ["CC-MAIN-2026-43   extract   running shards 0-1, 90 files"]


def test_a_retry_is_told(lake: str) -> None:
    retried = task("gate.submit", "up_for_retry")
    assert watch(lake, ("running", [retried]), ("success", [])) == [
        "CC-MAIN-2026-43   gate      attempt 1 of submit failed and is tried again"
    ]


def test_a_failed_task_ends_the_watch_with_the_end_of_its_log(lake: str) -> None:
    with pytest.raises(
        CrawlmillError,
        match=r"extract\.submit of CC-MAIN-2026-43 failed.*\n.*\n  crawlmill: critical: documents: url is never null",
    ):
        watch(lake, ("running", [task("extract.submit", "failed")]))


def test_a_run_that_failed_without_a_failed_task_is_a_failure_too(lake: str) -> None:
    with pytest.raises(CrawlmillError, match=f"run {RUN} of ingest_snapshot failed"):
        watch(lake, ("failed", []))
