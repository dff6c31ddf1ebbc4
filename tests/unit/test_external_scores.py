"""Scores from elsewhere: what is a score, and loading that changes nothing the second time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import ledger, table
from crawlmill.scoring import external_scores
from tests.fixtures.lakes import NEW, record_id


def score(name: str, value: float, scorer: str = "loss", **more: Any) -> dict[str, Any]:
    return {"id": record_id(f"{NEW}/{name}"), "scorer": scorer, "version": "1", "value": value, **more}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake with three documents, which only Spark could write."""
    documents = {record_id(f"{NEW}/{name}"): [shard] for shard, name in enumerate(("a", "b", "c"))}
    monkeypatch.setattr(external_scores, "_shards", lambda *_: documents)
    return str(tmp_path / "lake")


def rows_of(lake: str) -> list[dict[str, Any]]:
    from deltalake import DeltaTable

    rows = DeltaTable(table.path(lake, "external_scores")).to_pyarrow_table().to_pylist(maps_as_pydicts="strict")
    return sorted(rows, key=lambda row: (row["scorer"], row["shard"]))


def test_loading_is_idempotent_and_replaces_a_version_of_a_scorer(lake: str, tmp_path: Path) -> None:
    given = [score("a", 1.5, metadata={"model": "own"}), score("b", 2), score("gone", 3), score("a", 9, "edu")]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    call = ["load-scores", str(tmp_path / "scores.jsonl"), "--snapshot", NEW, "--lake", lake]
    first, again = CliRunner().invoke(cli, call), CliRunner().invoke(cli, call)
    assert first.output == f"3 of 4 scores are of documents of {NEW}: loaded\n", first.output
    assert "already there, nothing changed" in again.output
    assert len(ledger.runs(lake, external_scores.STAGE, NEW)) == 1
    told = [(row["scorer"], row["shard"], row["value"], row["metadata"]) for row in rows_of(lake)]
    assert told == [("edu", 0, 9.0, None), ("loss", 0, 1.5, {"model": "own"}), ("loss", 1, 2.0, None)]
    before = ledger.released(lake, external_scores.STAGE, NEW)
    assert external_scores.load(lake, NEW, external_scores.read([score("c", 4)], "x")).changed
    assert [(row["scorer"], row["value"]) for row in rows_of(lake)] == [("edu", 9.0), ("loss", 4.0)]
    after = ledger.released(lake, external_scores.STAGE, NEW)
    assert before and after and before.stage_key != after.stage_key


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "x", "scorer": "s", "value": 1}], "row 1 has no version"),
        ([score("a", float("nan"))], "no finite number"),
        ([score("a", 1), score("a", 2)], "has two scores of loss 1"),
    ],
)
def test_what_is_no_score(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        external_scores.read(rows, "file")


def test_a_snapshot_without_documents(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="extract has not passed"):
        external_scores.load(str(tmp_path / "lake"), NEW, external_scores.read([score("a", 1)], "x"))
    assert contract.load("external_scores").partition_columns == ("snapshot", "shard")
