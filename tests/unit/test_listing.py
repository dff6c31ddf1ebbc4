"""crawlmill.sources.listing: snapshots and crawl files of a source."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.sources import listing

SNAPSHOT = "CC-MAIN-2026-43"
CRAWLS = [
    {"id": SNAPSHOT, "name": "October 2026 Index", "from": "2026-10-12T00:00:00", "to": "2026-10-25T00:00:00", "cdx-api": "x"},
    {"id": "CC-MAIN-2026-38"},
    {"id": "CC-MAIN-2013-20"},
]


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "collinfo.json").write_text(json.dumps(CRAWLS))
    folder = tmp_path / "crawl-data" / SNAPSHOT
    folder.mkdir(parents=True)
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b"crawl-data/a/1.warc.gz\ncrawl-data/a/2.warc.gz\n", mtime=0))
    (folder / "wet.paths.gz").write_bytes(gzip.compress(b"", mtime=0))
    return str(tmp_path)


def test_snapshots(source: str) -> None:
    found = listing.collinfo(source)
    assert [crawl.id for crawl in found] == [crawl["id"] for crawl in CRAWLS]
    assert found[0] == listing.CrawlInfo(SNAPSHOT, "October 2026 Index", "2026-10-12T00:00:00", "2026-10-25T00:00:00")
    assert found[1] == listing.CrawlInfo("CC-MAIN-2026-38", "CC-MAIN-2026-38", "", "")


def test_crawl_files_in_listed_order(source: str) -> None:
    assert listing.crawl_files(source, SNAPSHOT) == ["crawl-data/a/1.warc.gz", "crawl-data/a/2.warc.gz"]


def test_unknown_snapshot_names_the_nearest(source: str) -> None:
    assert listing.check_snapshot(source, SNAPSHOT).id == SNAPSHOT
    with pytest.raises(UserError, match="CC-MAIN-2026-34 is not known to .* nearest are CC-MAIN-2026-3"):
        listing.check_snapshot(source, "CC-MAIN-2026-34")


def test_empty_snapshot(source: str) -> None:
    with pytest.raises(UserError, match=r"wet\.paths\.gz lists no crawl files"):
        listing.crawl_files(source, SNAPSHOT, "wet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"crawl-data/a/1.warc.gz\n", "is not a whole gzip text file"),
        (gzip.compress(b"../../etc/passwd\n", mtime=0), "not a plain relative path"),
        (gzip.compress(b"https://example.org/1.warc.gz\n", mtime=0), "not a plain relative path"),
        (gzip.compress(b"a/1\na/1\n", mtime=0), "lists 1 crawl files twice"),
    ],
)
def test_bad_listing(source: str, content: bytes, message: str) -> None:
    (Path(source) / "crawl-data" / SNAPSHOT / "warc.paths.gz").write_bytes(content)
    with pytest.raises(UserError, match=message):
        listing.crawl_files(source, SNAPSHOT)


@pytest.mark.parametrize(
    ("content", "message"), [("<html>", "is not JSON"), ("{}", "is not a list of snapshots"), ("[]", "lists no snapshot")]
)
def test_bad_collinfo(source: str, content: str, message: str) -> None:
    (Path(source) / "collinfo.json").write_text(content)
    with pytest.raises(UserError, match=message):
        listing.collinfo(source)


def test_common_crawl_keeps_collinfo_beside_its_index(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read_bytes(source: str, path: str, patience: object) -> bytes:
        asked.append(source + path)
        return json.dumps(CRAWLS).encode()

    monkeypatch.setattr("crawlmill.sources.fetch.read_bytes", read_bytes)
    listing.collinfo("https://data.commoncrawl.org/")
    assert asked == ["https://index.commoncrawl.org/collinfo.json"]


def test_the_nearest_ids_are_those_nearest_in_time() -> None:
    known = [
        "CC-MAIN-2014-44",
        "CC-MAIN-2016-44",
        "CC-MAIN-2025-51",
        "CC-MAIN-2026-04",
        "CC-MAIN-2026-34",
        "CC-MAIN-2026-39",
        "CC-MAIN-2012",
    ]
    assert listing.nearest("CC-MAIN-2026-44", known) == ["CC-MAIN-2026-39", "CC-MAIN-2026-34", "CC-MAIN-2026-04"]
    assert listing.nearest("CC-MAIN-2026-01", known, 2) == ["CC-MAIN-2025-51", "CC-MAIN-2026-04"]
    assert listing.nearest("CC-MAIN-2O26-39", known, 1) == ["CC-MAIN-2026-39"]


def test_a_listing_that_unfolds_without_end_is_refused(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred kilobytes of gzip: a line of a hundred megabytes, or very many lines."""
    folder = Path(source) / "crawl-data" / SNAPSHOT
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b"a" * 100_000_000, 1, mtime=0))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"warc\.paths\.gz has a line of more than 4096 characters"):
        listing.crawl_files(source, SNAPSHOT)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    monkeypatch.setattr(listing, "MOST", 1_000)
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b"".join(b"a/%d\n" % n for n in range(1_001)), mtime=0))
    with pytest.raises(UserError, match="lists more than 1,000 crawl files"):
        listing.crawl_files(source, SNAPSHOT)


def test_a_list_of_snapshots_that_is_nested_without_end(source: str) -> None:
    (Path(source) / "collinfo.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match="is not JSON"):
        listing.collinfo(source)


def test_names_of_snapshots_cannot_steer_the_terminal(source: str) -> None:
    (Path(source) / "collinfo.json").write_text(json.dumps([{"id": SNAPSHOT, "name": "a\x1b[2J\rb\u202e"}]))
    said = CliRunner().invoke(cli, ["snapshots", "--source", source]).output
    assert SNAPSHOT in said and not {"\x1b", "\r", "\u202e"} & set(said)
