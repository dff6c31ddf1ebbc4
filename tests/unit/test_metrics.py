"""What the ledger tells Prometheus."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest

from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.orchestrate import metrics
from tests.fixtures import shell

SNAPSHOT = "CC-MAIN-2026-43"


@pytest.fixture
def told(lake: str) -> str:
    table.create_all(lake)
    counts = [{"shard": 0, "read": 120, "written": 100, "rejected": 20}]
    ledger.append_run(lake, RunRow("r0", "extract", SNAPSHOT, "k", "failed", fence=1))
    ledger.append_run(lake, RunRow("r1", "extract", SNAPSHOT, "k", "passed", counts=counts, seconds=4.0, fence=2))
    return lake


def test_a_stage_s_last_run(told: str) -> None:
    found = metrics.text(metrics.samples(told))
    labels = f'{{snapshot="{SNAPSHOT}",stage="extract"}}'
    assert f"crawlmill_stage_documents{labels} 100\n" in found
    assert f"crawlmill_stage_documents_per_second{labels} 30\n" in found
    assert f'crawlmill_stage_verdict{{snapshot="{SNAPSHOT}",stage="extract",verdict="passed"}} 1\n' in found
    assert 'crawlmill_stage_failed_runs{stage="extract"} 1\n' in found
    assert "# TYPE crawlmill_stage_documents gauge\n" in found and "crawlmill_corpus_behind 0\n" in found
    assert metrics.text([("crawlmill_open_warnings", {"snapshot": 'a"\\'}, 2)]).endswith('{snapshot="a\\"\\\\"} 2\n')


def test_they_are_served_and_printed(told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    server = metrics.server(told, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        assert "crawlmill_snapshots_ingested 0" in answer.read().decode()
        assert answer.headers["Content-Type"] == metrics.CONTENT_TYPE
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}/", timeout=10)
    server.shutdown()
    server.server_close()
    assert shell.call(monkeypatch, "metrics", "--lake", told) == 0
    assert "crawlmill_stage_seconds" in capsys.readouterr().out
    assert "give HOST:PORT" in shell.user_error(monkeypatch, capsys, "metrics", "--lake", told, "--serve", "nonsense")


def test_a_lake_in_which_nothing_ran_has_few(lake: str) -> None:
    assert {name for name, _, _ in metrics.samples(lake)} == {"crawlmill_snapshots_ingested", "crawlmill_corpus_behind"}
