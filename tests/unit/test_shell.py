"""Stages at the shell, on plain files: what they write, what they say of files that are none of theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.shell import call, user_error

S = "CC-MAIN-2026-38"


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
