"""The plugin's pages: nobody without a log-in or a role, nothing that a page says runs, nothing is written by a reader."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawlmill.explain import funnel, over_time
from crawlmill.lake import ledger, pins
from crawlmill.recipes import recipe
from tests.fixtures import open_pages, seen
from tests.fixtures.lakes import NEW, OLD, record_id

GETS = ["/", "/why", "/report?snapshot=" + NEW, "/table?name=corpus", "/workbench", "/run?dag_id=ingest_snapshot&run_id=backfill__1",
        "/stage?dag_id=ingest_snapshot&run_id=backfill__1&task_id=gate.check"]  # fmt: skip
VIEWER, EDITOR = {"x-role": "viewer"}, {"x-role": "editor"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("pages") / "lake"))


@pytest.fixture
def client(lake: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    from starlette.testclient import TestClient

    from crawlmill.orchestrate.pages import app

    monkeypatch.setenv("CRAWLMILL_LAKE", lake)
    return TestClient(app.build(open_pages.by_header()), base_url="http://airflow.example")


@pytest.mark.parametrize("path", GETS)
def test_nobody_without_a_log_in_or_a_role(client: Any, path: str) -> None:
    anonymous = client.get(path)
    assert anonymous.status_code == 401 and "Log in</a>" in anonymous.text and NEW not in anonymous.text.split("?", 1)[0]
    assert client.get(path, headers={"x-role": "nobody"}).status_code == 403
    answer = client.get(path, headers=VIEWER)
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy and "base-uri 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff" and "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize("path", [path for path in GETS if "report" not in path and "/run" not in path])
def test_pages_have_no_script_and_no_inline_style(client: Any, path: str) -> None:
    answer = client.get(path, headers=VIEWER)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|\son\w+=|javascript:|style=", answer.text)


def test_what_a_page_says_is_escaped(client: Any) -> None:
    for asked in (record_id(f"{NEW}/49"), seen.url(49), "<script>alert(1)</script>"):
        answer = client.get("/why", params={"page": asked}, headers=VIEWER)
        assert (
            answer.status_code == 200
            and "<script" not in answer.text
            and "\x1b" not in answer.text
            and "\u202e" not in answer.text
        )
    found = client.get("/why", params={"page": seen.url(49)}, headers=VIEWER).text
    assert NEW in found and OLD in found and "data files read" in found and "&lt;script&gt;" in found
    assert "site1.example" in client.get("/why", params={"page": "https://site1.example/nothing"}, headers=VIEWER).text


def test_the_tab_of_a_run(client: Any) -> None:
    def tab(dag: str, run: str) -> Any:
        return client.get("/run", params={"dag_id": dag, "run_id": run}, headers=VIEWER)

    assert f"<h1>{NEW}</h1>" in tab("ingest_snapshot", "backfill__1").text
    assert (
        tab("ingest_snapshot", "early").status_code == 404
        and "has not passed the gate yet" in tab("ingest_snapshot", "early").text
    )
    assert "<h1>Snapshots</h1>" in tab("publish_corpus", "p").text
    assert tab("other", "o").status_code == 404 and tab("ingest_snapshot", "x").status_code == 404


def test_a_large_snapshot_s_report_is_made_beforehand(client: Any, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from crawlmill.cli import cli
    from crawlmill.orchestrate.pages import app

    monkeypatch.setattr(app, "MOST", 10)
    asked = {"snapshot": OLD}
    missing = client.get("/report", params=asked, headers=VIEWER)
    assert missing.status_code == 404 and f"crawlmill report {OLD} --keep" in missing.text
    CliRunner().invoke(cli, ["report", OLD, "--keep", "--lake", lake], catch_exceptions=False)
    assert f"<h1>{OLD}</h1>" in client.get("/report", params=asked, headers=VIEWER).text
    old = Path(lake) / "_control" / "reports" / f"{OLD}.html"
    os.utime(old, (0, 0))
    assert client.get("/report", params=asked, headers=VIEWER).status_code == 404, "older than the verdicts"


def test_snapshots_over_time(client: Any) -> None:
    text = client.get("/", headers=VIEWER).text
    assert text.index(NEW) < text.index(f">{OLD}<"), "the newest first"
    eligible = sum(row["eligible"] for row in seen.verdicts(seen.documents(NEW)))
    assert f"<td>{seen.SIZE}<td>{eligible}<td>" in text
    assert all(f'<th scope="row">{language}<' in text for language, _ in seen.LABELS)


def test_only_what_has_changed_is_counted_again(lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While snapshots are ingested the ledger grows every minute."""
    counted, whole = list[str](), funnel.of

    def count(lake: str, snapshot: str) -> Any:
        counted.append(snapshot)
        return whole(lake, snapshot)

    monkeypatch.setattr(funnel, "of", count)
    copy = str(shutil.copytree(lake, tmp_path / "copy"))

    def asked() -> list[str]:
        counted.clear()
        over_time.gather(copy)
        return counted

    assert asked() == [OLD, NEW] and asked() == []
    gate = ledger.released(copy, "gate", NEW)
    assert gate
    ledger.append_run(copy, replace(gate, run_id="again", fence=gate.fence + 100, verdict="committed"))
    assert asked() == [], "nobody has judged it"
    ledger.append_run(copy, replace(gate, run_id="again", fence=gate.fence + 100))
    assert asked() == [NEW]
    publish = ledger.released(copy, "publish", pins.EVERY)
    assert publish
    ledger.append_run(copy, replace(publish, run_id="published again", fence=gate.fence + 200))
    assert asked() == [OLD, NEW]


def test_what_a_task_wrote(client: Any) -> None:
    text = client.get(GETS[-1], headers=VIEWER).text
    assert 'href="../dags/ingest_snapshot/runs/backfill__1"' in text
    assert "gate of " + NEW in text and "table?name=verdicts&amp;version=" in text and "up to date since" in text
    versions = client.get("/table", params={"name": "verdicts", "version": 2}, headers=VIEWER).text
    assert 'aria-current="true"' in versions and "recipe_key" in versions
    assert client.get("/table", params={"name": "../runs"}, headers=VIEWER).status_code == 404


def test_the_workbench_answers_and_tells_wrong_input(client: Any) -> None:
    def ask(**asked: Any) -> Any:
        return client.get("/workbench", params={"language": "eng", **asked}, headers=VIEWER)

    found = ask(way="expression", expression="gopher_word_count < 60")
    assert found.status_code == 200 and "Hits <b>" in found.text and "Saving a draft needs" in found.text
    assert "Hits <b>" in ask(way="limit", rule="list_ratio", limit="0.1").text
    assert "Hits <b>" in ask(way="pattern", pattern="sand").text
    assert (
        "Only in force" in ask(way="recipes", a="in force", b="gopher").text
        or "was not measured" in ask(way="recipes", b="gopher").text
    )
    for asked in ({"way": "expression", "expression": "__import__('os')"}, {"way": "pattern", "pattern": "("}, {"way": "recipes", "b": "/etc/passwd"},
                  {"way": "limit", "rule": "x", "limit": "1"}, {"way": "expression", "expression": "<script>"}):  # fmt: skip
        answer = ask(**asked)
        assert answer.status_code == 400 and 'role="alert"' in answer.text and "<script" not in answer.text
    assert ask(snapshot="../x").status_code == 400 and ask(seed="x").status_code == 422


def test_only_an_editor_on_our_own_page_saves_a_draft(client: Any, lake: str) -> None:
    form = {"name": "tried", "way": "expression", "expression": "gopher_word_count < 60", "language": "eng", "snapshot": NEW}
    home = {"origin": "http://airflow.example", "sec-fetch-site": "same-origin"}
    path = Path(lake) / "_control" / "drafts" / "tried.yaml"
    assert client.post("/draft", data=form, headers=home).status_code == 401
    assert client.post("/draft", data=form, headers={**home, **VIEWER}).status_code == 403
    for origin in ({}, {"origin": "http://evil.example"}, {**home, "sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert client.post("/draft", data=form, headers={**origin, **EDITOR}).status_code == 403
    assert not path.exists()
    assert "Save draft" in client.get("/workbench", params=form, headers=EDITOR).text
    saved = client.post("/draft", data=form, headers={**home, **EDITOR})
    assert saved.status_code == 200 and str(path) in saved.text
    assert recipe.load(path).gate.rules["tried"].limit == 60
    again = client.post("/draft", data=form, headers={**home, **EDITOR})
    assert again.status_code == 400 and "is there already" in again.text
    assert client.post("/draft", data={**form, "name": "../x"}, headers={**home, **EDITOR}).status_code == 400
    assert client.get("/workbench", params={"way": "recipes", "b": "draft tried"}, headers=VIEWER).status_code == 200


def test_loading_the_plugin_imports_no_web_framework_and_no_spark() -> None:
    import subprocess
    import sys

    code = "import airflow.plugins_manager, sys; a = set(sys.modules); import crawlmill.orchestrate.plugin; print(*(set(sys.modules) - a))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert not [
        name for name in loaded if name.partition(".")[0] in ("fastapi", "starlette", "pyspark", "deltalake", "pyarrow", "jinja2")
    ]
