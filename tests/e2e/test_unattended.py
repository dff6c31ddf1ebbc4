"""Nobody acts: a snapshot that the source newly lists is found, ingested and published; what waits for a person is answered over the REST API."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from deltalake import DeltaTable

from crawlmill import sample_crawl
from crawlmill.lake import ledger, pins
from crawlmill.orchestrate import demo, freshness, processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow
from crawlmill.releases import release

pytestmark = [pytest.mark.e2e, pytest.mark.full]
NEW = "CC-MAIN-2026-43"
LIMIT = 1500.0  # seconds for one step; minutes are usual


@dataclass
class Running:
    """An Airflow that is up on a lake of its own, and the mirror that it watches."""

    lake: str
    mirror: Path
    client: Airflow

    def runs(self, dag: str) -> list[tuple[str, str]]:
        return [(run["partition_key"], run["state"]) for run in self.client.runs(dag)]

    def trigger(self, dag: str, **body: Any) -> str:
        """Start a run by hand; returns its id."""
        return str(self.client.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, **body})["dag_run_id"])

    def states(self, dag: str, run: str) -> dict[str, Any]:
        return {task["task_id"]: task["state"] for task in self.client.tasks(dag, run)}

    def question(self, dag: str, run: str) -> tuple[str, dict[str, Any]]:
        """Wait for the question of task `approve`; returns its address and what it asks."""
        until(lambda: self.states(dag, run).get("approve") == "awaiting_input", "the question")
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/approve/-1/hitlDetails"
        return path, self.client.call("GET", path)

    def succeed(self, dag: str, run: str) -> None:
        """Wait for a run's success; a failed task's last words are the failure."""

        def done() -> bool:
            tasks = self.client.tasks(dag, run)
            for task in tasks:
                assert task["state"] != "failed", self.client.log(task)[-20:]
            return bool(tasks) and all(task["state"] == "success" for task in tasks)

        until(done, f"{dag}")


def until(done: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not done():
        assert time.monotonic() < deadline, f"not within {limit:.0f} s: {what}"
        time.sleep(2)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Airflow with the watch on, a look a minute; the mirror lists only the older snapshot at first."""
    root = tmp_path_factory.mktemp("unattended")
    with pytest.MonkeyPatch.context() as patch, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        patch.setenv("CRAWLMILL_WATCH", "* * * * *")
        patch.setenv("CRAWLMILL_SCHEDULED_FROM", NEW)
        sample_crawl.write(root / "sample")
        listed = root / "sample" / "collinfo.json"
        everything = listed.read_text()
        listed.write_text(json.dumps([row for row in json.loads(everything) if row["id"] != NEW]))
        instance = demo._serve(root / "sample", Instance(root / "airflow", port, str(root / "lake"), ""))
        try:
            service.start(instance)
            yield Running(instance.lake, root / "sample", Airflow(instance.url))
        finally:
            processes.stop(instance.processes)
            processes.stop(root / "run")


def test_a_newly_listed_snapshot_is_ingested_and_published_with_nobody_acting(running: Running, tmp_path: Path) -> None:
    until(lambda: "success" in dict(running.runs("watch_crawls")).values(), "a first look")
    assert running.runs("ingest_snapshot") == [], "what the mirror lists so far is older than the first snapshot asked for"
    sample_crawl.write(tmp_path)
    (running.mirror / "collinfo.json").write_text((tmp_path / "collinfo.json").read_text())
    until(lambda: running.runs("ingest_snapshot") == [(NEW, "success")], "ingestion by the scheduler")
    until(lambda: "success" in [state for _, state in running.runs("publish_corpus")], "publication")
    published = ledger.released(running.lake, "publish", pins.EVERY)
    assert published is not None and pins.snapshots(pins.of(published)) == [NEW]
    assert running.runs("maintain_tables") == [], "maintenance waits for its day"


def test_a_warning_parks_publishing_until_somebody_answers_over_the_rest_api(running: Running) -> None:
    gate = ledger.released(running.lake, "gate", NEW)
    assert gate is not None
    warning = {
        "snapshot": NEW, "stage": "gate", "table": "verdicts", "version": gate.output("verdicts"), "run_id": gate.run_id,
        "expectation": "keep_rate_near_baseline", "column": None, "severity": "warning", "description": "as many are kept as before",
        "success": False, "observed": "0.1", "limit": "0.5", "samples": "[]", "error": None, "answer": None, "checked_at": datetime.now(UTC),
    }  # fmt: skip
    ledger.append_quality(running.lake, [warning])
    run = running.trigger("publish_corpus", partition_key="every-snapshot")
    path, asked = running.question("publish_corpus", run)
    assert "as many are kept as before" in asked["body"] and asked["defaults"] == ["Hold"]
    running.client.call("PATCH", path, {"chosen_options": ["Publish"], "params_input": {"because": "a test"}})
    running.succeed("publish_corpus", run)
    (answer,) = [row["answer"] for row in ledger.quality(running.lake, NEW) if row["answer"]]
    assert answer.startswith("publish by ") and answer.endswith(": a test")


def test_a_page_is_taken_down_once_somebody_agrees_and_its_release_has_a_successor(running: Running) -> None:
    running.succeed("build_release", running.trigger("build_release", conf={"name": "web", "snapshots": NEW}))
    first = release.manifest(running.lake, "web")
    host, _ = hosts(running.lake, "corpus").most_common(1)[0]
    conf = {"names": f"https://{host}/no-such-page\n{host}", "because": "a letter", "by": "a lawyer"}
    run = running.trigger("takedown", conf=conf)
    path, asked = running.question("takedown", run)
    assert host in asked["body"] and "releases to withdraw: web" in asked["body"] and asked["defaults"] == ["Keep"]
    assert release.names(running.lake) == ["web"], "nothing is withdrawn before somebody agrees"
    running.client.call("PATCH", path, {"chosen_options": ["Delete"], "params_input": {}})
    running.succeed("takedown", run)
    after = release.manifest(running.lake, "web-r2")
    assert first and after and release.names(running.lake) == ["web-r2"]
    assert after["total"]["stands_for"] < first["total"]["stands_for"]
    assert host not in hosts(running.lake, "documents") and host not in hosts(running.lake, "corpus")
    (audit,) = ledger.runs(running.lake, "takedown", NEW)
    assert "asked for by a lawyer, approved by" in (audit.message or "") and freshness.news(running.lake) is None


def hosts(lake: str, table: str) -> Counter[str]:
    """How many rows of a table each host has."""
    urls = DeltaTable(f"{lake}/{table}").to_pyarrow_table(columns=["url"]).column("url").to_pylist()
    return Counter(urlsplit(url).hostname or "" for url in urls)
