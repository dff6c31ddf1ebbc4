"""The rewrite stage with hooks that ask a model: answers from an endpoint, kept, the same rows again for nothing, budgets that stop it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from crawlmill.errors import SourceUnavailable
from crawlmill.lake import ledger, table
from crawlmill.llm.ask import BudgetSpent
from tests.fixtures import canary, lakes, prose
from tests.fixtures.endpoint import running
from tests.fixtures.lakes import NEW

PAGES = {f"p{n}": prose.article(n) for n in range(6)} | {
    "mail": prose.article(9) + "\nWrite to mill@example.org about it.",
    "copy": prose.article(0),
}
RECIPE = """extends: default
rewrite:
  hooks:
    - {name: wrap, options: {model: tiny, passage_tokens: 5000}}
    - {name: mask_pii}
    - {name: annotate, options: {model: tiny, share: 1.0}}
"""


def reply(body: dict[str, Any]) -> str:
    """The page's words sorted, or labels."""
    if body.get("response_format"):
        return '{"score": 3, "topic": "history", "kind": "article"}'
    page = body["messages"][-1]["content"].split("==\n", 1)[1].rsplit("\n==", 1)[0]
    return " ".join(sorted(page.split()))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "llm.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def identified(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake whose pages have a language."""
    lake = str(tmp_path_factory.mktemp("lakes") / "identified")
    lakes.put_documents(lake, NEW, PAGES)
    lakes.run(spark, lake, "identify", NEW)
    return lake


@pytest.fixture
def lake(identified: str, tmp_path: Path) -> str:
    """A copy of it for each test."""
    return str(shutil.copytree(identified, tmp_path / "lake"))


def test_a_model_answers_once_and_its_answers_give_the_same_rows(
    spark: Any, lake: str, recipe_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(reply=reply) as at:
        monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", at.url)
        monkeypatch.setenv("CRAWLMILL_LLM_API_KEY", "sk-secret")
        monkeypatch.setenv("CRAWLMILL_LLM_MAX_TOKENS", "4000")
        monkeypatch.setenv("CRAWLMILL_LLM_CONCURRENCY", "2")
        with pytest.raises(BudgetSpent, match="budget of CC-MAIN-2026-43 is used up"):
            lakes.run(spark, lake, "rewrite", NEW, recipe_file)
        assert ledger.released(lake, "rewrite", NEW) is None and table.version(lake, "rewrites") == 0
        part = at.got.total()
        assert 0 < part < 7
        monkeypatch.delenv("CRAWLMILL_LLM_MAX_TOKENS")
        assert lakes.run(spark, lake, "rewrite", NEW, recipe_file).verdict == "passed"
        assert set(at.got.values()) == {1} and len(at.got) == 7 + 7  # seven distinct pages, rewritten and labelled
        rows = lakes.contents(spark, lake, "rewrites"), lakes.contents(spark, lake, "rewrite_steps")
    monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", "http://127.0.0.1:1/v1")  # nobody is asked any more: there is nobody
    lakes.run(spark, lake, "rewrite", NEW, recipe_file, force=True)
    assert at.got.total() == 14
    assert (lakes.contents(spark, lake, "rewrites"), lakes.contents(spark, lake, "rewrite_steps")) == rows
    check_rows(spark, lake)
    assert canary.seen(lake, "sk-secret") == [], "neither tables, nor logs of commits, nor journals"
    said = capfd.readouterr()
    assert "sk-secret" not in said.out + said.err


def check_rows(spark: Any, lake: str) -> None:
    """Texts are the model's, masked after it; steps say who made them."""
    texts = {row["id"]: row["text"] for row in table.read(spark, lake, "rewrites", table.version(lake, "rewrites")).collect()}
    assert len(texts) == 8
    mail = texts[lakes.record_id(f"{NEW}/mail")]
    assert "<EMAIL_1>" in mail and "mill@example.org" not in mail
    steps = table.read(spark, lake, "rewrite_steps", table.version(lake, "rewrite_steps")).collect()
    assert len(steps) == 24
    wrap = next(row for row in steps if row["hook"] == "wrap")
    assert (wrap["outcome"], wrap["model"], len(wrap["requests"])) == ("changed", "tiny-served", 1) and wrap[
        "prompt_tokens"
    ] > 100
    assert all(
        row["labels"] == {"score": "3", "topic": "history", "kind": "article"} for row in steps if row["hook"] == "annotate"
    )


def test_an_endpoint_that_is_down_releases_nothing(
    spark: Any, lake: str, recipe_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("CRAWLMILL_LLM_PATIENCE", "0.2")
    with pytest.raises(SourceUnavailable, match="has answered nobody"):
        lakes.run(spark, lake, "rewrite", NEW, recipe_file)
    assert ledger.released(lake, "rewrite", NEW) is None
