"""The plugin in the real API server, on what a demo has left: tab, links, log-in, roles."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from crawlmill.orchestrate import instance as instances
from tests.e2e.conftest import free_port
from tests.e2e.test_pages import SHOTS

pytestmark = pytest.mark.e2e
WORD = "a-word-for-tests"
USERS = {"vera": "viewer", "edda": "user", "nora": ""}
SNAPSHOT = "CC-MAIN-2026-43"


@dataclass(frozen=True)
class Server:
    url: str
    lake: str
    http: urllib3.PoolManager

    def token(self, user: str) -> str:
        answer = self.http.request("POST", f"{self.url}/auth/token", json={"username": user, "password": WORD})
        return str(answer.json()["access_token"])

    def get(self, path: str, user: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token(user)}"} if user else {}
        return self.http.request("GET", f"{self.url}{path}", headers=headers, redirect=False)

    def run(self) -> str:
        """The id of the run that ingested SNAPSHOT."""
        runs = self.get("/api/v2/dags/ingest_snapshot/dagRuns", "vera").json()["dag_runs"]
        return str(next(run["dag_run_id"] for run in runs if run["partition_key"] == SNAPSHOT))


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[Server]:
    """An API server with three users on the demo's database; nothing else of Airflow runs."""
    instance = replace(instances.load(state / "airflow"), port=free_port())  # type: ignore[type-var]
    words = state / "passwords.json"
    words.write_text(json.dumps(dict.fromkeys(USERS, WORD)))
    env = instances.environment(instance) | {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(words),
    }
    airflow, log = str(Path(sys.executable).parent / "airflow"), (state / "api-server.log").open("w")
    process = subprocess.Popen([airflow, "api-server"], env=env, stdout=log, stderr=log)
    found = Server(instance.url, instance.lake, urllib3.PoolManager(retries=False))
    try:
        deadline = time.monotonic() + 240
        while True:
            assert process.poll() is None and time.monotonic() < deadline, (state / "api-server.log").read_text()[-3000:]
            try:
                if found.http.request("GET", f"{found.url}/api/v2/monitor/health", timeout=5).status == 200:
                    break
            except urllib3.exceptions.HTTPError:
                time.sleep(0.3)
        yield found
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_nobody_sees_a_page_without_log_in_and_role(server: Server) -> None:
    tab = f"/crawlmill/run?dag_id=ingest_snapshot&run_id={quote(server.run(), safe='')}"
    for path in ("/crawlmill/", "/crawlmill/why", "/crawlmill/workbench", tab, f"/crawlmill/report?snapshot={SNAPSHOT}"):
        assert server.get(path).status == 401, path
        assert server.get(path, "nora").status == 403, path
        assert server.get(path, "vera").status == 200, path
    assert b"/auth/login?next=" in server.get("/crawlmill/why").data


def test_a_viewer_cannot_write_and_an_editor_can(server: Server) -> None:
    fields = {
        "name": "from-a-test",
        "way": "limit",
        "rule": "gopher_short_doc",
        "limit": "60",
        "snapshot": SNAPSHOT,
        "language": "deu",
    }

    def post(user: str, origin: str) -> int:
        headers = {"Authorization": f"Bearer {server.token(user)}", "Origin": origin}
        answer = server.http.request(
            "POST", f"{server.url}/crawlmill/draft", fields=fields, encode_multipart=False, headers=headers
        )
        return int(answer.status)

    draft = Path(server.lake) / "_control" / "drafts" / "from-a-test.yaml"
    assert post("vera", server.url) == 403 and post("edda", "http://elsewhere.example") == 403 and not draft.exists()
    assert post("edda", server.url) == 200 and "gopher_short_doc: 60" in draft.read_text()


def test_tasks_link_to_the_report_and_to_what_they_wrote(server: Server) -> None:
    run = server.run()
    path = f"/api/v2/dags/ingest_snapshot/dagRuns/{quote(run, safe='')}/taskInstances"
    links = server.get(f"{path}/gate.check/links", "vera").json()["extra_links"]
    assert links["Report"].endswith(f"/runs/{quote(run, safe='')}/plugin/crawlmill-report")
    wrote = server.get("/" + links["Table versions"].split("/", 3)[3], "vera")
    assert wrote.status == 200 and b"table?name=page_index&amp;version=" in wrote.data
    submitted = server.get(f"{path}/measure.submit/links", "vera").json()["extra_links"]
    assert submitted["Report"] and submitted["Spark UI"] is None, "its UI is off on one machine"


def test_the_report_is_a_tab_of_the_run(server: Server, browser: Any) -> None:
    page, wrong = browser.new_context(viewport={"width": 1280, "height": 900}).new_page(), list[str]()
    # Of Airflow's own frame Chromium warns that its sandbox allows much.
    page.on(
        "console", lambda said: wrong.append(said.text) if said.type == "error" and "crawlmill" in str(said.location) else None
    )
    page.goto(f"{server.url}/auth/login")
    page.get_by_label("Username").fill("vera")
    page.get_by_label("Password").fill(WORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "login" not in url)
    page.goto(f"{server.url}/dags/ingest_snapshot/runs/{quote(server.run(), safe='')}")
    page.get_by_role("tab", name="Report").or_(page.get_by_role("link", name="Report", exact=True)).first.click()
    report = page.frame_locator("iframe")
    assert report.locator("h1").inner_text() == SNAPSHOT
    assert int(report.locator("[data-kept]").first.get_attribute("data-kept")) > 0, "its own script runs in the frame"
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "tab.png"))
    page.goto(f"{server.url}/plugin/crawlmill")
    inside = page.frame_locator("iframe")
    inside.get_by_role("link", name="Workbench").click()
    inside.get_by_label("Expression").fill("gopher_word_count < 60")
    inside.get_by_label("Expression").press("Enter")
    assert "Hits" in inside.get_by_role("status").inner_text()
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "nav.png"))
    assert wrong == []
    page.context.close()
