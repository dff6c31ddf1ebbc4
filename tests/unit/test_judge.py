"""Pairs judged blind: sides hidden, votes counted for the right one, a model asked in both orders through the hooks' client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crawlmill.assess import judge
from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.llm.settings import Settings
from tests.fixtures import endpoint, open_pages

GOOD, BAD = "A careful account of the river and its sand, number {}.", "buy now cheap cheap number {}"


@pytest.fixture
def lake(tmp_path: Path) -> str:
    for name, text in (("good", GOOD), ("bad", BAD)):
        rows = [
            json.dumps({"language": "eng", "text": f"{text.format(n)} <script>alert(1)</script> me@example.org"})
            for n in range(30)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "lake" / "_control").mkdir(parents=True)
    return str(tmp_path / "lake")


def made(lake: str, name: str = "one", n: int = 12) -> list[judge.Pair]:
    folder = Path(lake).parent
    return judge.make(lake, name, str(folder / "good.jsonl"), str(folder / "bad.jsonl"), None, n)


def test_pairs_hide_their_sides(lake: str) -> None:
    pairs = made(lake)
    assert len(pairs) == 12 and {pair.first for pair in pairs} == {0, 1}
    assert all(("careful" in pair.left) == (pair.first == 0) and "me@example.org" not in pair.left + pair.right for pair in pairs)
    assert judge.load(lake, "one")[2] == pairs and made(lake, "two") != pairs
    with pytest.raises(UserError, match="is there already"):
        made(lake)
    with pytest.raises(UserError, match="no set of pairs 'none'"):
        judge.load(lake, "none")
    with pytest.raises(UserError, match="no name"):
        judge.load(lake, "../x")


def test_votes_count_for_the_side_behind_the_place(lake: str) -> None:
    pairs = made(lake)
    for pair in pairs[:8]:
        judge.vote(lake, "one", pair.id, "left" if pair.first == 0 else "right", "a person")
    judge.vote(lake, "one", pairs[8].id, "neither", "a person")
    told = judge.tally(pairs, judge.votes(lake, "one"))
    assert (told.first, told.second, told.ties, told.share) == (8, 0, 1, 1.0)
    assert told.low == pytest.approx(0.6756, abs=1e-4) and told.high == pytest.approx(1.0), "Wilson's interval of 8 of 8"
    for pair, choice in ((pairs[0].id, "up"), ("x", "left")):
        with pytest.raises(UserError, match="is no vote"):
            judge.vote(lake, "one", pair, choice, "a person")


def by_text(body: dict[str, Any]) -> str:
    """Prefers careful texts, whatever the order."""
    return "1" if body["messages"][-1]["content"].index("careful") < 60 else "The better one is 2."


def test_a_model_is_asked_in_both_orders(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = made(lake)
    with endpoint.running(reply=by_text) as there:
        assert judge.ask(lake, "one", Settings(base_url=there.url), "m") == 12
        assert judge.ask(lake, "one", Settings(base_url=there.url), "m") == 0, "nothing is asked twice"
        told = judge.tally(pairs, judge.votes(lake, "one"))
        assert (told.first, told.second, told.ties) == (12, 0, 0)
        made(lake, "biased", 6)
    with endpoint.running(reply=lambda body: "1") as there:
        monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", there.url)
        monkeypatch.setenv("CRAWLMILL_LLM_MODEL", "first-place")
        shown = CliRunner().invoke(cli, ["judge", "--name", "biased", "--ask", "--lake", lake], catch_exceptions=False).output
    assert "model first-place" in shown and shown.split()[-1] == "6", "who always says 1 has decided nothing"


def test_the_blind_page(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.testclient import TestClient

    from crawlmill.orchestrate.pages import app

    monkeypatch.setenv("CRAWLMILL_LAKE", lake)
    client = TestClient(app.build(open_pages.by_header()), base_url="http://airflow.example")
    pairs, home = made(lake), {"origin": "http://airflow.example", "x-role": "editor"}
    page = client.get("/judge", params={"name": "one"}, headers=home).text
    assert "good" not in page and "bad" not in page and "<script" not in page and pairs[0].id in page
    vote = {"name": "one", "pair": pairs[0].id, "choice": "right"}
    assert client.post("/judge", data=vote, headers={**home, "x-role": "viewer"}).status_code == 403
    assert client.post("/judge", data=vote, headers={"x-role": "editor"}).status_code == 403
    after = client.post("/judge", data=vote, headers=home)
    assert after.status_code == 200 and "1 of 12 pairs have a vote" in after.text and pairs[0].id not in after.text
    assert client.post("/judge", data={**vote, "pair": "x"}, headers=home).status_code == 400
    assert client.get("/judge", params={"name": "../x"}, headers=home).status_code == 400
