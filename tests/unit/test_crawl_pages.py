"""crawlmill.sources.pages: the rows of a crawl file, as the tables want them."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.sources.pages import read_pages
from crawlmill.sources.reasons import REASONS
from crawlmill.text.url import domain, host
from tests.fixtures import warcs

KEYS = {"snapshot", "shard", "stage"}
DATA = b"".join(
    warcs.members(
        [
            *warcs.crawl(2),
            warcs.record("response", 7, warcs.http(b"<nav><a href=/>Home</a></nav>")),
            warcs.record("response", 8, warcs.http("Grüße, ".encode("latin-1") * 30, mime="text/plain; charset=iso-8859-1")),
            warcs.record("response", 9, warcs.http(b"<div>" * 9000)),
        ]
    )
)


def rows(data: bytes = DATA, **options: Any) -> list[dict[str, Any]]:
    return list(read_pages(io.BytesIO(data), "crawl-data/x/1.warc.gz", **options))


def test_rows_have_the_columns_of_their_tables() -> None:
    for row, table in (("document", "documents"), ("reject", "rejects"), ("file", "crawl_files")):
        columns = set(contract.load(table).columns) - KEYS
        found = {frozenset(one) - {"row", "skipped"} for one in rows() if one["row"] == row}
        assert found == {frozenset(columns)}


def test_reasons_are_those_of_the_contract() -> None:
    reason = next(column for column in contract.load("rejects").fields if column.name == "reason")
    assert {key: value for key, value in reason.enum.items() if key in REASONS} == REASONS


def test_documents_rejects_and_counts() -> None:
    found = rows()
    assert [row["row"] for row in found] == ["document", "document", "reject", "document", "reject", "file"]
    first, text = found[0], found[3]
    assert (first["id"], first["url"], first["host"], first["domain"]) == (
        warcs.record_id(0), "https://www.example.org/0", "www.example.org", "example.org")  # fmt: skip
    assert first["date"] == datetime(2026, 10, 12, 0, 1, 2, tzinfo=UTC)
    assert (first["title"], first["html_lang"], first["charset"], first["charset_source"]) == ("A page", "en", "utf-8", "http")
    assert first["text"].endswith("Page 0.")
    assert text["text"].startswith("Grüße, Grüße") and text["charset"] == "windows-1252"
    assert [row["reason"] for row in found if row["row"] == "reject"] == ["no_text", "too_complex"]
    counts = {name: found[-1][name] for name in ("state", "bytes", "records", "responses", "documents", "rejects", "skipped")}
    assert counts == {
        "state": "done",
        "bytes": len(DATA),
        "records": 10,
        "responses": 5,
        "documents": 3,
        "rejects": 2,
        "skipped": 5,
    }


def test_path_and_pipe_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "f.warc.gz"
    path.write_bytes(DATA)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    assert list(read_pages(path, "crawl-data/x/1.warc.gz")) == list(read_pages(Pipe(DATA), "crawl-data/x/1.warc.gz")) == rows()
    with pytest.raises(UserError, match="cannot read"):
        list(read_pages(tmp_path / "absent", "x"))


def test_wet() -> None:
    found = rows(b"".join(warcs.members([warcs.conversion(4, "Ein Satz.\nNoch einer.")])), kind="wet")
    assert (found[0]["id"], found[0]["text"]) == (warcs.record_id(4), "Ein Satz.\nNoch einer.")
    assert (found[0]["charset_source"], found[0]["extraction_confidence"], found[0]["title"]) == ("wet", None, None)
    assert (found[-1]["kind"], found[-1]["responses"]) == ("wet", 1)


@pytest.mark.parametrize(
    ("url", "name", "registered"),
    [
        ("https://WWW.Example.co.uk:8443/a", "www.example.co.uk", "example.co.uk"),
        ("http://bücher.example.de/", "xn--bcher-kva.example.de", "example.de"),
        ("http://user@sub.blog.example.com./", "sub.blog.example.com", "example.com"),
        ("http://192.0.2.7/x", "192.0.2.7", None),
        ("http://[2001:db8::1]/x", "2001:db8::1", None),
        ("http://localhost/", "localhost", None),
        ("http://co.uk/", "co.uk", None),
        ("http://[broken/", "", None),
        ("urn:x", "", None),
        ("http://" + "ü" * 80 + ".de/", "?" * 80 + ".de", None),
    ],
)
def test_host_and_domain(url: str, name: str, registered: str | None) -> None:
    assert host(url) == name
    assert domain(name) == registered


def test_real_crawl_files(shared: Path) -> None:
    """Every page of the real files is a document or a reject, and what is a document has an id, a host and text."""
    folders = [shared / "data" / name for name in ("warc-samples", "warc-malformed")]
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        found = list(read_pages(path, path.name, None))
        assert found[-1]["records"] == len(found) - 1 + found[-1]["skipped"]
        for row in found[:-1]:
            assert row["row"] == "reject" or (row["id"] and row["text"].strip())
