"""crawlmill.sources.guard and .quarantine: a page that hangs or crashes costs one row, once; everything else is as without the guard."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from crawlmill.errors import CrawlmillError, UserError
from crawlmill.recipes import recipe
from crawlmill.sources import batches, pages
from crawlmill.sources.guard import Progress, guarded
from crawlmill.sources.quarantine import Quarantine
from tests.fixtures import warcs

SNAPSHOT = "CC-MAIN-2026-43"
FILE = "crawl/x/1.warc.gz"
SCHEMA = pa.schema(
    [
        ("shard", pa.int32()),
        ("document", pa.struct([("id", pa.string()), ("offset", pa.int64()), ("text", pa.string())])),
        ("reject", pa.struct([("id", pa.string()), ("offset", pa.int64()), ("reason", pa.string()), ("message", pa.string())])),
        (
            "file",
            pa.struct([("state", pa.string()), ("documents", pa.int64()), ("rejects", pa.int64()), ("records", pa.int64())]),
        ),
    ]
)
READ = pages._page


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "source" / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(warcs.members(warcs.crawl(40))))
    return str(tmp_path / "source")


def reading(source: str, lake: str, seconds: float | None = 0.2) -> batches.Reading:
    options = recipe.load().extract.model_copy(update={"guard_seconds": seconds})
    return batches.Reading(source, options, SCHEMA, Quarantine(lake, SNAPSHOT))


def rows(found: batches.Reading) -> list[dict[str, Any]]:
    return [row for batch in found.batches(FILE, 3) for row in batch.to_pylist()]


def outcomes(found: list[dict[str, Any]]) -> list[str]:
    return ["document" if row["document"] else row["reject"]["reason"] for row in found if not row["file"]]


def hang(seconds: float, *numbers: int) -> Any:
    """Pages that keep the processor, deaf to signals, as a native parser does."""

    def page(record: Any, *rest: Any) -> dict[str, Any]:
        if record.record_id in {warcs.record_id(number) for number in numbers}:
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP})
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                pass
        return READ(record, *rest)

    return page


def test_a_file_reads_alike_with_and_without_the_guard(source: str, lake: str) -> None:
    assert rows(reading(source, lake)) == rows(reading(source, lake, None))


def test_pages_that_hang_are_given_up_once(source: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(reading(source, lake, None))
    monkeypatch.setattr(batches, "BATCH_ROWS", 7)  # so that some rows are delivered and others lost with the child
    monkeypatch.setattr(pages, "_page", hang(30, 3, 25))
    started = time.monotonic()
    first = rows(reading(source, lake))
    assert time.monotonic() - started < 10
    assert [n for n, outcome in enumerate(outcomes(first)) if outcome == "quarantined"] == [3, 25]
    assert {row["reject"]["message"] for row in first if row["reject"]} == {"the extraction took more than 0.2 s"}
    assert first[-1]["file"] == whole[-1]["file"] | {"documents": 38, "rejects": 2}
    assert [row for row in first if row["document"]] == [row for n, row in enumerate(whole[:-1]) if n not in (3, 25)]
    monkeypatch.setattr(pages, "_page", READ)  # a faster machine: the list decides all the same
    assert rows(reading(source, lake)) == first == rows(reading(source, lake, None))
    assert len(Quarantine(lake, SNAPSHOT).entries()) == 2


def test_a_page_that_crashes_the_process_is_given_up(source: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def page(record: Any, *rest: Any) -> dict[str, Any]:
        if record.record_id == warcs.record_id(5):
            faulthandler.disable()
            ctypes.string_at(0)
        return READ(record, *rest)

    monkeypatch.setattr(pages, "_page", page)
    found = rows(reading(source, lake, 5))
    assert outcomes(found).count("document") == 39
    assert [row["reject"]["message"] for row in found if row["reject"]] == ["the extraction killed its process (SIGSEGV)"]


def test_a_child_killed_from_outside_gets_another_try(
    source: str, lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def page(record: Any, *rest: Any) -> dict[str, Any]:
        if record.record_id == warcs.record_id(5) and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return READ(record, *rest)

    monkeypatch.setattr(pages, "_page", page)
    assert outcomes(rows(reading(source, lake, 5))) == ["document"] * 40
    monkeypatch.setattr(pages, "_page", lambda record, *rest: os.kill(os.getpid(), signal.SIGKILL))
    found = rows(reading(source, lake, 5))  # a page that eats all memory is killed each time
    assert set(outcomes(found)) == {"quarantined"}


def batch(number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"shard": number}], schema=SCHEMA)


def test_errors_of_the_child_are_those_of_the_parent() -> None:
    def fails(error: Exception) -> Any:
        def work(progress: Progress) -> Iterator[pa.RecordBatch]:
            yield batch(1)
            raise error

        return work

    for error, kind in (
        (UserError("a list is absent"), UserError),
        (CrawlmillError("no"), CrawlmillError),
        (KeyError("x"), RuntimeError),
    ):
        with pytest.raises(kind, match=str(error.args[0])):
            list(guarded(fails(error), SCHEMA, 5, {}, lambda place, message: None))


def test_a_slow_reader_of_the_rows_is_no_slow_page() -> None:
    def work(progress: Progress) -> Iterator[pa.RecordBatch]:
        for number in range(20):
            progress.begin(number, 1)
            progress.end()
            yield batch(number)

    seen = []
    for found in guarded(work, SCHEMA, 0.05, {}, lambda place, message: None):
        time.sleep(0.02)
        seen.append(found.to_pylist()[0]["shard"])
    assert seen == list(range(20))


def test_a_page_that_waits_for_the_processor_gets_more_time() -> None:
    def work(progress: Progress) -> Iterator[pa.RecordBatch]:
        progress.begin(1, 1)
        time.sleep(0.3)  # no processor time: six times the limit is granted
        progress.end()
        yield batch(1)

    given_up: list[Any] = []
    list(guarded(work, SCHEMA, 0.1, {}, lambda place, message: given_up.append(place)))
    assert given_up == []


def test_leaving_early_leaves_no_process_behind(source: str, lake: str) -> None:
    before = psutil.Process().children()  # other tests of this process may have left some
    found = reading(source, lake).batches(FILE, 0)
    next(found)
    assert len(psutil.Process().children()) == len(before) + 1
    found.close()
    assert psutil.Process().children() == before


def test_a_line_cut_by_a_crash_is_passed_over(lake: str) -> None:
    listed = Quarantine(lake, SNAPSHOT)
    assert listed.of_file(FILE, "resiliparse") == {}
    listed.add(batches.Entry(FILE, 10, 5, "resiliparse", "the first"))
    with (Path(lake) / listed.name).open("a") as file:
        file.write('{"file_path": "x", "off\n')
    listed.add(batches.Entry(FILE, 10, 5, "resiliparse", "the second"))
    assert listed.of_file(FILE, "resiliparse") == {(10, 5): "the first"}
    assert listed.of_file(FILE, "trafilatura") == {}
