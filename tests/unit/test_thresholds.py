"""Least scores by language from a crawl's own scores."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median, pstdev

import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.cli import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.recipes import limit_table, recipe
from crawlmill.scoring import thresholds
from crawlmill.text import rules

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=50)


@given(SCORES)
def test_median_less_one_deviation_within_bounds(scores: list[float]) -> None:
    found = thresholds.threshold(scores)
    assert 0.3 <= found <= 0.9
    expected = median(scores) - pstdev(scores)
    if 0.3 < expected < 0.9:
        assert found == pytest.approx(expected)
    assert thresholds.threshold(reversed(scores)) == pytest.approx(found)


@pytest.mark.parametrize(
    ("scores", "limit"),
    [([0.99] * 9, 0.9), ([0.1] * 9, 0.3), ([0.6, 0.7, 0.8], 0.7 - 0.0816497), ([0.9], 0.9), ([0.2, 1.0, 1.0, 1.0], 0.653590)],
)
def test_known_values(scores: list[float], limit: float) -> None:
    assert thresholds.threshold(scores) == pytest.approx(limit, abs=1e-6)


def test_labels_have_a_script_only_where_a_language_has_several() -> None:
    scores = {
        ("deu", "Latn"): [0.8] * 5,
        ("srp", "Cyrl"): [0.7] * 5,
        ("srp", "Latn"): [0.5] * 5,
        ("und", "Latn"): [0.0] * 9,
        ("fra", "Latn"): [1.0],
    }
    assert thresholds.fit(scores, 5) == {"deu": (0.8, 5), "srp_Cyrl": (0.7, 5), "srp_Latn": (0.5, 5)}


def labelled(path: Path) -> Path:
    rows = [
        {"language": "deu", "language_script": "Latn", "language_score": 0.5 + n / 100, "model_score": 0.9} for n in range(20)
    ]
    rows += [{"language": "fra", "language_script": "Latn", "language_score": 0.99, "model_score": None}] * 3
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_command_writes_a_table_that_a_recipe_takes(tmp_path: Path) -> None:
    file, out = labelled(tmp_path / "rows.jsonl"), tmp_path / "scores.tsv"
    done = CliRunner().invoke(cli, ["fit-thresholds", str(file), "--min-documents", "10", "-o", str(out)], catch_exceptions=False)
    assert done.exit_code == 0
    expected = round(thresholds.threshold([0.5 + n / 100 for n in range(20)]), 3)
    assert limit_table.read(out)[0] == {"deu": {"language_score": expected}}
    written = tmp_path / "recipe.yaml"
    written.write_text("extends: default\ngate: {limits_from: [fineweb2.tsv, scores.tsv]}\n", encoding="utf-8")
    gate = recipe.load(written).gate
    limit = {
        name: {rule.rule: rule.limit for rule in rules.rules_for(gate, name, "Latn")}["language_score"] for name in ("deu", "fra")
    }
    assert limit == {"deu": expected, "fra": 0.5}


def test_a_snapshot_is_read_at_the_version_that_passed(tmp_path: Path) -> None:
    lake, snapshot = str(tmp_path), "CC-MAIN-2026-43"
    contract.create(lake, "runs")

    def write(scores: list[float], of: str) -> None:
        rows = [
            {
                "snapshot": of,
                "shard": 0,
                "language": "deu",
                "language_script": "Latn",
                "language_score": score,
                "model_score": None,
            }
            for score in scores
        ]
        schema = pa.schema([("snapshot", pa.string()), ("shard", pa.int32()), ("language", pa.string()), ("language_script", pa.string()),
                            ("language_score", pa.float64()), ("model_score", pa.float64())])  # fmt: skip
        write_deltalake(
            f"{lake}/languages", pa.Table.from_pylist(rows, schema), mode="append", partition_by=["snapshot", "shard"]
        )

    write([0.5, 0.6, 0.7], snapshot)
    ledger.append_run(
        lake,
        ledger.RunRow(
            "r", "identify", snapshot, "k", "passed", outputs=[{"table": "languages", "snapshot": snapshot, "version": 0}]
        ),
    )
    write([0.9] * 9, snapshot)  # not released
    write([0.1] * 9, "CC-MAIN-2026-38")
    assert thresholds.of_snapshot(lake, snapshot, "language_score") == {("deu", "Latn"): [0.5, 0.6, 0.7]}
    assert thresholds.of_snapshot(lake, snapshot, "model_score") == {}
    done = CliRunner().invoke(
        cli, ["fit-thresholds", "--snapshot", snapshot, "--lake", lake, "--min-documents", "3"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert done.output.splitlines()[-2:] == ["label\tsource\tlanguage_score\tnote", "deu\t3 documents\t0.518"]


def test_wrong_calls(tmp_path: Path) -> None:
    file = labelled(tmp_path / "rows.jsonl")
    for arguments, message in (
        (["fit-thresholds"], "either --snapshot or a file"),
        (["fit-thresholds", str(file), "--snapshot", "CC-MAIN-2026-43"], "either --snapshot or a file"),
        (["fit-thresholds", "--snapshot", "CC-MAIN-2026-43", "--lake", str(tmp_path)], "identify has not passed"),
        (["fit-thresholds", str(file), "--min-documents", "500"], "no language with 500 documents"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(cli, arguments, catch_exceptions=False)
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "a"}\n')
    with pytest.raises(UserError, match="row 1 has no language and language_score"):
        thresholds.of_file(str(bare), "language_score")
    assert thresholds.of_file(str(file), "model_score") == {("deu", "Latn"): [0.9] * 20}
