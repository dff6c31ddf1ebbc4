"""The command line: help with examples, one sentence and the right exit code for every kind of bad input."""

from __future__ import annotations

import gzip
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from crawlmill import cli
from crawlmill.errors import AnswerNeeded, CrawlmillError, CriticalFailure, Fenced, SourceUnavailable, UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.protocol import command
from crawlmill.sample_crawl import server
from tests.fixtures.shell import call, user_error

S = "CC-MAIN-2026-38"


def verbs() -> list[str]:
    return cli.cli.list_commands(click.Context(cli.cli))


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, verb, "--help") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Example: crawlmill" in out and f"crawlmill {verb}" in out


def test_without_a_verb_there_is_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Usage: crawlmill") and shown.err == ""


def test_an_unknown_snapshot_names_the_known_ones(
    crawl: Path, lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = user_error(monkeypatch, capsys, "run", "CC-MAIN-2026-39", "--source", str(crawl), "--lake", lake)
    assert "CC-MAIN-2026-39" in err and S in err


def test_a_malformed_snapshot_is_refused(
    crawl: Path, lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "CC-MAIN-YYYY-WW" in user_error(monkeypatch, capsys, "run", "' OR 1=1 --", "--source", str(crawl), "--lake", lake)


def test_a_malformed_recipe_gets_a_suggestion(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: default\ndedup:\n  thresold: .9\n")
    err = user_error(monkeypatch, capsys, "run", S, "--source", str(crawl), "--lake", lake, "--recipe", str(recipe))
    assert "thresold" in err and "threshold" in err and "mine.yaml" in err


def test_a_missing_recipe_and_a_missing_model_are_named(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nowhere.yaml" in user_error(
        monkeypatch, capsys, "plan", S, "--source", str(crawl), "--lake", lake, "--recipe", "nowhere.yaml"
    )
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: default\nidentify:\n  model: /nowhere/model.bin\n")
    err = user_error(monkeypatch, capsys, "run", S, "--source", str(crawl), "--lake", lake, "--recipe", str(recipe))
    assert "/nowhere/model.bin" in err


def test_a_model_of_another_hash_is_refused(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"extends: default\nidentify:\n  sha256: {'0' * 64}\n")
    err = user_error(monkeypatch, capsys, "run", S, "--source", str(crawl), "--lake", lake, "--recipe", str(recipe))
    assert "sha256" in err or "hash" in err


def test_an_unreachable_source_is_named(lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("crawlmill.sources.arriving.Patience.wait", lambda *_: 0.0)
    err = user_error(monkeypatch, capsys, "run", S, "--source", "http://127.0.0.1:1/", "--lake", lake, kind="source unavailable")
    assert "127.0.0.1:1" in err


def test_an_empty_snapshot_is_told(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "collinfo.json").write_bytes((crawl / "collinfo.json").read_bytes())
    folder = tmp_path / "crawl-data" / S
    folder.mkdir(parents=True)
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b"", mtime=0))
    assert "no" in user_error(monkeypatch, capsys, "run", S, "--source", str(tmp_path), "--lake", lake)


def test_a_lake_that_is_not_there_or_not_a_folder_is_told(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "ingest a snapshot first" in user_error(monkeypatch, capsys, "funnel", "--lake", lake)
    assert "neither a folder nor s3a://" in user_error(monkeypatch, capsys, "tables", "--lake", "gs://bucket/lake")


def test_an_unknown_verb_or_option_is_a_user_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    user_error(monkeypatch, capsys, "rnu")
    user_error(monkeypatch, capsys, "run")


def test_a_crawl_over_http_lists_its_snapshots(
    crawl: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.serving(crawl) as base:
        assert call(monkeypatch, "snapshots", "--source", base) == 0
    assert S in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CrawlmillError, 1, "failed"),
        (CriticalFailure, 1, "critical"),
        (Fenced, 1, "fenced"),
        (UserError, 2, "user error"),
        (SourceUnavailable, 2, "source unavailable"),
        (AnswerNeeded, 3, "answer needed"),
    ],
)
def test_each_kind_of_failure_has_its_word(
    error: type[CrawlmillError], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.end(error("what happened")) == code
    assert capsys.readouterr().err == f"crawlmill: {said}: what happened\n"


def run_row(stage: str, fence: int, snapshot: str = S, inputs: pins.Pins | None = None, **outputs: int) -> ledger.RunRow:
    return ledger.RunRow(
        run_id=f"{stage}-{fence}", stage=stage, snapshot=snapshot, stage_key="key", verdict="warned", fence=fence,
        inputs=pins.rows(inputs or {}), outputs=[{"table": name, "version": at} for name, at in outputs.items()],
    )  # fmt: skip


def test_warnings_across_snapshots_are_answered_by_all(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from crawlmill.protocol import answers

    table.create_all(lake)
    run = run_row("dedup", 1, pins.EVERY, clusters=1, pairs=1)
    ledger.append_run(lake, run)
    warning = {
        "snapshot": pins.EVERY, "stage": "dedup", "table": "clusters", "version": 1, "run_id": run.run_id, "expectation": "share",
        "column": None, "severity": "warning", "description": "few duplicates", "success": False, "observed": "0.9", "limit": "{}",
        "samples": "[]", "error": None, "answer": None, "checked_at": datetime.now(UTC),
    }  # fmt: skip
    ledger.append_quality(lake, [warning])
    with pytest.raises(AnswerNeeded, match="dedup of all: .*`crawlmill answer all --because"):
        answers.require(lake)
    assert call(monkeypatch, "answer", "all", "--because", "known", "--lake", lake) == 0
    assert "1 warnings of all answered" in capsys.readouterr().out
    answers.require(lake)
    assert "no warning of all" in user_error(monkeypatch, capsys, "answer", "all", "--because", "again", "--lake", lake)


def test_a_lake_in_which_nothing_has_passed_says_how_to_ingest(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.create_all(lake)
    assert call(monkeypatch, "funnel", "--lake", lake) == 0
    assert "nothing is ingested yet" in capsys.readouterr().out


def test_the_funnel_reads_versions_that_belong_together(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    from crawlmill.explain import funnel

    table.create_all(lake)

    def version(name: str, *rows: dict[str, Any]) -> None:
        if (Path(lake) / name / "_delta_log" / "00000000000000000000.json").read_text().find("crawlmill tests") < 0:
            shutil.rmtree(Path(lake) / name)
        found = pa.Table.from_pylist([{"snapshot": S, "shard": 0, **row} for row in rows])
        write_deltalake(f"{lake}/{name}", found, mode="overwrite", description="crawlmill tests")

    for documents in (2, 1):  # version 0 has two documents, version 1 one
        version("crawl_files", {"responses": 3, "documents": documents})
        version("rejects", *[{"reason": "mime"}] * (3 - documents))
        version("languages", *[{"language": "eng"}] * documents)
    version("verdicts", *[{"language": "eng", "eligible": True}] * 2)
    extracted = {"crawl_files": 0, "rejects": 0}
    read: pins.Pins = {(name, S): 0 for name in (*extracted, "languages")}
    ledger.append_run(lake, run_row("extract", 1, **extracted))
    ledger.append_run(lake, run_row("identify", 2, inputs={("rejects", S): 0, ("crawl_files", S): 0}, languages=0))
    ledger.append_run(lake, run_row("gate", 3, inputs=read, verdicts=0))
    ledger.append_run(lake, run_row("extract", 4, crawl_files=1, rejects=1))
    ledger.append_run(lake, run_row("identify", 5, inputs={("rejects", S): 1, ("crawl_files", S): 1}, languages=1))
    found = funnel.of(lake, S)
    assert found is not None and (found.documents, found.rejects) == (2, {"mime": 1})
    assert found.lines == [funnel.Line("eng", 2, 2, 0)] and not found.published
    funnel.print_funnel(lake, S)
    assert "not published yet" in capsys.readouterr().out
