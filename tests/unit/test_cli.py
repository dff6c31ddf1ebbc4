"""The command line: help with examples, one sentence and the right exit code for every kind of bad input."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from crawlmill import cli, command, ledger, pins, rowfile, sample_crawl, table
from crawlmill.errors import AnswerNeeded, CrawlmillError, CriticalFailure, Fenced, SourceUnavailable, UserError
from crawlmill.sample_crawl import server

S = "CC-MAIN-2026-38"


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    sample_crawl.write(folder)
    return folder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


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


def user_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, kind: str = "user error"
) -> str:
    """The one sentence that a user error ends with."""
    assert call(monkeypatch, *arguments) == 2
    err = capsys.readouterr().err.strip()
    assert err.startswith(f"crawlmill: {kind}: ") and "\n" not in err and "Traceback" not in err
    return err


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
    (folder / "warc.paths.gz").write_bytes(gzip.compress(b""))
    assert "no" in user_error(monkeypatch, capsys, "run", S, "--source", str(tmp_path), "--lake", lake)


def test_a_lake_that_is_not_there_or_not_a_folder_is_told(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "ingest a snapshot first" in user_error(monkeypatch, capsys, "funnel", "--lake", lake)
    assert "object storage" in user_error(monkeypatch, capsys, "tables", "--lake", "s3a://bucket/lake")


def test_an_unknown_verb_or_option_is_a_user_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    user_error(monkeypatch, capsys, "rnu")
    user_error(monkeypatch, capsys, "run")


def test_the_stages_at_the_shell(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warcs = sorted(str(path) for path in crawl.glob(f"crawl-data/{S}/segments/*/warc/*.warc.gz"))
    steps = [str(tmp_path / name) for name in ("pages.jsonl.gz", "labelled.jsonl.zst", "measured.parquet", "clustered.jsonl")]
    assert call(monkeypatch, "text", *warcs, "-o", steps[0]) == 0
    assert call(monkeypatch, "identify", steps[0], "-o", steps[1]) == 0
    assert call(monkeypatch, "measure", steps[1], "-o", steps[2]) == 0
    assert call(monkeypatch, "dedup", steps[2], "-o", steps[3]) == 0
    rows = [json.loads(line) for line in Path(steps[3]).read_text().splitlines()]
    assert len(rows) > 250 and {row["language"] for row in rows} >= {"eng", "tha", "cmn", "arb"}
    removed = [row for row in rows if row["duplicate_of"]]
    assert removed and all(row["similarity"] >= 0.8 for row in removed)
    assert all("rps_doc_word_count" in row for row in rows)
    capsys.readouterr()
    assert call(monkeypatch, "count-ngrams", steps[1], "-o", str(tmp_path / "counts.npz"), "--buckets", "64") == 0
    assert "sha256: " in capsys.readouterr().out


def test_lines_that_are_no_rows_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "fine"}\nnot json\n')
    assert "line 2" in user_error(monkeypatch, capsys, "identify", str(broken), "-o", str(tmp_path / "out.jsonl"))
    broken.write_text('{"no_text": 1}\n')
    assert "text" in user_error(monkeypatch, capsys, "measure", str(broken), "-o", str(tmp_path / "out.jsonl"))
    assert "cannot be read" in user_error(monkeypatch, capsys, "dedup", str(tmp_path / "absent.jsonl"))
    (tmp_path / "x.jsonl.gz").write_bytes(b"no gzip")
    assert "damaged" in user_error(
        monkeypatch, capsys, "identify", str(tmp_path / "x.jsonl.gz"), "-o", str(tmp_path / "out.jsonl")
    )


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


def rows_of(name: str) -> list[dict[str, Any]]:
    return list(rowfile.read(name))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet"])
def test_a_file_may_be_read_and_written_by_the_same_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / name)
    assert rowfile.write(path, ({"text": f"A short English sentence, number {n}."} for n in range(3))) == 3
    assert call(monkeypatch, "identify", path, "-o", path) == 0
    assert [row["language"] for row in rows_of(path)] == ["eng"] * 3
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
def test_a_failing_run_leaves_the_older_file_and_nothing_else(name: str, tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield {"text": "one"}
        raise UserError("row 2 is wrong")

    path = tmp_path / name
    with pytest.raises(UserError, match="row 2"):
        rowfile.write(str(path), failing())
    assert list(tmp_path.iterdir()) == []
    rowfile.write(str(path), [{"text": "older"}])
    with pytest.raises(UserError, match="row 2"):
        rowfile.write(str(path), failing())
    assert rows_of(str(path)) == [{"text": "older"}] and list(tmp_path.iterdir()) == [path]


def test_what_is_no_plain_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    assert rowfile.write(os.devnull, [{"text": "x"}]) == 1
    assert not Path(os.devnull).is_file()
    with pytest.raises(UserError, match="cannot be written"):
        rowfile.write(str(tmp_path), [{"text": "x"}])
    with pytest.raises(UserError, match=r"absent/out\.jsonl cannot be written \(No such file"):
        rowfile.write(str(tmp_path / "absent" / "out.jsonl"), [{"text": "x"}])


def test_parquet_holds_columns_that_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(rowfile, "GROUP", 2)
    rows: list[dict[str, Any]] = [
        {"a": 1, "b": None},
        {"a": 2, "c": ["x"]},
        {"a": 3, "b": 0.5},
        {"a": 4, "b": None},
        {"d": "late"},
    ]
    path = str(tmp_path / "rows.parquet")
    assert rowfile.write(path, rows) == 5
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups == 3
    assert rows_of(path) == [dict.fromkeys("abcd") | row for row in rows]
    assert rowfile.write(path, []) == 0 and rows_of(path) == []


def test_what_parquet_cannot_hold_or_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    for rows in ([{"a": 1}, {"a": "x"}], [{"a": "\ud800"}]):
        with pytest.raises(UserError, match=r"rows\.parquet cannot hold these rows .* JSON lines"):
            rowfile.write(str(path), rows)
    rowfile.write(str(path), [{"a": n, "text": f"{n} words " * 20} for n in range(1000)])
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:4] + b"\xff" * half + whole[4 + half :])
    with pytest.raises(UserError, match=r"rows\.parquet is no readable Parquet file"):
        rows_of(str(path))
    damaged = bytearray(gzip.compress(b'{"text": "x"}\n' * 1000))
    damaged[20:40] = b"\xff" * 20
    (tmp_path / "rows.jsonl.gz").write_bytes(damaged)
    with pytest.raises(UserError, match="is damaged"):
        rows_of(str(tmp_path / "rows.jsonl.gz"))


def test_text_names_the_backends_before_it_opens_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = user_error(monkeypatch, capsys, "text", "absent.warc.gz", "--backend", "resilparse")
    assert "'resilparse'" in err and "resiliparse" in err and "trafilatura" in err


def test_text_counts_and_names_what_is_no_crawl_file(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = str(next(crawl.glob(f"crawl-data/{S}/segments/*/warc/*.warc.gz")))
    (tmp_path / "notes.txt").write_text("not a crawl file")
    (tmp_path / "empty.warc.gz").write_bytes(b"")
    out = tmp_path / "out.jsonl"
    assert call(monkeypatch, "text", whole, "-o", str(out)) == 0
    counted = capsys.readouterr().err
    documents = len(out.read_text().splitlines())
    assert documents and counted.startswith(f"{documents} documents, ")
    assert call(monkeypatch, "text", str(tmp_path / "notes.txt"), str(tmp_path / "empty.warc.gz"), whole, "-o", str(out)) == 2
    counted, said = capsys.readouterr().err.splitlines()
    assert "empty_file 1" in counted and "not_a_crawl_file 1" in counted
    assert said.startswith("crawlmill: user error: ") and "notes.txt" in said and "empty.warc.gz" in said
    assert len(out.read_text().splitlines()) == documents, "the others have been done"


def run_row(stage: str, fence: int, snapshot: str = S, inputs: pins.Pins | None = None, **outputs: int) -> ledger.RunRow:
    return ledger.RunRow(
        run_id=f"{stage}-{fence}", stage=stage, snapshot=snapshot, stage_key="key", verdict="warned", fence=fence,
        inputs=pins.rows(inputs or {}), outputs=[{"table": name, "version": at} for name, at in outputs.items()],
    )  # fmt: skip


def test_warnings_across_snapshots_are_answered_by_all(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from crawlmill import answers

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

    from crawlmill import funnel

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
