"""Files of rows: JSON lines, compressed or not, and Parquet; a run that fails leaves the older file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill import rowfile
from crawlmill.errors import UserError
from tests.fixtures.shell import call


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
    damaged = bytearray(gzip.compress(b'{"text": "x"}\n' * 1000, mtime=0))
    damaged[20:40] = b"\xff" * 20
    (tmp_path / "rows.jsonl.gz").write_bytes(damaged)
    with pytest.raises(UserError, match="is damaged"):
        rows_of(str(tmp_path / "rows.jsonl.gz"))
