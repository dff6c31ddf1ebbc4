"""Verbs around dedup that read a lake: what they say where there is none, and how they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from crawlmill import cli, text_table
from crawlmill.contracts import contract


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize("verb", ["dedup-stats", "contamination"])
def test_no_lake_is_told_before_anything_starts(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crawlmill.protocol.session.build", lambda *_: pytest.fail("Spark was started"))
    assert call(monkeypatch, verb, "--lake", str(tmp_path / "none")) == 2
    err = capsys.readouterr().err.strip()
    assert "there is no table runs in the lake" in err and "\n" not in err


@pytest.mark.parametrize("arguments", [("--weights", "0"), ("--least", "none")])
def test_weights_need_a_number(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "dedup-stats", *arguments) == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_lake_without_reference_sets_has_an_empty_report(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contract.create(lake, "runs")
    assert call(monkeypatch, "contamination", "--lake", lake) == 0
    assert capsys.readouterr().out.strip() == "nothing"
    assert call(monkeypatch, "contamination", "--lake", lake, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_numbers_stand_to_the_right_under_their_names() -> None:
    rows = [{"size": "1", "clusters": 12_345, "share": 0.5}, {"size": "1000 and more", "clusters": 7, "share": 0.25}]
    assert text_table.as_table(rows).splitlines() == [
        "size           clusters  share",
        "1                12,345    0.5",
        "1000 and more         7   0.25",
    ]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0.0 B"), (999, "999.0 B"), (1_500, "1.5 kB"), (2.5e12, "2.5 TB"), (3e15, "3.0 PB"), (4e18, "4,000.0 PB")],
)
def test_sizes_have_units(count: float, shown: str) -> None:
    assert text_table.size(count) == shown
