"""Six snapshots backwards while what does the work is killed, again by a stricter rule, and some of them: always the rows of one quiet process."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from crawlmill import sample_crawl
from crawlmill.lake import ledger, pins
from crawlmill.orchestrate import crawls, demo, instance, processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow
from tests.e2e.conftest import free_port
from tests.e2e.test_unattended import until
from tests.fixtures import cluster_run, ingestion, lakes

pytestmark = [pytest.mark.e2e, pytest.mark.full]
STAGES = ("extract", *lakes.ROW_LOCAL)
LIMIT = 3_600.0  # seconds for six snapshots; some ten minutes where nothing else runs
HASTY = {  # a lost task is missed after a minute, not five
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
}
DRIVER = "org.apache.spark.deploy.SparkSubmit"  # a word of the command line of a job's JVM
PYTHON = {"pyspark.daemon", "pyspark.worker"}  # words of those of its Python workers


@dataclass
class Site:
    """An Airflow on a lake of its own, with six snapshots to ingest; and a lake beside it that a quiet process fills."""

    root: Path
    instance: Instance
    client: Airflow
    days: dict[str, Any]
    spark: Any

    @property
    def lake(self) -> str:
        return self.instance.lake

    def backfill(self, **options: Any) -> datetime:
        """Start one over all snapshots, the newest first; returns when."""
        path = "/api/v2/backfills?dag_id=ingest_snapshot"
        until(lambda: all(row["completed_at"] for row in self.client.call("GET", path)["backfills"]), "the last backfill closed")
        at, days = datetime.now(UTC), self.days.values()
        self.client.backfill("ingest_snapshot", min(days).isoformat(), max(days).isoformat(), active=2, backwards=True, **options)
        return at

    def succeeded(self) -> int:
        """How many runs of ingestion have succeeded."""
        return ingestion.succeeded(self.client)

    def published(self) -> bool:
        """Whether the corpus shows every snapshot as it is now."""
        return ingestion.published(self.client, self.lake)

    def runs(self, since: datetime) -> list[tuple[str, str]]:
        """Stages and snapshots of the runs that were released since then."""
        return sorted(
            (run.stage, run.snapshot)
            for run in ledger.runs(self.lake)
            if run.finished_at > since and run.verdict in ledger.RELEASED
        )

    def jobs(self) -> list[psutil.Process]:
        """The JVMs of Spark that work for this site, oldest first."""
        found = []
        for process in psutil.process_iter(["cmdline", "create_time"]):
            try:
                if DRIVER in (process.info["cmdline"] or []) and process.environ().get("CRAWLMILL_LAKE") == self.lake:
                    found.append(process)
            except psutil.Error:
                continue
        return sorted(found, key=lambda process: process.info["create_time"])

    def hands(self) -> list[psutil.Process]:
        """The Python workers of one job."""
        for job in self.jobs():
            with suppress(psutil.Error):
                found = [one for one in job.children(recursive=True) if PYTHON & set(one.cmdline())]
                if len(found) > 1:  # the daemon and a worker that it has forked
                    return found
        return []

    def differing(self, recipe_file: Path | None = None, stages: tuple[str, ...] = STAGES) -> list[str]:
        """The tables that differ from those that one process makes of the same crawl, stage after stage."""
        quiet = str(self.root / "quiet")
        for snapshot in self.days:
            for name in stages:
                lakes.run(self.spark, quiet, name, snapshot, recipe_file, source=str(self.root / "sample"))
        for name in ("dedup", "publish"):
            ledger.answer(quiet, ledger.open_warnings(quiet), "publish by a test")
            lakes.run(self.spark, quiet, name)
        expected, found = cluster_run.digests(quiet), cluster_run.digests(self.lake)
        assert expected["corpus"][0] > 100
        return sorted(name for name in expected if found[name] != expected[name])


@pytest.fixture(scope="module")
def site(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("backfill")
    sample_crawl.write(root / "sample", earlier=4)
    calendar = str(root / "sample" / "collinfo.json")
    between_real_ones(Path(calendar))
    own = instance.environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance, "environment", lambda which: {**own(which), **HASTY})
        found = Instance(root / "airflow", free_port(), str(root / "lake"), "", calendar)
        try:
            found = service.start(demo._serve(root / "sample", found))
            yield Site(root, found, Airflow(found.url), crawls.read_collinfo(Path(calendar)), spark)
        finally:
            processes.stop(found.processes)
            processes.stop(root / "run")
            for process in psutil.process_iter():  # what a killed scheduler has left behind
                try:
                    if process.environ().get("AIRFLOW_HOME") == str(found.home):
                        process.kill()
                except psutil.Error:
                    continue


def between_real_ones(listed: Path) -> None:
    """Give the snapshots days of a month in which no real crawl began: a backfill takes all that the calendar knows."""
    rows = sorted(json.loads(listed.read_text()), key=lambda row: row["id"], reverse=True)
    days = [f"2026-09-{day:02}T00:00:00" for day in range(20, 20 - len(rows), -1)]
    listed.write_text(json.dumps([{**row, "from": day} for row, day in zip(rows, days, strict=True)]))


def kill_scheduler(site: Site) -> None:
    """Jobs under way go on. It is started again, as a service manager would."""
    until(lambda: bool(site.jobs()), "a job to take the scheduler away from")
    processes.running(site.instance.processes)["scheduler"].kill()
    airflow = str(Path(sys.executable).parent / "airflow")
    command = [airflow, *service.COMPONENTS["scheduler"]]
    processes.start("scheduler", command, site.instance.processes, instance.environment(site.instance))


def kill_worker(site: Site) -> None:
    """What stands between the scheduler and a job: the task and who watches it. The job is left behind, to be fenced."""
    until(lambda: bool(chain(site)), "a job of the new scheduler")
    for process in chain(site):
        process.kill()


def chain(site: Site) -> list[psutil.Process]:
    """The processes between the scheduler and the newest job, without either."""
    scheduler = processes.running(site.instance.processes)["scheduler"]
    for job in reversed(site.jobs()):
        try:
            parents = job.parents()
            if scheduler in parents:
                return parents[: parents.index(scheduler)]
        except psutil.Error:
            continue
    return []


def kill_executor(site: Site) -> None:
    """What executes a job's Python, on one machine: Spark tries the tasks again. (`tests/spark/test_executor_loss.py` kills executors of a cluster.)"""
    until(lambda: bool(site.hands()), "Python workers")
    for process in site.hands():
        process.kill()


def kill_driver(site: Site) -> None:
    """The JVM that spark-submit is; its Python ends with it, and the task is tried again."""
    until(lambda: bool(site.jobs()), "a driver")
    site.jobs()[-1].send_signal(signal.SIGKILL)


def test_six_snapshots_backwards_with_everything_killed_once(site: Site) -> None:
    at = site.backfill()
    deadly: list[Callable[[Site], None]] = [kill_scheduler, kill_executor, kill_worker, kill_driver]
    for number, kill in enumerate(deadly):
        until(lambda number=number: site.succeeded() >= number, f"{number} snapshots", LIMIT)  # type: ignore[misc]
        kill(site)
        time.sleep(5)
    until(lambda: site.succeeded() == 6, "six snapshots in spite of all", LIMIT)
    started = sorted((run["start_date"], run["partition_key"]) for run in site.client.runs("ingest_snapshot"))
    assert {name for _, name in started[:2]} == set(sorted(site.days)[-2:]), "the newest came first"
    until(site.published, "the corpus of six snapshots", LIMIT)
    tasks = [
        task for run in site.client.runs("ingest_snapshot") for task in site.client.tasks("ingest_snapshot", run["dag_run_id"])
    ]
    assert sum(task["try_number"] > 1 for task in tasks) >= 2, "a worker's and a driver's task were tried again"
    ran = site.runs(at)
    assert [name for name, snapshot in ran if snapshot == pins.EVERY] == ["dedup", "publish"], "once for all of it"
    assert {pair for pair in ran if pair[1] != pins.EVERY} == {(stage, name) for stage in STAGES for name in site.days}
    assert site.differing() == []


def test_what_has_succeeded_is_left_alone_unless_asked_for(site: Site) -> None:
    site.backfill(reprocess="none")
    site.backfill(reprocess="failed")
    assert site.succeeded() == 6 and len(site.client.runs("ingest_snapshot")) == 6


def test_a_stricter_rule_runs_the_gate_alone_again(site: Site) -> None:
    stricter = site.root / "stricter.yaml"
    stricter.write_text("extends: default\ngate:\n  rules:\n    gopher_short_doc: {limit: 200}\n")
    before = cluster_run.digests(site.lake)
    at = site.backfill(conf={"recipe": str(stricter)})
    until(lambda: site.succeeded() == 12, "six snapshots judged again", LIMIT)
    until(site.published, "the corpus by the stricter rule", LIMIT)
    ran = site.runs(at)
    assert set(ran) == {("gate", name) for name in site.days} | {("dedup", pins.EVERY), ("publish", pins.EVERY)}
    assert sum(snapshot == pins.EVERY for _, snapshot in ran) == 2, "once for all of it"
    assert 0 < cluster_run.digests(site.lake)["corpus"][0] < before["corpus"][0]
    assert site.differing(stricter, ("gate",)) == []


def test_a_list_of_snapshots_over_the_rest_api(site: Site) -> None:
    """By the rule of before: two of six, which do not follow one another."""
    chosen, before, at = sorted(site.days)[1::3], len(site.client.runs("ingest_snapshot")), datetime.now(UTC)
    for name in chosen:
        site.client.call(
            "POST", "/api/v2/dags/ingest_snapshot/dagRuns", {"logical_date": None, "partition_key": name, "conf": {}}
        )
    until(lambda: site.succeeded() == before + len(chosen), "the chosen ones", LIMIT)
    until(site.published, "the corpus with the chosen ones as they were", LIMIT)
    assert {name for stage, name in site.runs(at) if stage == "gate"} == set(chosen)
    assert [name for name, snapshot in site.runs(at) if snapshot == pins.EVERY] == ["dedup", "publish"]


def test_only_the_one_that_failed_is_made_again(site: Site) -> None:
    failing, before = sorted(site.days)[2], len(site.client.runs("ingest_snapshot"))
    body = {"logical_date": None, "partition_key": failing, "conf": {"recipe": str(site.root / "lost.yaml")}}
    site.client.call("POST", "/api/v2/dags/ingest_snapshot/dagRuns", body)

    def states() -> list[str]:
        return [run["state"] for run in site.client.runs("ingest_snapshot") if run["partition_key"] == failing]

    until(lambda: "failed" in states(), "a run without a recipe has failed", 300)
    site.backfill(reprocess="failed")
    until(lambda: len(site.client.runs("ingest_snapshot")) == before + 2, "one more run", 120)
    until(lambda: states().count("success") == len(states()) - 1, "it went well this time", LIMIT)
    assert len(site.client.runs("ingest_snapshot")) == before + 2
