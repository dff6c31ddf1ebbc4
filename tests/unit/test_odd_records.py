"""Odd records, from the pages of crawls and by chance: each is a document or a reject with its reason, and all are counted."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlmill.errors import SourceUnavailable
from crawlmill.limits import Limits
from crawlmill.sources.pages import read_pages
from crawlmill.sources.reasons import REASONS
from crawlmill.sources.selection import Selection
from tests.fixtures import warcs

SELECTION = Selection(languages=frozenset({"deu"}))  # the reader that holds records back


def outcomes(data: bytes, **options: Any) -> list[str]:
    """What each record became; everything that must hold of any file is checked."""
    rows = list(read_pages(io.BytesIO(data), "f", **options))
    counts = rows[-1]
    assert [row["row"] for row in rows].count("file") == 1 and counts["row"] == "file"
    assert counts["records"] == len(rows) - 1 + counts["skipped"]
    assert (counts["documents"], counts["rejects"]) == tuple(
        [row["row"] for row in rows].count(kind) for kind in ("document", "reject")
    )
    assert counts["damaged"] <= counts["rejects"] and (counts["state"] == "done" or counts["error"])
    for row in rows[:-1]:
        assert row["row"] == "document" or row["reason"] in REASONS
        if row["row"] == "document":
            assert row["text"].strip() and "\0" not in row["text"]
            for name in ("text", "title", "url", "html_lang", "charset"):
                (row[name] or "").encode("utf-8")  # no lone surrogates
    return [row.get("reason") or "document" for row in rows[:-1]]


def one(content: bytes, **headers: str) -> str:
    found = outcomes(warcs.record("response", 1, content, **headers) + warcs.page(2))
    assert found[-1] == "document"  # what comes behind is not touched
    return found[0]


HTML = warcs.HTML % warcs.PROSE


PAGES = {
    "megabytes of attribute": (warcs.http(b"<p title='" + b"x" * (3 << 20) + b"'>" + warcs.PROSE), "document"),
    "300,000 attributes": (warcs.http(b"<p " + b"a=1 " * 300_000 + b">" + warcs.PROSE), "too_complex"),
    "deep": (warcs.http(b"<div>" * 100_000 + warcs.PROSE), "too_complex"),
    "large": (warcs.http(b"x" * (5 << 20)), "too_large"),
    "NUL": (warcs.http(HTML.replace(b"river", b"ri\0ver")), "document"),
    "surrogates": (warcs.http("<p>\ud800\udfff \ud83d".encode("utf-8", "surrogatepass") + warcs.PROSE), "document"),
    "UTF-16": (warcs.http(HTML.decode().encode("utf-16"), mime="text/html"), "document"),
    "unknown charset": (warcs.http(HTML, mime="text/html; charset=no-such-thing"), "document"),
    "doubled headers": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: text/html; charset=utf-8\r\n"
        b"Content-Length: 7\r\nContent-Length: 9\r\n\r\n" + HTML,
        "document",
    ),
    "folded header": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n" + HTML, "document"),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Type: text/html\r\n\r\n" + HTML, "document"),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Type: text/html\n\n" + HTML, "document"),
    "no status": (b"HTTP/1.1 abc OK\r\nContent-Type: text/html\r\n\r\n" + HTML, "bad_http"),
    "header twice": (warcs.http(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + HTML), "document"),
    "compressed, and nothing says so": (warcs.http(gzip.compress(HTML, mtime=0)), "mislabelled"),
    "empty line before the page": (warcs.http(b"\r\n" + HTML), "document"),
    "nothing": (b"", "bad_http"),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    content, outcome = PAGES[name]
    assert one(content) == outcome


def test_doubled_headers_of_a_record() -> None:
    plain = warcs.page(1)
    twice = plain.replace(
        b"WARC-Type: response\r\n", b"WARC-Type: response\r\nWARC-Type: response\r\nWARC-Target-URI: https://other.example/\r\n"
    )
    assert outcomes(twice + warcs.page(2)) == ["document", "document"]
    lengths = plain.replace(b"Content-Length: ", b"Content-Length: 3\r\nContent-Length: ")
    assert outcomes(lengths + warcs.page(2))[-1] == "document"


def test_the_crawl_of_august_2018() -> None:
    """Its records have an empty line too many behind the HTTP header, and a Content-Length that is two bytes short."""
    content = warcs.http(b"\r\n" + HTML)
    members = warcs.members([warcs.record("response", number, content, length=len(content) - 2) for number in range(3)])
    assert outcomes(b"".join(members)) == ["document"] * 3


def test_a_file_that_breaks_off_in_the_network_is_told() -> None:
    data = b"".join(warcs.members(warcs.crawl(6)))

    class Cut(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() + (size or 0) > len(data) // 2:
                raise SourceUnavailable("the server went away")
            return super().read(size)

    rows = list(read_pages(Cut(data), "f", selection=SELECTION))
    last, counts = rows[-2], rows[-1]
    assert (last["reason"], last["message"]) == ("not_fetched", "the server went away")
    assert last["offset"] + last["length"] == len(data)
    assert (counts["state"], counts["error"], counts["damaged"]) == ("failed", "the server went away", 1)
    assert counts["records"] == len(rows) - 1 + counts["skipped"] and counts["bytes"] == last["offset"]


names = st.sampled_from(
    ["Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "WARC-Type", "WARC-Record-ID", "X"]
)
values = st.one_of(
    st.sampled_from(
        [
            "text/html",
            "gzip",
            "br",
            "chunked",
            "gzip, br",
            "deflate",
            "-1",
            "99999999999999999999",
            "response",
            "<urn:uuid:1>",
            "\0",
        ]
    ),
    st.text(max_size=30),
)


@settings(max_examples=300)
@given(
    status=st.one_of(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 204", "HTTP/2 200", "ICY 200 OK", ""]), st.text(max_size=20)),
    headers=st.lists(st.tuples(names, values), max_size=5),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    body=st.one_of(st.just(HTML), st.binary(max_size=200), st.just(gzip.compress(HTML, mtime=0)[:50])),
    extra=st.lists(st.tuples(names, values), max_size=2),
)
def test_any_http_response(status: str, headers: Any, end: str, body: bytes, extra: Any) -> None:
    head = end.join([status, *(f"{name}: {value}" for name, value in headers), "", ""])
    record = warcs.record("response", 1, head.encode("utf-8", "surrogatepass") + body)
    doubled = "".join(f"{name}: {value}\r\n" for name, value in extra).replace("\n", " ").replace("\r ", "\r\n")
    record = record.replace(b"\r\n\r\n", b"\r\n" + doubled.encode("utf-8", "surrogatepass") + b"\r\n", 1)
    for data in (record + warcs.page(2), b"".join(warcs.members([record, warcs.page(2)]))):
        outcomes(data)
    assert outcomes(b"".join(warcs.members([record, warcs.page(2)])), selection=SELECTION)[-1] == "document"


TAGS = (
    "<p> </p> <div> <table> <td> <script> </script> <!-- --> <select> <option> <svg> <math> <template> <plaintext> & &#0; &#xD800; <a href= "
    "' \" = > <![CDATA["
)
tags = st.sampled_from(TAGS.split())


@settings(max_examples=200)
@given(st.lists(st.one_of(tags, st.text(max_size=8)), max_size=40))
def test_any_page(parts: list[str]) -> None:
    body = "".join(parts).encode("utf-8", "surrogatepass")
    outcomes(warcs.record("response", 1, warcs.http(body)) + warcs.page(2))
    outcomes(warcs.record("response", 1, warcs.http(body, mime="text/plain")) + warcs.page(2), limits=Limits(max_tags=5))


def account(found: list[int]) -> str:
    return f"records {found[0]:4} = {found[1]:3} documents + {found[2]:3} rejects + {found[3]:3} skipped"


def test_the_malformed_files_are_accounted_for(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints what became of each file (`pytest -s`)."""
    total = [0, 0, 0, 0]
    for path in sorted((shared / "data" / "warc-malformed").iterdir()):
        if path.name.startswith("MANIFEST"):
            continue
        rows = list(read_pages(path, path.name, None))
        counts = rows[-1]
        assert counts["records"] == counts["documents"] + counts["rejects"] + counts["skipped"] >= 1
        found = [counts[name] for name in ("records", "documents", "rejects", "skipped")]
        total = [a + b for a, b in zip(total, found, strict=True)]
        reasons = sorted({row["reason"] for row in rows if row["row"] == "reject"})
        print(f"{path.name:60} {counts['state']:8} {account(found)}  {', '.join(reasons)}")
    print(f"{'all':60} {'':8} {account(total)}")
    assert total[0] > 100
