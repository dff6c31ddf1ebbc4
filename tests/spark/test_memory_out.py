"""Memory runs out in a Python worker: the kernel kills it, or an allocation fails. The task is tried again; if that is no help, one sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

from crawlmill.errors import CrawlmillError
from crawlmill.lake import intact, ledger
from crawlmill.protocol import command
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW

pytestmark = pytest.mark.full
WRITES = {"identify": "languages", "rewrite": "rewrite_steps", "measure": "signals", "sketch": "signatures"}
MEGABYTES = "450"  # address space of a worker: enough for itself, not for what a stage loads


@contextmanager
def killing(spark: Any, most: int) -> Iterator[list[int]]:
    """Kill Python workers of this session as they appear, at most so many: what the kernel does where memory runs out."""
    jvm = psutil.Process(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())
    stop, killed = threading.Event(), list[int]()

    def work() -> None:
        while not stop.wait(0.005) and len(killed) < most:
            with suppress(psutil.Error):
                for daemon in jvm.children():
                    for worker in daemon.children()[: most - len(killed)]:
                        worker.kill()
                        killed.append(worker.pid)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.parametrize("name", WRITES)
def test_a_worker_without_memory(spark: Any, both: str, copy: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])
    before, expected = ledger.released(copy, name, NEW), lakes.contents(spark, both, WRITES[name])
    with killing(spark, 1_000) as killed, pytest.raises(Exception, match="SparkException|Python worker") as out:
        lakes.run(spark, copy, name, NEW, force=True)
    assert len(killed) >= 4, "each task was tried four times"
    one_sentence(out.value)
    assert ledger.released(copy, name, NEW) == before and intact.of_lake(copy) == [], "nothing of the attempt counts"
    with killing(spark, 1) as killed:
        assert lakes.run(spark, copy, name, NEW, force=True).verdict == "passed"
    assert len(killed) == 1 and lakes.contents(spark, copy, WRITES[name]) == expected


def test_an_allocation_that_fails(spark: Any, copy: str) -> None:
    """Of sketch, which loads most: the other stages' work on some pages fits."""
    spark.sparkContext.setLocalProperty("resource.pyspark.memory", MEGABYTES)
    try:
        with pytest.raises(Exception, match="MemoryError|Spark") as out:
            lakes.run(spark, copy, "sketch", NEW, force=True)
    finally:
        spark.sparkContext.setLocalProperty("resource.pyspark.memory", None)
    one_sentence(out.value)


def one_sentence(error: Exception) -> None:
    """What the shell says of it, and that another attempt makes sense."""
    said = command.told(error)
    assert type(said) is CrawlmillError and str(said).startswith("memory ran out, or a Python worker of Spark was killed")
    assert "\n" not in str(said) and "infra/RUNBOOK.md, MemoryOut" in str(said)
