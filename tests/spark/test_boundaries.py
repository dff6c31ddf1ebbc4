"""An attempt may end at every boundary of every stage, two may run at once, and others may read, tidy up or take down meanwhile."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from crawlmill import sample_crawl
from crawlmill.contracts import contract
from crawlmill.errors import CrawlmillError, CriticalFailure, Fenced
from crawlmill.lake import failpoint, fence, intact, ledger, pins, table
from crawlmill.protocol import stage
from crawlmill.sample_crawl import pages
from crawlmill.takedowns import orders, takedown
from crawlmill.upkeep import maintenance
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW, OLD

pytestmark = pytest.mark.full
STAGES = [name for name in stage.NAMES[1:] if name != "recycle"]


@pytest.fixture(autouse=True)
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No expectations: they have tests of their own."""
    monkeypatch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])


def whose(name: str) -> str:
    return NEW if name in stage.PER_SNAPSHOT else pins.EVERY


def tables_of(name: str, lake: str) -> list[str]:
    run = ledger.released(lake, name, whose(name))
    assert run
    return [entry["table"] for entry in run.outputs]


def contents(spark: Any, lake: str, names: list[str]) -> dict[str, list[str]]:
    return {name: lakes.contents(spark, lake, name) for name in names}


@pytest.mark.parametrize("name", STAGES)
def test_an_attempt_may_end_at_every_boundary(
    spark: Any, both: str, copy: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[str] = []
    hit = failpoint.hit
    monkeypatch.setattr(failpoint, "hit", places.append)
    lakes.run(spark, copy, name, whose(name), force=True)
    monkeypatch.setattr(failpoint, "hit", hit)
    assert f"{name}:started" in places and f"{name}:before_ledger" in places and len(places) >= 3
    names = tables_of(name, both)
    expected = contents(spark, both, names)
    for place in dict.fromkeys(places):
        monkeypatch.setenv("CRAWLMILL_FAILPOINT", f"{place}=fail")
        with pytest.raises(RuntimeError, match="failpoint"):
            lakes.run(spark, copy, name, whose(name), force=True)
        monkeypatch.delenv("CRAWLMILL_FAILPOINT")
        before = ledger.runs(copy)
        lakes.run(spark, copy, name, whose(name), force=True)
        assert len(ledger.runs(copy)) == len(before) + 1 and contents(spark, copy, names) == expected, place
    assert intact.of_lake(copy) == []
    nothing_is_left(copy, monkeypatch)


@pytest.fixture(scope="module")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl whose oldest snapshot has a dozen pages."""
    folder = tmp_path_factory.mktemp("dozen")
    sample_crawl.write(folder, earlier=len(pages.EARLIER))
    return folder


def test_extract_may_end_at_every_boundary(
    spark: Any, dozen: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a lake that has another snapshot already, so that something is there to be spoilt."""
    other, name = sorted(pages.SMALLEST)[:2]
    source, tables, places = str(dozen), ["documents", "rejects", "crawl_files"], list[str]()
    quiet = str(tmp_path / "quiet")
    monkeypatch.setattr(failpoint, "hit", places.append)
    for where in (quiet, lake):
        lakes.run(spark, where, "extract", other, source=source)
    places.clear()
    lakes.run(spark, quiet, "extract", name, source=source)
    monkeypatch.undo()
    monkeypatch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])
    assert {f"extract:committed:{table}" for table in tables} <= set(places)
    expected = contents(spark, quiet, tables)
    for place in dict.fromkeys(places):
        monkeypatch.setenv("CRAWLMILL_FAILPOINT", f"{place}=fail")
        with pytest.raises(RuntimeError, match="failpoint"):
            lakes.run(spark, lake, "extract", name, source=source, force=True)
        monkeypatch.delenv("CRAWLMILL_FAILPOINT")
        assert ledger.released(lake, "extract", other), "nobody's run is lost"
        lakes.run(spark, lake, "extract", name, source=source, force=True)
        assert contents(spark, lake, tables) == expected, place
    assert intact.of_lake(lake) == []
    nothing_is_left(lake, monkeypatch)


def nothing_is_left(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After maintenance each data file belongs to a version that is in use, no draft is left, and every lock is free."""
    monkeypatch.setattr(maintenance, "LEAST_HOURS", 0)
    maintenance.maintain(lake, retention_hours=0, keep_days=0)
    used = maintenance.in_use(lake, 0)
    for name in contract.all_tables():
        newest = DeltaTable(f"{lake}/{name}").version()
        wanted = {
            Path(uri).name
            for at in {*used[name], newest}
            if at <= newest
            for uri in DeltaTable(f"{lake}/{name}", version=at).file_uris()
        }
        there = {
            path.name
            for path in Path(lake, name).rglob("*.parquet")
            if "_delta_log" not in path.parts and "_change_data" not in path.parts
        }
        assert there <= wanted, name
    assert not list(Path(lake).rglob("*.draft"))
    for path in Path(lake).rglob("*.lock"):
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def attempt(work: Callable[[], Any]) -> str:
    try:
        return str(work().verdict)
    except (Fenced, CriticalFailure) as error:
        return type(error).__name__


@pytest.mark.parametrize("name", ["identify", "dedup"])
def test_two_runs_of_the_same_work_at_once(spark: Any, both: str, copy: str, name: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(attempt, lambda: lakes.run(spark, copy, name, whose(name), force=True)) for _ in range(2)]
        ends = sorted(one.result() for one in work)
    assert "passed" in ends and set(ends) <= {"passed", "Fenced", "CriticalFailure"}, ends
    names = tables_of(name, both)
    assert contents(spark, copy, names) == contents(spark, both, names) and intact.of_lake(copy) == []


def test_ingest_while_tables_are_tidied_and_somebody_reads(spark: Any, both: str, copy: str) -> None:
    """OPTIMIZE and VACUUM over and over, with files as old as VACUUM could wish; a reader holds the version of the older snapshot."""
    held = ledger.released(copy, "identify", OLD)
    assert held
    at, old = held.output("languages"), table.partition(OLD)
    expected = sorted(map(repr, table.read(spark, copy, "languages", at, old).collect()))
    for path in Path(copy).rglob("*.parquet"):
        os.utime(path, (0, 0))
    stop, wrong = threading.Event(), list[str]()

    def over_and_over(work: Callable[[], object]) -> None:
        while not stop.is_set():
            try:
                work()
            except Exception as error:
                wrong.append(repr(error)[:500])
                return

    def read() -> None:
        if sorted(map(repr, table.read(spark, copy, "languages", at, old).collect())) != expected:
            raise AssertionError("the pinned version changed")

    with ThreadPoolExecutor(2) as pool:
        pool.submit(over_and_over, lambda: maintenance.maintain(copy, retention_hours=24, keep_days=0))
        pool.submit(over_and_over, read)
        for name in ("identify", "rewrite", "measure", "sketch", "gate"):
            lakes.run(spark, copy, name, NEW, force=True)
        lakes.run(spark, copy, "dedup")
        lakes.run(spark, copy, "publish")
        stop.set()
    assert wrong == []
    names = [name for name in pins.WRITTEN_BY if pins.WRITTEN_BY[name] not in ("extract", "load-scores", "recycle")]
    assert contents(spark, copy, names) == contents(spark, both, names) and intact.of_lake(copy) == []


@pytest.fixture
def early(spark: Any, copy: str) -> Iterator[table.Commit]:
    token = fence.draw(copy, "identify", NEW, None, "early")
    yield table.Commit(copy, "identify", NEW, None, token, {"run_id": "early"})


def test_an_attempt_that_began_before_a_takedown_cannot_bring_pages_back(spark: Any, copy: str, early: table.Commit) -> None:
    rows = table.read(spark, copy, "languages", table.version(copy, "languages"), table.partition(NEW))
    takedown.delete(spark, copy, orders.make((lakes.record_id(f"{NEW}/p1"),), "a lawyer", "a letter"), lambda line: None)
    with pytest.raises(CrawlmillError):
        early.replace("languages", rows)
    left = {row["id"] for row in table.read(spark, copy, "languages", table.version(copy, "languages")).collect()}
    assert lakes.record_id(f"{NEW}/p1") not in left and intact.of_lake(copy) == []


def test_a_python_worker_that_is_killed_is_started_again(spark: Any, tmp_path: Path) -> None:
    """One machine's setting is local[N,4]: local[N] would fail the stage."""
    marker = tmp_path / "killed"

    def work(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    rows = spark.range(0, 1_000, 1, 4).mapInArrow(work, "id long").collect()
    assert marker.exists() and sorted(row["id"] for row in rows) == list(range(1_000))
