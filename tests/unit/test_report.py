"""The report: counts that equal a run of the changed gate, pages that stay text, one file that asks for nothing."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from crawlmill import report
from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.explain import trial, whatif
from crawlmill.recipes import defined_at, recipe
from crawlmill.report import cost, data, histograms
from tests.fixtures import seen
from tests.fixtures.lakes import NEW, OLD


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("report") / "lake"))


@pytest.fixture(scope="module")
def found(lake: str) -> dict[str, Any]:
    return data.gather(lake, NEW, defined_at.rulebook())


@pytest.fixture(scope="module")
def page(found: dict[str, Any]) -> str:
    return report.render(found)


def counts(lake: str) -> histograms.Counts:
    from crawlmill.lake import pins

    return histograms.count(lake, NEW, pins.newest(lake, NEW), recipe.load().gate)


@pytest.mark.parametrize(
    ("name", "label"), [("list_ratio", "deu_Latn"), ("gopher_short_doc", "srp_Cyrl"), ("language_score", "eng_Latn")]
)
def test_every_step_of_a_slider_is_what_the_gate_would_keep(lake: str, name: str, label: str) -> None:
    """Against `what-if`, which judges every document anew, at every edge."""
    gate, rule = recipe.load().gate, counts(lake).rules[label][name]
    for edge in range(0, len(rule.edges), 3):
        after = trial.gate(gate, name, repr(float(rule.edges[edge])), (label,))
        answer = whatif.compare(lake, NEW, gate, after, samples=0)
        line = next(line for line in answer.lines if line.language == label[:3])
        assert rule.kept(gate.rules[name].op, edge) == line.after, (edge, rule.edges[edge])
    assert rule.kept(gate.rules[name].op, rule.at) == counts(lake).eligible[label]


def test_one_limit_for_all_languages(lake: str) -> None:
    gate, rule = recipe.load().gate, counts(lake).rules["all"]["gopher_short_doc"]
    answer = whatif.compare(
        lake, NEW, gate, trial.gate(gate, "gopher_short_doc", repr(float(rule.edges[5])), (), True), samples=0
    )
    assert rule.kept("min", 5) == answer.total.after
    assert all(table["gopher_short_doc"].limit == 50 or label != "eng_Latn" for label, table in counts(lake).rules.items())


@pytest.mark.parametrize("limit", [0.0, 0.35, 0.5, 0.333, -7.0, 90.0])
def test_edges_hold_the_limit_and_follow_the_script_s_arithmetic(limit: float) -> None:
    span = histograms.Span(0.0, 1.0, 0.03)
    edges, at = span.edges(limit)
    assert edges[at] == limit and np.all(np.diff(edges) > 0)
    rule = histograms.Rule(span, limit, edges, at, np.zeros(len(edges) + 1, int), np.zeros(len(edges) + 1, int)).as_json()
    told = [
        limit
        if n == at
        else limit + (n - at) * rule["w"]
        if "g" not in rule
        else rule["g"] + (n - (1 if at == 0 else 0)) * rule["w"]
        for n in range(rule["m"])
    ]
    assert told == edges.tolist()


def test_rates_and_overlaps(found: dict[str, Any]) -> None:
    judged = [{rule["rule"] for rule in row["failed"]} for row in seen.verdicts(seen.documents(NEW))]
    for rule in found["rules"]:
        assert rule["fires"] == sum(rule["name"] in broken for broken in judged)
        assert rule["sole"] == sum(broken == {rule["name"]} for broken in judged)
    names, cells = found["overlap"]["names"], found["overlap"]["cells"]
    a, b = names[0], names[1]
    assert cells[0][1] == sum({a, b} <= broken for broken in judged) / sum(a in broken for broken in judged)


def test_domains_clusters_languages_and_expectations(found: dict[str, Any]) -> None:
    assert found["previous"] == OLD and found["published"]
    assert sum(row["documents"] for row in found["languages"]) == seen.SIZE == found["funnel"][1]["n"]
    assert all(row["change"] is not None for row in found["languages"])
    assert sum(row["removed"] + row["kept"] for row in found["domains"]["removed"]) <= seen.SIZE
    assert sum(row["documents"] for row in found["clusters"]["classes"]) == sum(
        row["eligible"] for snapshot in (OLD, NEW) for row in seen.verdicts(seen.documents(snapshot))
    )
    assert found["clusters"]["top"][0]["url"].startswith("https://")
    assert [row["success"] for row in found["expectations"]] == [False]
    assert {row["stage"] for row in found["stages"]} >= {"extract", "gate", "dedup", "publish"}


class Elements(html.parser.HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_what_pages_say_stays_text(page: str) -> None:
    """The lake's texts, URLs, titles, messages and observations are scripts; none becomes an element or an attribute."""
    parsed = Elements()
    parsed.feed(page)
    assert "alert(" in page and "{{ 7*7 }}" in page  # they are there, as text
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert not any(tag in ("img", "b") and "onerror" in attrs for tag, attrs in parsed.tags)
    assert not any(name.startswith("on") for _, attrs in parsed.tags for name in attrs)
    assert "<script>alert" not in page and "<img src=x" not in page
    assert "\x1b" not in page and "\u202e" not in page


def test_the_data_island_cannot_be_left() -> None:
    hostile = {"</script><script>alert(1)</script>": ["<!--", "]]>", "\u2028", "&amp;"]}
    text = report.island(hostile)
    assert not set("<>&\u2028") & set(text) and json.loads(text) == hostile


def test_one_file_without_a_network(page: str) -> None:
    parsed = Elements()
    parsed.feed(page)
    assert not any(tag in ("link", "iframe", "img", "object", "base") for tag, _ in parsed.tags)
    assert not any(name in ("src", "srcset", "action") for _, attrs in parsed.tags for name in attrs)
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in parsed.tags)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|import\(", page)
    policy = next(attrs["content"] for tag, attrs in parsed.tags if attrs.get("http-equiv"))
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    assert report._hash(script) in str(policy) and "default-src 'none'" in str(policy)


def test_texts_of_every_direction(page: str) -> None:
    assert page.count('dir="auto"') > 10 and "يحمل النهر" in page and "川は丘から" in page


def test_another_recipe_has_no_sliders(lake: str, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("extends: default\ngate: {limits: {eng: {list_ratio: 0.03}}}\n", encoding="utf-8")
    page = report.render(data.gather(lake, NEW, defined_at.rulebook(other)))
    assert "No histograms: the verdicts of" in page and '<h2 id="languages">' in page


def test_the_command(lake: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    done = CliRunner().invoke(cli, ["report", "--lake", lake, "--out", str(out)], catch_exceptions=False)
    assert done.exit_code == 0 and out.read_text(encoding="utf-8").startswith("<!doctype html>")
    first = out.read_bytes()
    CliRunner().invoke(cli, ["report", NEW, "--lake", lake, "--out", str(out)], catch_exceptions=False)
    assert out.read_bytes() == first
    assert CliRunner().invoke(cli, ["report", "CC-MAIN-2025-05", "--lake", lake, "--out", str(out)]).exit_code


def test_what_stages_cost(lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = data.gather(lake, NEW, defined_at.rulebook())
    assert plain["spent"]["cost"] is None and "--core-hour-price" in report.render(plain)
    found = data.gather(lake, NEW, defined_at.rulebook(), cost.Rates(4, 0.5))
    own = [row for row in found["stages"] if row["snapshot"] == NEW]
    assert found["spent"]["seconds"] == sum(row["seconds"] for row in own) == 24.0
    assert found["spent"]["core_hours"] == pytest.approx(24 * 4 / 3600)
    assert found["spent"]["cost"] == pytest.approx(24 * 4 / 3600 * 0.5) == pytest.approx(sum(row["cost"] for row in own))
    assert found["spent"]["per_million"] == pytest.approx(found["spent"]["cost"] / seen.SIZE * 1e6)
    gate = next(row for row in own if row["stage"] == "gate")
    assert gate["per_second"] == pytest.approx(seen.SIZE / gate["seconds"])
    monkeypatch.setenv(cost.PRICE, "0.25")
    out = tmp_path / "report.html"
    CliRunner().invoke(cli, ["report", NEW, "--out", str(out), "--cores", "8", "--lake", lake], catch_exceptions=False)
    assert "seconds times 8 cores, busy or not, at 0.25 each" in out.read_text()
    for name, value in ((cost.PRICE, "cheap"), (cost.PRICE, "-1"), (cost.CORES, "0")):
        with monkeypatch.context() as patch, pytest.raises(UserError):
            patch.setenv(name, value)
            cost.rates()


def test_recycling_is_in_the_report(tmp_path: Path) -> None:
    lake = seen.make(str(tmp_path / "lake"))
    seen.derive(lake)
    report.write(lake, NEW, defined_at.rulebook(), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "recycled: 1 dropped pages tried -&gt; 1 derived documents -&gt; 1 eligible" in page
    assert "rewire: changed 1" in page and "130 tokens, cost 0.12" in page
