"""crawlmill.verbs.replay: rejects read again by range request, and what they give now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawlmill.recipes import recipe
from crawlmill.sample_crawl.server import serving
from crawlmill.sources.pages import read_pages
from crawlmill.sources.selection import Selection
from crawlmill.verbs import replay
from tests.fixtures import warcs

FILE = "crawl/1.warc.gz"


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    """A crawl file with rejects of many kinds, one of them mended since it was read."""
    (tmp_path / "crawl").mkdir()
    (tmp_path / "collinfo.json").write_text("[]")
    records = [
        *warcs.crawl(2),
        warcs.page(1),
        warcs.record("response", 8, warcs.http(b"", status="404 Not Found")),
        warcs.record("response", 9, warcs.http(b"%PDF-1.4 \0")),
        warcs.record("revisit", 10, b""),
        warcs.page(11),
    ]
    members = warcs.members(records)
    members[-2:-2] = [b"garbage" * 9]
    (tmp_path / FILE).write_bytes(b"".join(members) + members[4][:60])
    return tmp_path


def rejects(crawl: Path) -> list[dict[str, Any]]:
    rows = list(read_pages(crawl / FILE, FILE))
    return [row for row in rows if row["row"] == "reject"]


def test_each_reject_is_found_again_at_its_place(crawl: Path) -> None:
    options = recipe.load().extract
    found = rejects(crawl)
    assert [row["reason"] for row in found] == [
        "duplicate_id",
        "http_status",
        "mislabelled",
        "broken_member",
        "revisit",
        "truncated_file",
    ]
    with serving(crawl) as address:
        for source in (str(crawl), address):
            outcomes = [replay.again(row, source, options, Selection()) for row in found]
            assert [one["now"] for one in outcomes] == [
                "document",
                *(row["reason"] for row in found[1:3]),
                "broken_member",
                "revisit",
                "truncated_file",
            ]
            assert outcomes[0]["note"] == replay.NEIGHBOURS["duplicate_id"] and "river" in outcomes[0]["text"]
            assert [one["offset"] for one in outcomes] == [row["offset"] for row in found]


def test_another_recipe_and_another_file_give_something_else(crawl: Path) -> None:
    options = recipe.load().extract
    row = {"file_path": FILE, "offset": 0, "length": 0, "id": warcs.record_id(1), "url": None, "reason": "no_text", "message": ""}
    outcome = replay.again(row, str(crawl), options, Selection())  # no length: what is read behind the place has the record
    assert (outcome["was"], outcome["now"], outcome["id"]) == ("no_text", "document", warcs.record_id(1))
    (crawl / FILE).unlink()
    assert replay.again(row, str(crawl), options, Selection())["now"] == "not_fetched"
