"""Trying and estimating hooks that ask a model, at the shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from crawlmill import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.llm.estimate import Estimate
from crawlmill.llm.settings import Settings
from crawlmill.recipes import recipe
from crawlmill.rows import recycle_pages
from crawlmill.text import recycle
from crawlmill.text.hooks.chat import Request
from crawlmill.verbs.estimate_cli import of, of_recycling
from tests.fixtures import lake_tables, prose, seen
from tests.fixtures.endpoint import running
from tests.fixtures.lakes import document

S = "CC-MAIN-2026-43"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


def sorted_words(body: dict[str, Any]) -> str:
    return " ".join(sorted(body["messages"][-1]["content"].split("==\n", 1)[1].rsplit("\n==", 1)[0].split()))


def test_try_hook_asks_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pages.jsonl"
    file.write_text("".join(json.dumps({"text": prose.article(n), "language_script": "Latn"}) + "\n" for n in range(3)))
    before = sorted(tmp_path.rglob("*"))
    with running(reply=sorted_words) as at:
        monkeypatch.setenv("CRAWLMILL_LLM_BASE_URL", at.url)
        call(monkeypatch, "try-hook", "wrap", "--input", str(file), "--option", "model=tiny")
        assert "it would ask" in capsys.readouterr().out and not at.got
        call(monkeypatch, "try-hook", "wrap", "--input", str(file), "--option", "model=tiny", "--ask")
        out = capsys.readouterr().out
    assert "3 of 3 documents hit (100.0 %)" in out and "[-" in out and set(at.got.values()) == {1}
    assert sorted(tmp_path.rglob("*")) == before


def test_estimates() -> None:
    body = Request("m", (("system", "abcd"), ("user", "abcdefgh")), max_tokens=100).body()
    found = Estimate()
    found.add([json.dumps({"hash": "x", "body": body})] * 2)
    found.add([])
    assert (found.documents, found.requests, found.read, found.written) == (1, 2, 2 * (1 + 8 + 2 + 8), 200)
    lines = found.lines(Settings(price_in=1.0, price_out=10.0, requests_per_minute=1))
    assert lines[3:] == ["cost              0.0020 at most", "time              2 minutes at least, by the rate limits"]


def test_estimate_of_a_snapshot(
    lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "llm.yaml"
    file.write_text("extends: default\nrewrite:\n  hooks: [{name: wrap, options: {model: tiny, passage_tokens: 5000}}]\n")
    with pytest.raises(UserError, match="run identify first"):
        of(lake, S, recipe.load(file))
    table.create_all(lake)
    rows = [document(S, n % 2, f"p{n}", prose.article(n)) for n in range(4)]
    labels = [{name: row.get(name) for name in contract.load("languages").columns} for row in rows]
    for label in labels:
        label.update(language="eng", language_script="Latn", language_score=0.9, script_share=1.0, model="m")
    lake_tables.put(lake, "documents", S, rows)
    lake_tables.put(lake, "languages", S, labels)
    outputs = [{"table": "languages", "version": table.version(lake, "languages")}]
    inputs = [{"table": "documents", "snapshot": S, "version": table.version(lake, "documents")}]
    ledger.append_run(
        lake, RunRow(run_id="r", stage="identify", snapshot=S, stage_key="k", verdict="passed", inputs=inputs, outputs=outputs)
    )
    assert call(monkeypatch, "estimate", S, "--recipe", str(file), "--lake", lake) == 0
    assert "requests          4 of 4 documents" in capsys.readouterr().out
    assert of(lake, S, recipe.load()).requests == 0


def test_recycling_is_estimated_on_what_the_gate_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, lake = tmp_path / "recycle.yaml", str(tmp_path / "lake")
    file.write_text(
        "extends: default\nrecycle:\n  hooks: [{name: rewire, options: {model: tiny}}]\n  never: [list_ratio]\n", encoding="utf-8"
    )
    seen.make(lake)
    chosen = recipe.load(file)
    at = pins.newest(lake, S)
    found = recycle_pages.candidates(lake, S, at["verdicts"], chosen)
    judged = {row["id"]: row for row in seen.verdicts(seen.documents(S))}
    expected = {
        name for name, row in judged.items()
        if not row["eligible"] and {rule["rule"] for rule in row["failed"]} <= set(recycle.open_to(chosen.gate, chosen.recycle))
    }  # fmt: skip
    assert {name for own in found.values() for name in own} == expected and 0 < len(expected) < len(judged)
    told = of_recycling(lake, S, chosen)
    assert told and told.requests == told.documents > 0
    assert call(monkeypatch, "estimate", S, "--recipe", str(file), "--lake", lake) == 0
    assert f"recycling\n  requests          {told.requests} of {told.documents} documents" in capsys.readouterr().out
    assert of_recycling(lake, "CC-MAIN-2025-05", chosen) is None


def test_the_connection_of_airflow_reaches_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("airflow.sdk")
    from airflow.sdk import BaseHook, Connection

    from crawlmill.llm import settings
    from crawlmill.orchestrate.submit import lend_connection

    for name in (settings.CONNECTION, "CRAWLMILL_LLM_BASE_URL"):
        monkeypatch.setenv(name, "")
    found = Connection(conn_id="crawlmill_llm", conn_type="http", host="llm.example", password="sk-1", extra='{"model": "big"}')
    monkeypatch.setattr(BaseHook, "get_connection", lambda _: found)
    lend_connection()
    read = settings.load()
    assert (read.base_url, read.api_key, settings.model()) == ("https://llm.example/v1", "sk-1", "big")
