"""What a machine can do to a run: full disks, clocks that jump back. Memory that runs out: test_guard.py."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crawlmill.errors import CrawlmillError, UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import command, stage
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize("full", ["lake", "scratch"])
def test_a_full_disk_is_named_before_anything_starts(
    full: str, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes.put_documents(lake, NEW, {"a": "text"})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(scratch))
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 5e6 if full in str(path) else 1e12))
    with pytest.raises(
        UserError, match=rf"{full}.* has 5 MB free and 200 are needed: free space there, for tables with `crawlmill maintain`"
    ):
        stage.run(stage.load("identify"), lakes.job(lake, NEW))
    assert ledger.released(lake, "identify", NEW) is None


def test_sparks_words_about_a_full_disk_become_one_sentence() -> None:
    found = command.told(
        RuntimeError("An error occurred while calling o91.save.\njava.io.IOException: No space left on device\n\tat x")
    )
    assert isinstance(found, UserError) and str(found).startswith("a disk is full (No space left on device): free space there")


@pytest.mark.parametrize(
    "words",
    [
        "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n\tat x",
        "  File x\nMemoryError\n\n\tat org.apache",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "java.lang.OutOfMemoryError: Java heap space\n\tat x",
        "pyarrow.lib.ArrowMemoryError: malloc of size 1073741824 failed",
    ],
)
def test_words_about_memory_become_one_sentence_and_the_task_is_tried_again(words: str) -> None:
    found = command.told(RuntimeError(f"An error occurred while calling o91.save.\n{words}"))
    assert type(found) is CrawlmillError and found.exit_code == 1 and "\n" not in str(found)
    assert str(found).startswith("memory ran out, or a Python worker of Spark was killed")


def test_the_order_of_attempts_does_not_hang_on_a_clock(lake: str) -> None:
    table.create_all(lake)
    now = datetime(2026, 10, 25, 3, tzinfo=UTC)
    for fence, jump in ((1, 0), (2, -3), (3, -9_000)):  # hours: summer time's end, a machine that woke up in another year
        at = now + timedelta(hours=jump)
        ledger.append_run(lake, RunRow(f"r{fence}", "identify", NEW, "k", "passed", fence=fence, started_at=at, finished_at=at,
                                       outputs=[{"table": "languages", "version": fence}]))  # fmt: skip
    assert [run.run_id for run in ledger.runs(lake)] == ["r1", "r2", "r3"]
    last = ledger.released(lake, "identify", NEW)
    assert last and last.run_id == "r3" and pins.of(last)["languages", NEW] == 3


def test_commits_are_ordered_by_version_whatever_their_time(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from crawlmill.lake import fence
    from tests.fixtures import lake_tables

    table.create_all(lake)
    tokens: list[int] = []
    versions: list[int] = []
    for hours in (0, -5_000, 2):
        monkeypatch.setattr("time.time", lambda hours=hours: 1.8e9 + hours * 3600)
        tokens.append(fence.draw(lake, "identify", NEW, None, f"r{hours}"))
        versions.append(lake_tables.put(lake, "languages", NEW, [{"shard": 0, "id": f"{hours}"}]))
    assert tokens == sorted(tokens) and versions == [1, 2, 3]
