"""`crawlmill select`: the golden values of the methods that use other models' losses, from a file to rows that are loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.scoring import external_scores


def run(folder: Path, rows: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(cli, ["select", str(folder / "in.jsonl"), *options, "-o", str(folder / "out.jsonl")])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def named(**columns: list[Any]) -> list[dict[str, Any]]:
    return [
        {"id": f"d{at}", **dict(zip(columns, row, strict=True))} for at, row in enumerate(zip(*columns.values(), strict=True))
    ]


def kept(rows: list[dict[str, Any]]) -> set[str]:
    return {row["id"] for row in rows if row["value"] == 1.0}


def test_color_keeps_the_document_that_the_target_model_likes(tmp_path: Path) -> None:
    found = run(tmp_path, named(prior=[3, 2, 4], conditional=[2, 1.9, 2]), "--method", "color", "--share", "0.34")
    assert kept(found) == {"d2"} and [row["metadata"]["score"] for row in found] == ["1", "0.1", "2"]
    loaded = external_scores.read(found, "out")
    assert {id_: value for id_, (value, _) in loaded["color", "1"].items()} == {"d0": 0.0, "d1": 0.0, "d2": 1.0}


def test_mates_takes_nothing_twice_and_the_best_without_temperature(tmp_path: Path) -> None:
    rows = named(predicted=[float(at) for at in range(50)])
    exact = ("--method", "mates", "--temperature", "0")
    first = run(tmp_path, rows, *exact)
    assert kept(first) == {f"d{at}" for at in range(10)}
    (tmp_path / "first.jsonl").write_text("".join(json.dumps(row) + "\n" for row in first))
    assert kept(run(tmp_path, rows, *exact, "--taken", str(tmp_path / "first.jsonl"))) == {f"d{at}" for at in range(10, 20)}
    assert run(tmp_path, rows, "--method", "mates", "--seed", "3") == run(tmp_path, rows, "--method", "mates", "--seed", "3")


def test_attention_influence_and_presence(tmp_path: Path) -> None:
    base, masked = [2.0] * 10, [2.5, 2.1, 2.0, 2.0, 2.0, 9.0, 8.0, 7.0, 6.0, 5.0]
    rows = named(base=base, masked=masked, domain=["a"] * 5 + ["b"] * 5)
    found = run(tmp_path, rows, "--method", "attention-influence")
    assert kept(found) == {"d0", "d5"} and found[0]["metadata"] == {"score": "0.25"}
    assert kept(run(tmp_path, named(self_influence=[5, 1, 9, 2]), "--method", "presence", "--share", "0.5")) == {"d1", "d3"}


def test_preselect_labels_what_better_models_find_easier(tmp_path: Path) -> None:
    rows = [
        {"id": str(at), "text": "x", "worst": a, "middle": b, "best": c}
        for at, (a, b, c) in enumerate([(3, 2, 1), (1, 2, 3), (2, 2, 1)])
    ]
    found = run(tmp_path, rows, "--method", "preselect", "--losses", "worst,middle,best")
    assert [(row["preselect_teacher"], row["label"]) for row in found] == [(3, 1), (0, 0), (2, None)]
    assert found[0]["text"] == "x", "what train-scorer reads"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ([{"id": "a", "prior": 1}], ["--method", "color"], "row 1 has no conditional"),
        ([{"id": "a", "self_influence": 1}], ["--method", "presence"], "say with --share"),
        ([{"id": "a", "predicted": "x"}], ["--method", "mates"], "is 'x', no finite number"),
        ([{"predicted": 1}], ["--method", "mates"], "row 1 has no id"),
        ([], ["--method", "mates"], "has no row"),
        ([{"id": "a"}], ["--method", "preselect", "--losses", "a"], "name two columns or more"),
    ],
)
def test_what_cannot_be_selected_is_told(tmp_path: Path, rows: list[dict[str, Any]], options: list[str], said: str) -> None:
    with pytest.raises(Exception, match=said):
        run(tmp_path, rows, *options)
