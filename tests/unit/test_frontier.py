"""Which page to fetch next: Craw4LLM's order, going on after a stop, and pages that nobody has fetched."""

from __future__ import annotations

import copy
import json
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.scoring.frontier import Frontier, next_pages, read
from tests.fixtures import warcs

LINKS = {"A": ["B", "C", "A"], "B": ["D"], "C": ["E", "gone"], "D": ["A", "gone"]}
SCORES = {"A": 0.5, "B": 0.2, "C": 0.9, "D": 0.95, "E": 0.1}


def started() -> Frontier:
    state = Frontier()
    state.add(["A"], SCORES)
    return state


def test_the_order_is_that_of_craw4llm_not_of_the_links() -> None:
    assert list(started().crawl(LINKS, SCORES, 1)) == [["A"], ["C"], ["B"], ["D"], ["E"]]
    assert list(started().crawl(LINKS, SCORES)) == [["A"], ["C", "B"], ["D", "E"]]


def test_a_crawl_goes_on_where_it_stopped_and_takes_no_page_twice() -> None:
    whole = [url for urls in started().crawl(LINKS, SCORES, 1) for url in urls]
    assert len(whole) == len(set(whole))
    for stop in range(1, 6):
        state = started()
        before = list(islice(state.crawl(LINKS, SCORES, 1), stop))
        assert [url for urls in [*before, *copy.deepcopy(state).crawl(LINKS, SCORES, 1)] for url in urls] == whole


def test_what_is_not_fetched_yet_has_the_score_of_its_best_parent() -> None:
    assert next_pages({**LINKS, "B": ["D", "x"], "strange": ["y"]}, SCORES) == [("gone", 0.95, "D"), ("x", 0.2, "B")]


def test_at_the_shell(tmp_path: Path) -> None:
    rows = [{"url": url, "links": [{"url": to} for to in LINKS.get(url, [])], "scores": {"q": SCORES[url]}} for url in SCORES]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(cli, ["frontier", str(tmp_path / "pages.jsonl"), "--score", "q"])
    assert [json.loads(line) for line in done.output.splitlines()] == [{"url": "gone", "priority": 0.95, "best_parent": "D"}]
    done = CliRunner().invoke(cli, ["frontier", str(tmp_path / "pages.jsonl"), "--score", "q", "--replay"])
    assert [json.loads(line)["url"] for line in done.output.splitlines()] == ["D", "C", "A", "B", "E"], "all are seeds"


def test_from_a_crawl_file_to_what_to_fetch_next(tmp_path: Path) -> None:
    body = warcs.PROSE + b'<a href="/good">more of this</a> <a href="https://www.example.org/1">known</a>'
    (tmp_path / "crawl.warc.gz").write_bytes(b"".join(warcs.members([warcs.page(0, body), warcs.page(1)])))
    (tmp_path / "recipe.yaml").write_text("extends: default\nextract: {outlinks: true}\n")
    steps = [str(tmp_path / name) for name in ("crawl.warc.gz", "pages.jsonl", "next.jsonl")]
    assert CliRunner().invoke(cli, ["text", steps[0], "--recipe", str(tmp_path / "recipe.yaml"), "-o", steps[1]]).exit_code == 0
    done = CliRunner().invoke(cli, ["frontier", steps[1], "--score", "extraction_confidence", "-o", steps[2]])
    assert done.exit_code == 0, done.output
    (row,) = map(json.loads, Path(steps[2]).read_text().splitlines())
    assert row["url"] == "https://www.example.org/good" and row["best_parent"] == "https://www.example.org/0"


def test_wrong_rows_are_told() -> None:
    with pytest.raises(UserError, match="row 1 has no url with links"):
        read([{"url": "A"}], "pages", "q")
    with pytest.raises(UserError, match="no row of pages has a score 'q'"):
        read([{"url": "A", "links": [], "q": True}], "pages", "q")
