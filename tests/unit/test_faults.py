"""The matrix of faults: every cell names a test that exists and is not skipped, or says that it has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawlmill import fault_page
from crawlmill.protocol import stage

ROOT = Path(__file__).resolve().parents[2]
MATRIX = fault_page.matrix(ROOT)
ROWS: list[dict[str, Any]] = [row for group in MATRIX["faults"] for row in group["rows"]]
PARTS = {"all", "lake", "source", "airflow", "shell", "plugin", "report", "models", "release", "install"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["fault"][:50])
def test_a_cell_names_a_test_or_says_that_it_has_none(row: dict[str, Any]) -> None:
    assert row.keys() - {"missing"} == {"fault", "where", "must", "tests"}
    assert row["where"] and set(row["where"]) <= PARTS | set(stage.NAMES)
    assert bool(row["tests"]) != bool(row.get("missing"))
    exist(row["tests"])


@pytest.mark.parametrize("row", MATRIX["promises"], ids=lambda row: row["promise"])
def test_a_promise_is_shown(row: dict[str, Any]) -> None:
    assert row["says"] and row["tests"]
    exist(row["tests"])
    assert fault_page.runs_in(ROOT, row["tests"]) == fault_page.EVERY_COMMIT or row["promise"] == "Takedown"


def exist(nodes: list[str]) -> None:
    for node in nodes:
        found = fault_page.marks(ROOT, node)
        assert found is not None, f"{node} does not exist"
        assert "skip" not in found and "xfail" not in found, f"{node} is skipped"


def test_each_fault_stands_once() -> None:
    assert len({row["fault"] + str(row["where"]) for row in ROWS}) == len(ROWS)


def test_what_runs_a_test_is_read_from_its_marks() -> None:
    assert (
        fault_page.runs_in(ROOT, ["tests/spark/test_bucket_lake.py::test_of_two_drivers_that_race_no_commit_is_lost"])
        == fault_page.LONG
    )
    assert fault_page.runs_in(ROOT, ["tests/unit/test_fence.py::test_the_later_attempt_wins"]) == fault_page.EVERY_COMMIT
