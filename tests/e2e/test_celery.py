"""A machine less: one of two Celery workers is lost with everything on it, and the other one goes on with its Spark job."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from crawlmill import sample_crawl
from crawlmill.lake import ledger
from crawlmill.orchestrate import demo, instance, processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow
from crawlmill.sample_crawl.pages import EARLIER
from tests.e2e.conftest import free_port
from tests.e2e.test_unattended import until
from tests.fixtures import postgres

pytestmark = [pytest.mark.e2e, pytest.mark.full]
SNAPSHOT = EARLIER[0]  # a small one
WORKERS = ("worker-a", "worker-b")


@contextmanager
def redis() -> Iterator[str]:
    """The address of a broker of this test's own, which keeps nothing."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/")
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def settings(broker: str, database: str) -> dict[str, str]:
    """Airflow's, beside those of one machine."""
    url = f"postgresql+psycopg2://airflow@127.0.0.1:{database}/airflow"
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{url}",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # a lost task is missed after a minute, not five
    }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """Airflow on PostgreSQL with two Celery workers."""
    if importlib.util.find_spec("celery") is None or shutil.which("redis-server") is None:
        pytest.skip("no Celery or no redis-server on this machine: `pip install crawlmill[celery]`, install the server")
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL on this machine: install its server")
    sample_crawl.write(tmp_path / "sample", earlier=1)
    own = instance.environment
    found = Instance(tmp_path / "airflow", free_port(), str(tmp_path / "lake"), "", str(tmp_path / "sample" / "collinfo.json"))
    with ExitStack() as stack:
        further = settings(stack.enter_context(redis()), stack.enter_context(postgres.server(tmp_path / "pg")))
        monkeypatch.setattr(instance, "environment", lambda which: {**own(which), **further})
        try:
            found = service.start(demo._serve(tmp_path / "sample", found))
            airflow = str(Path(sys.executable).parent / "airflow")
            for name in WORKERS:
                command = [airflow, "celery", "worker", "-H", f"{name}@%h", "--concurrency", "2", "--skip-serve-logs"]
                processes.start(
                    name, [*command, "--pid", str(found.processes / f"{name}.pid")], found.processes, instance.environment(found)
                )
            yield found
        finally:
            processes.stop(found.processes)
            processes.stop(tmp_path / "run")


def busy(found: Instance) -> psutil.Process | None:
    """The worker below which a Spark job runs."""
    for name, worker in processes.running(found.processes).items():
        for child in worker.children(recursive=True) if name in WORKERS else ():
            try:
                if "org.apache.spark.deploy.SparkSubmit" in child.cmdline():
                    return worker
            except psutil.Error:
                continue
    return None


def test_the_job_of_a_lost_worker_is_done_by_the_other(cluster: Instance) -> None:
    client = Airflow(cluster.url)
    body = {"logical_date": None, "partition_key": SNAPSHOT}
    run = client.call("POST", "/api/v2/dags/ingest_snapshot/dagRuns", body)["dag_run_id"]

    def task(name: str) -> dict[str, Any]:
        return next((one for one in client.tasks("ingest_snapshot", run) if one["task_id"] == name), {})

    until(lambda: busy(cluster) is not None, "a Spark job below a worker")
    lost = busy(cluster)
    assert lost is not None and task("extract.submit")["state"] == "running"
    for process in [*lost.children(recursive=True), lost]:
        process.kill()
    until(lambda: task("extract.check").get("state") == "success", "the same stage by the other worker")
    assert task("extract.submit")["try_number"] == 2
    assert ledger.released(cluster.lake, "extract", SNAPSHOT) is not None
    assert len(set(processes.running(cluster.processes)) & set(WORKERS)) == 1
