"""crawlmill.sources.batches over the network: whatever a server does, every byte of a crawl file is accounted for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crawlmill.recipes import recipe
from crawlmill.sources.batches import Reading
from crawlmill.sources.patience import Patience
from tests.fixtures import warcs
from tests.fixtures.answers import Server, answering, reply

RECORDS = warcs.members(warcs.crawl(30))
DATA = b"".join(RECORDS)
COUNTS = ("documents", "rejects", "records", "damaged", "bytes", "attempts")
SCHEMA = pa.schema(
    [
        ("document", pa.struct([("id", pa.string()), ("text", pa.string())])),
        (
            "reject",
            pa.struct([("reason", pa.string()), ("offset", pa.int64()), ("length", pa.int64()), ("message", pa.string())]),
        ),
        ("file", pa.struct([("state", pa.string()), ("error", pa.string()), *((name, pa.int64()) for name in COUNTS)])),
    ]
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("CRAWLMILL_PACE", str(tmp_path / "pace"))
    with answering() as made:
        yield made


def rows(server: Server, *answers: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Documents, rejects and the file's row."""
    server.answers["/f"] = list(answers)
    reading = Reading(server.base, recipe.load().extract, SCHEMA, None, Patience(attempts=3, base=0.01, longest=0.02))
    found = [row for batch in reading.batches("f", 0) for row in batch.to_pylist()]
    documents, rejects, files = ([row[kind] for row in found if row[kind]] for kind in ("document", "reject", "file"))
    assert len(files) == 1 and (files[0]["documents"], files[0]["rejects"]) == (len(documents), len(rejects))
    return documents, rejects, files[0]


def part(start: int, **options: Any) -> Any:
    return reply(206, DATA[start:], ETag='"1"', Content_Range=f"bytes {start}-{len(DATA) - 1}/{len(DATA)}", **options)


def test_a_server_that_is_busy_and_breaks_off(server: Server) -> None:
    answers = (
        reply(503, Retry_After="0"),
        reply(429),
        reply(200, DATA, send=3000, ETag='"1"'),
        reply(403),
        part(3000, send=900),
        part(3900),
    )
    documents, rejects, file = rows(server, *answers)
    assert len(documents) == 30 and not rejects
    assert (file["state"], file["bytes"], file["attempts"]) == ("done", len(DATA), 6)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "does not exist"), (503, "cannot be read after 3 attempts"), (403, "ask more slowly")]
)
def test_a_file_that_is_not_to_be_had(server: Server, status: int, words: str) -> None:
    documents, rejects, file = rows(server, reply(status))
    assert (documents, rejects, file["state"]) == ([], [], "failed") and words in file["error"]


def test_what_came_before_the_end_is_kept_and_the_rest_is_told(server: Server) -> None:
    documents, rejects, file = rows(server, reply(200, DATA, send=len(DATA) // 2), reply(503))
    assert [reject["reason"] for reject in rejects] == ["not_fetched"]
    assert rejects[0]["offset"] + rejects[0]["length"] == len(DATA) and rejects[0]["offset"] == file["bytes"]
    assert file["state"] == "failed" and "HTTP 503" in file["error"]
    assert [document["id"] for document in documents] == [warcs.record_id(number) for number in range(len(documents))]


def test_corrupt_bytes_cost_one_record(server: Server) -> None:
    place = sum(map(len, RECORDS[:20])) + 30
    documents, rejects, file = rows(server, reply(200, DATA[:place] + b"\xff\x00\xff" + DATA[place + 3 :]))
    assert (len(documents), [reject["reason"] for reject in rejects]) == (29, ["broken_member"])
    assert (file["state"], file["damaged"]) == ("done", 1)


def test_an_error_page_with_status_200_and_a_file_cut_at_its_source(server: Server) -> None:
    _, rejects, file = rows(server, reply(200, b"<html><body>503 Slow Down</body></html>"))
    assert ([reject["reason"] for reject in rejects], file["state"]) == (["not_a_crawl_file"], "failed")
    documents, rejects, file = rows(server, reply(200, DATA[:-5]))
    assert (len(documents), [reject["reason"] for reject in rejects], file["state"]) == (30, ["truncated_file"], "damaged")


@pytest.mark.full
def test_a_large_crawl_file_needs_little_memory() -> None:
    """Reader, child and download of 400 MB over loopback: 600 MB is the most for any file, and memory does not grow with it (`--memory 1.0`: 1 GB)."""
    bench = Path(__file__).resolve().parents[1] / "bench" / "extract.py"
    shown = subprocess.run([sys.executable, bench, "--memory", "0.4"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^0\.4\d GB, \d+ rows: peak (\d+) MB", shown, re.MULTILINE)
    assert found and int(found[1]) < 400, shown
