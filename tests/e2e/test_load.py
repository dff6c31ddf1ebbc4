"""Ten snapshots queued in the real Airflow, and people who ask all the while: no error, no wrong count, answers in time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from crawlmill import sample_crawl
from crawlmill.lake import ledger
from crawlmill.orchestrate import crawls, demo, processes, service
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow
from crawlmill.sample_crawl.pages import EARLIER, SMALLEST
from tests.e2e.conftest import free_port
from tests.e2e.test_backfill import between_real_ones
from tests.e2e.test_unattended import until
from tests.fixtures import ingestion

pytestmark = [pytest.mark.e2e, pytest.mark.full]
CHOSEN = sorted(SMALLEST)[-10:]
LIMIT = 2_400.0  # seconds for ten snapshots and the corpus; ten minutes where nothing else runs
VERB, PAGE = 60.0, 30.0  # seconds in which each has answered on two cores that Spark has filled; some seconds are usual
TAKEN = ("snapshot", "files", "responses", "documents", "rejects")  # of a funnel: the same from the first moment on


@dataclass
class Asked:
    """What was asked, by kind: seconds each, and what was wrong with the answers."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    funnels: list[dict[str, Any]] = field(default_factory=list)
    paths: list[dict[str, Any]] = field(default_factory=list)

    def table(self) -> str:
        lines = [f"{'asked':<28} times  median s  longest s"]
        for name, found in sorted(self.seconds.items()):
            lines.append(f"{name:<28} {len(found):5}  {sorted(found)[len(found) // 2]:8.1f}  {max(found):9.1f}")
        return "\n".join(lines)


@dataclass
class Crowd:
    """People at the shell and in the browser, on one lake."""

    instance: Instance
    client: Airflow
    folder: Path
    truth: list[dict[str, Any]]
    asked: Asked = field(default_factory=Asked)
    stop: threading.Event = field(default_factory=threading.Event)

    def over_and_over(self, work: Callable[[int], None]) -> None:
        """Ask until it is enough; the machine is for the work, so there is a breath between."""
        turn = 0
        while not self.stop.is_set():
            try:
                work(turn)
            except Exception as error:
                self.asked.wrong.append(repr(error)[:500])
                return
            turn += 1
            self.stop.wait(4)

    def verb(self, *words: str, fine: tuple[int, ...] = (0,)) -> str:
        """A verb's output."""
        started = time.monotonic()
        program = [str(Path(sys.executable).parent / "crawlmill"), *words, "--lake", self.instance.lake]
        done = subprocess.run(program, cwd=self.folder, capture_output=True, text=True, timeout=600, check=False)
        self.asked.seconds[f"crawlmill {words[0]}"].append(time.monotonic() - started)
        if done.returncode not in fine or "Traceback" in done.stderr:
            self.asked.wrong.append(f"{words}: {done.returncode} {done.stderr[-500:]}")
        return done.stdout

    def at_the_shell(self, turn: int) -> None:
        """The funnel, a page's path, and the report of a snapshot that has one."""
        for line in self.verb("funnel", "--json").splitlines():
            self.asked.funnels.append(json.loads(line))
        page = self.truth[37 * turn % len(self.truth)]
        with suppress(ValueError):  # a page of which nobody knows yet
            self.asked.paths += json.loads(self.verb("why", page["url"], "--json", fine=(0, 1)))["captures"]
        if judged := list(ledger.released_snapshots(self.instance.lake, "gate")):
            name = judged[turn % len(judged)]
            self.verb("report", name, "--out", "report.html")
            if f"<h1>{name}</h1>" not in (self.folder / "report.html").read_text(encoding="utf-8"):
                self.asked.wrong.append(f"report of {name} is of something else")

    def in_the_browser(self, turn: int) -> None:
        """Every page of the plugin, and the tab of a run."""
        judged = set(ledger.released_snapshots(self.instance.lake, "gate"))
        name, page = CHOSEN[turn % len(CHOSEN)], self.truth[53 * turn % len(self.truth)]
        self.page("/", "<h1>Snapshots</h1>")
        self.page(f"/why?page={quote(page['url'], safe='')}", "Why is a page in or out?")
        self.page("/table?name=verdicts", "Table verdicts")
        if name in judged:
            self.page(f"/report?snapshot={name}", f"<h1>{name}</h1>")
            self.page("/workbench?way=expression&expression=gopher_word_count+%3C+60&language=eng", "Workbench")
        for run in self.client.runs("ingest_snapshot"):
            if run["partition_key"] == name:
                asked = f"dag_id=ingest_snapshot&run_id={quote(run['dag_run_id'], safe='')}"
                self.page(f"/run?{asked}", name, (200,) if name in judged else (200, 404))
                self.page(f"/stage?{asked}&task_id=extract.submit", "Stage extract")

    def page(self, path: str, says: str, fine: tuple[int, ...] = (200,)) -> None:
        """A page as the browser gets it."""
        started, http = time.monotonic(), urllib3.PoolManager(retries=False, timeout=300.0)
        token = http.request("GET", f"{self.instance.url}/auth/token").json()["access_token"]
        answer = http.request("GET", f"{self.instance.url}/crawlmill{path}", headers={"Authorization": f"Bearer {token}"})
        self.asked.seconds[f"page {path.partition('?')[0]}"].append(time.monotonic() - started)
        if answer.status not in fine or (answer.status == 200 and says.encode() not in answer.data):
            self.asked.wrong.append(f"{path}: {answer.status} {answer.data[:300]!r}")


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    """An Airflow that knows ten small snapshots; nothing runs yet."""
    sample = tmp_path / "sample"
    sample_crawl.write(sample, earlier=len(EARLIER))
    listed = sample / "collinfo.json"
    listed.write_text(json.dumps([row for row in json.loads(listed.read_text()) if row["id"] in CHOSEN]))
    between_real_ones(listed)
    rows = [json.loads(line) for line in (sample / sample_crawl.TRUTH).read_text(encoding="utf-8").splitlines()]
    found = Instance(tmp_path / "airflow", free_port(), str(tmp_path / "lake"), "", str(listed))
    try:
        found = service.start(demo._serve(sample, found))
        yield Crowd(found, Airflow(found.url), tmp_path, [row for row in rows if row["snapshot"] in CHOSEN])
    finally:
        processes.stop(found.processes)
        processes.stop(tmp_path / "run")


def test_ten_snapshots_are_queued_while_people_ask(crowd: Crowd) -> None:
    days = crawls.read_collinfo(crowd.folder / "sample" / "collinfo.json").values()
    crowd.client.backfill("ingest_snapshot", min(days).isoformat(), max(days).isoformat(), active=4)
    until(lambda: len(crowd.client.runs("ingest_snapshot")) == 10, "ten runs in the queue")
    until(lambda: bool(ledger.runs(crowd.instance.lake)), "the first row of the ledger")
    asking = [
        threading.Thread(target=crowd.over_and_over, args=[work], daemon=True)
        for work in (crowd.at_the_shell, crowd.in_the_browser)
    ]
    for one in asking:
        one.start()
    try:
        until(lambda: ingestion.succeeded(crowd.client) == 10, "ten snapshots", LIMIT)
        until(lambda: ingestion.published(crowd.client, crowd.instance.lake), "the corpus of ten snapshots", LIMIT)
    finally:
        crowd.stop.set()
        for one in asking:
            one.join(700)
    print("\n" + crowd.asked.table())
    assert crowd.asked.wrong == []
    assert not [
        name for name, found in crowd.asked.seconds.items() if max(found) > (VERB if name.startswith("crawlmill") else PAGE)
    ]
    assert min(map(len, crowd.asked.seconds.values())) >= 5, "each was asked again and again"
    counts_were_right(crowd)


def counts_were_right(crowd: Crowd) -> None:
    """What anybody was told at any time is nothing, or what is true at the end: each snapshot was ingested once."""
    last = {row["snapshot"]: row for row in map(json.loads, crowd.verb("funnel", "--json").splitlines())}
    assert sorted(last) == CHOSEN
    assert all(row["published"] and sum(line["kept"] for line in row["lines"]) for row in last.values())
    for told in crowd.asked.funnels:
        true = last[told["snapshot"]]
        assert {name: told[name] for name in TAKEN} == {name: true[name] for name in TAKEN}
        lines = {line["language"]: line for line in true["lines"]}
        assert not told["lines"] or {line["language"] for line in told["lines"]} == lines.keys()
        assert all(line["documents"] == lines[line["language"]]["documents"] for line in told["lines"])
        eligible = [line["eligible"] for line in told["lines"]]
        assert not any(eligible) or eligible == [lines[line["language"]]["eligible"] for line in told["lines"]]
        assert all(line["kept"] <= line["eligible"] for line in told["lines"])
        assert told["published"] or not any(line["kept"] for line in told["lines"])
    own = {row["id"]: row for row in crowd.truth}
    assert crowd.asked.paths, "somebody was told about a page"
    for capture in crowd.asked.paths:
        assert capture["verdict"] != "missing" and own[capture["id"]]["snapshot"] == capture["snapshot"]
