"""The ledger of published methods: a row that is not planned names a test that exists and is not skipped."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawlmill.contracts import contract

HERE = Path(__file__).resolve().parents[2]
ROWS: list[dict[str, Any]] = yaml.safe_load((HERE / "tests" / "systems.yaml").read_text(encoding="utf-8"))
CLASSES = {"core", "hook", "external_score", "export", "training_loop"}
STATES = {"planned", "partial", "works", "artefact_only", "out_of_loop"}
KEYS = {"id", "title", "class", "stage", "columns", "parameters", "deviation", "test", "status"}


def marks(node: str) -> list[str] | None:
    """The decorators of a test, as written; None where it does not exist."""
    file, _, name = node.partition("::")
    path = HERE / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    found = [item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == name]
    return [ast.unparse(mark) for mark in found[0].decorator_list] if found else None


def test_ids_are_given_once() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_says_what_is_so(row: dict[str, Any]) -> None:
    assert row.keys() - {"parameters_unverified"} == KEYS
    assert row["class"] in CLASSES and row["status"] in STATES
    if row["status"] in ("planned", "out_of_loop"):
        assert row["test"] is None
        return
    found = marks(row["test"])
    assert found is not None, f"{row['test']} does not exist"
    assert not [mark for mark in found if "skip" in mark or "xfail" in mark]
    if row["status"] == "partial":
        assert row["deviation"] or row["parameters_unverified"], "a part is missing: say which"
    if str(row["parameters"]).startswith("jobs/"):
        assert (HERE / row["parameters"]).is_file()
    for column in row["columns"]:
        table, _, name = column.partition(".")
        known = contract.load(table).columns
        assert not name or any(own == name or (name.endswith("*") and own.startswith(name[:-1])) for own in known)
