"""The whole path on real crawl files, where the shared test data is: every record accounted for, in every stage."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from crawlmill.lake import ledger, pins, table
from crawlmill.protocol import session, stage
from tests.fixtures import lakes

S = "CC-MAIN-2026-43"
FILES = (
    "warc-samples/dolma--sample-0000.warc.gz",
    "warc-samples/dolma--sample-0001.warc.gz",
    "warc-samples/ipwb--sample-1.warc.gz",
    "warc-samples/webarchive-commons--IAH-urls-wget.warc.gz",
    "extraction/newspaper4k.warc.gz",
    "extraction/zh-wce.warc.gz",
    "extraction/scrapinghub.warc.gz",
    "charset/uchardet.warc.gz",
    "warc-malformed/warcio--example-wrong-chunks.warc.gz",
)
COMPILED = ("extract", "dedup")  # whose queries are compiled here as with snapshots of real size; the long tests compile all


@pytest.fixture
def crawl(shared: Path, tmp_path: Path) -> str:
    """A mirror whose listing names the shared files."""
    mirror = tmp_path / "crawl"
    folder = mirror / "crawl-data" / S
    folder.mkdir(parents=True)
    for name in FILES:
        target = mirror / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(shared / "data" / name)
    (mirror / "collinfo.json").write_text(
        json.dumps([{"id": S, "name": "shared files", "from": "2026-10-01", "to": "2026-10-14"}])
    )
    (folder / "warc.paths.gz").write_bytes(gzip.compress("\n".join(FILES).encode(), mtime=0))
    return str(mirror)


def test_real_pages_go_through_every_stage(spark: Any, crawl: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small, counts = session.SMALL, {}
    for name in (name for name in stage.NAMES if name != "recycle"):  # the default recipe recycles nothing
        monkeypatch.setattr(session, "SMALL", -1 if name in COMPILED else small)
        snapshot = S if name in stage.PER_SNAPSHOT else pins.EVERY
        row = lakes.run(spark, lake, name, snapshot, source=crawl)
        assert row.verdict in ledger.RELEASED, row.message
        counts[name] = sum(count["written"] for count in row.counts)
        if name != "publish" and row.verdict == "warned":
            ledger.answer(lake, ledger.open_warnings(lake), "publish: a mixture of test files is no crawl")
    files = table.read(spark, lake, "crawl_files", table.version(lake, "crawl_files")).collect()
    assert len(files) == len(FILES) and all(row["state"] == "done" for row in files)
    assert counts["extract"] == counts["identify"] == counts["measure"] == counts["gate"] > 150
    assert 0 < counts["publish"] <= counts["dedup"] <= counts["gate"]
    languages = {row["language"] for row in table.read(spark, lake, "languages", table.version(lake, "languages")).collect()}
    assert {"eng", "cmn"} <= languages
