"""The command line with files, lakes and recipes that are damaged, absent, or somebody else's: one sentence, and nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawlmill import cli, rowfile
from crawlmill.errors import UserError
from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import command, local_run, stage
from tests.fixtures.shell import call, user_error

S = "CC-MAIN-2026-38"


def rows_of(name: str) -> list[dict[str, Any]]:
    return list(rowfile.read(name))


@pytest.mark.parametrize("left", [1, 2])
def test_a_zst_file_that_breaks_off_is_not_taken_for_whole(left: int, tmp_path: Path) -> None:
    """Cut between two lines, where nothing else would show it, in the first frame or a later one."""
    import zstandard

    lines = [json.dumps({"text": f"line {n}"}).encode() + b"\n" for n in range(50)]
    frame = zstandard.ZstdCompressor(write_checksum=False).compressobj()
    open_frame = b"".join(map(frame.compress, lines)) + frame.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    whole = zstandard.ZstdCompressor().compress(b"".join(lines))
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(whole * (left - 1) + open_frame)
    with pytest.raises(UserError, match=r"rows\.jsonl\.zst is damaged"):
        rows_of(str(path))
    path.write_bytes(whole * left)
    assert len(rows_of(str(path))) == 50 * left


def test_bytes_that_are_no_utf8_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "caf\xc3\xa9"}\n{"text": "caf\xe9"}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl line 2 is not UTF-8: convert"):
        rows_of(str(path))
    path.write_bytes(b'\xef\xbb\xbf{"text": "a mark first \\ud800"}\n')
    assert rows_of(str(path)) == [{"text": "a mark first \ud800"}]


@pytest.mark.parametrize("name", ["absent.jsonl", "absent.parquet", ""])
def test_files_that_are_not_there_are_told_alike(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="cannot be read .* give the path of a file, or - for standard input"):
        rows_of(name)


def buffered() -> dict[str, str]:
    """The environment of a process that writes its output when there is a block of it, as any does unless asked."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def crawlmill(*arguments: str, **how: Any) -> subprocess.Popen[bytes]:
    code = "from crawlmill import cli; cli.entry()"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, env=buffered(), **how)


def test_a_little_output_that_nobody_could_write_is_told_too() -> None:
    code = "import sys; from crawlmill import cli; cli.main = lambda: sys.stdout.write('a line'); cli.entry()"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, env=buffered())
    assert done.returncode == 2 and b"No space left on device" in done.stderr and b"Traceback" not in done.stderr


def test_standard_output_that_is_full_or_closed(crawl: Path, tmp_path: Path) -> None:
    warc = str(min(crawl.glob(f"crawl-data/{S}/segments/*/warc/*.warc.gz")))
    with Path("/dev/full").open("wb") as full:
        process = crawlmill("text", warc, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 2 and b"standard output cannot be written (No space left on device)" in err
    assert b"Traceback" not in err
    process = crawlmill("text", warc, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_text_reads_standard_input(crawl: Path) -> None:
    warc = min(crawl.glob(f"crawl-data/{S}/segments/*/warc/*.warc.gz"))
    process = crawlmill("text", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, err = process.communicate(warc.read_bytes())
    assert process.returncode == 0 and len(out.splitlines()) > 50 and b"documents" in err


def test_what_the_system_refuses_is_one_sentence(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "some words to count"}\n')
    assert "cannot be written" in user_error(monkeypatch, capsys, "count-ngrams", str(rows), "-o", str(tmp_path / "no" / "x.npz"))
    occupied = str(rows)  # a file where the lake should be
    assert "rows.jsonl" in user_error(monkeypatch, capsys, "run", S, "--source", str(crawl), "--lake", occupied)
    assert "there is no table" in user_error(monkeypatch, capsys, "answer", S, "--because", "x", "--lake", str(tmp_path / "none"))
    assert "CC-MAIN-YYYY-WW" in user_error(monkeypatch, capsys, "plan", "CC-MAIN-20\u0662\u0666-38", "--source", str(crawl))


def test_counts_are_named_by_a_path_that_the_recipe_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bare name in a recipe is one below the models folder."""
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"text": "some words to count"}\n')
    assert call(monkeypatch, "count-ngrams", "rows.jsonl", "-o", "own.npz") == 0
    assert f"path: {tmp_path.resolve()}/own.npz, sha256: " in capsys.readouterr().out


def test_a_lake_of_somebody_else_is_told_before_spark_starts(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    write_deltalake(f"{tmp_path}/documents", pa.table({"mine": [1]}))
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    err = user_error(monkeypatch, capsys, "run", S, "--source", str(crawl), "--lake", str(tmp_path))
    assert "crawlmill did not make" in err
    assert DeltaTable(f"{tmp_path}/documents").to_pyarrow_table().to_pydict() == {"mine": [1]}


def test_a_stage_whose_input_is_missing_leaves_no_lake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(stage.load("gate"), ["--snapshot", S, "--lake", str(tmp_path / "typo")]) == 2
    assert "run measure first" in capsys.readouterr().err
    assert not (tmp_path / "typo" / "documents").exists()


def test_a_file_that_signals_need_is_missed_before_any_row_is_written(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"extends: default\nmeasure: {{stop_words: {{eng: {{path: /nowhere/en.txt, sha256: {'a' * 64}}}}}}}\n")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "some words", "language": "eng"}\n')
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    for verb in (["measure", str(rows)], ["run", S, "--source", str(crawl), "--lake", lake]):
        assert "/nowhere/en.txt" in user_error(monkeypatch, capsys, *verb, "--recipe", str(recipe))
    assert call(monkeypatch, "check", "--no-spark", "--source", str(crawl), "--lake", lake, "--recipe", str(recipe)) == 2
    assert "models   wrong" in capsys.readouterr().out


def test_plan_says_run_where_run_would_run(crawl: Path, lake: str) -> None:
    """A file that could not be fetched, and a later attempt that failed, are done again although no key changed."""
    table.create_all(lake)
    job = cli.job(S, lake, str(crawl), None)
    _, key, _ = stage.resolve(stage.load("extract"), job)
    row = RunRow("r1", "extract", S, key, "passed", fence=1)
    ledger.append_run(lake, row)
    assert not next(local_run.plan(job)).runs
    ledger.append_run(lake, replace(row, run_id="r2", fence=2, verdict="failed", message="rows were lost"))
    assert next(local_run.plan(job)).why == "its last run failed: rows were lost"
    ledger.append_run(lake, replace(row, run_id="r3", fence=3, digests={stage.INCOMPLETE: "2"}))
    step = next(local_run.plan(job))
    assert step.runs and "2" in step.why and stage.INCOMPLETE in step.why


def test_a_damaged_lake_is_told_in_one_sentence(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.create_all(lake)
    ledger.append_run(lake, RunRow("r1", "extract", S, "k", "passed"))
    for file in Path(lake, "runs").glob("*.parquet"):
        file.unlink()
    assert call(monkeypatch, "funnel", "--lake", lake) == 1
    err = capsys.readouterr().err
    assert err.startswith("crawlmill: failed: a table of the lake is damaged (") and "Traceback" not in err
    Path(lake, "runs", "_delta_log", f"{0:020}.json").unlink()
    assert call(monkeypatch, "funnel", "--lake", lake) == 1
    assert "a table of the lake is damaged (" in capsys.readouterr().err


def test_a_lake_that_may_not_be_read_is_not_called_empty(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.create_all(lake)
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be read (Permission denied)" in user_error(monkeypatch, capsys, "tables", "--lake", lake)


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        command.told(ZeroDivisionError())


WORDS = [("why", "caf\udce9"), ("history", "runs", "-n", "9" * 20), ("sample", f"--seed={'9' * 40}"), ("report", S, "--out", "caf\udce9.html"),
         ("funnel", "--lake", "/nowhere/caf\udce9"), ("diff", "0", "-" + "9" * 20)]  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
def test_words_that_are_no_text_or_no_number(
    words: tuple[str, ...], lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.create_all(lake)
    monkeypatch.setenv("CRAWLMILL_LAKE", lake)
    assert "is no text in UTF-8" in (said := user_error(monkeypatch, capsys, *words)) or "is too large a number" in said


def test_a_recipe_without_an_end_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], crawl: Path
) -> None:
    said = user_error(monkeypatch, capsys, "plan", S, "--recipe", "/dev/zero", "--source", str(crawl))
    assert "recipe /dev/zero is larger than 16 MB" in said


def test_a_server_s_words_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.end(UserError("the server says \x1b[2J\rall is well\u202e:\nso be it")) == 2
    assert capsys.readouterr().err == "crawlmill: user error: the server says \\x1b[2J\\rall is well\\u202e:\nso be it\n"
