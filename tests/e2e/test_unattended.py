"""Nobody acts: a snapshot that the source newly lists is found, ingested and published; a warning waits for an answer over the REST API."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from crawlmill import sample_crawl
from crawlmill.lake import ledger, pins
from crawlmill.orchestrate import demo, processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow

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
    body = {"logical_date": None, "partition_key": "every-snapshot"}
    run = running.client.call("POST", "/api/v2/dags/publish_corpus/dagRuns", body)["dag_run_id"]

    def states() -> dict[str, Any]:
        return {task["task_id"]: task["state"] for task in running.client.tasks("publish_corpus", run)}

    until(lambda: states().get("approve") == "awaiting_input", "the question")
    path = f"/api/v2/dags/publish_corpus/dagRuns/{quote(run, safe='')}/taskInstances/approve/-1/hitlDetails"
    asked = running.client.call("GET", path)
    assert "as many are kept as before" in asked["body"] and asked["defaults"] == ["Hold"]
    running.client.call("PATCH", path, {"chosen_options": ["Publish"], "params_input": {"because": "a test"}})
    until(lambda: states().get("publish.check") == "success", "publication after the answer")
    (answer,) = [row["answer"] for row in ledger.quality(running.lake, NEW) if row["answer"]]
    assert answer.startswith("publish by ") and answer.endswith(": a test")
