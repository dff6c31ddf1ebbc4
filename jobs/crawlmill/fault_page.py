"""The pages on faults and promises, made of `tests/faults/matrix.yaml`: what must happen, and which test shows it. For development only: needs the tests."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from crawlmill import layout

MATRIX = Path("tests/faults/matrix.yaml")
EVERY_COMMIT, LONG = "make test", "make test-full"


def matrix(root: Path) -> dict[str, Any]:
    """The matrix of a checkout, tests by their node ids."""
    text = (root / MATRIX).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    rows = [row for group in found["faults"] for row in group["rows"]]
    for row in [*rows, *found["promises"]]:
        row["tests"] = [f"tests/{node.removeprefix('T/')}" for node in row.get("tests", [])]
    return found


@cache
def _marks(path: Path) -> tuple[dict[str, str], str]:
    """The decorators of each test of a file, as written, and the marks of all of them."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else ast.Module([], [])
    tests = {
        item.name: " ".join(ast.unparse(mark) for mark in item.decorator_list)
        for item in tree.body
        if isinstance(item, ast.FunctionDef)
    }
    whole = [ast.unparse(item.value) for item in tree.body if isinstance(item, ast.Assign) and _assigns(item, "pytestmark")]
    return tests, " ".join(whole)


def _assigns(item: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in item.targets)


def marks(root: Path, node: str) -> str | None:
    """What a test is marked with, as written; None where there is no such test."""
    file, _, name = node.partition("::")
    tests, whole = _marks(root / file)
    return None if name not in tests else f"{tests[name]} {whole}"


def runs_in(root: Path, nodes: list[str]) -> str:
    """Which target runs these tests: every commit's, where that runs at least one of them."""
    return EVERY_COMMIT if any("full" not in (marks(root, node) or "full").lower() for node in nodes) else LONG


def faults(made: str, root: Path | None = None) -> str:
    """The page of faults; `made`: the line that says where it comes from."""
    home = root or layout.home()
    groups = matrix(home)["faults"]
    rows = [row for group in groups for row in group["rows"]]
    missing = sum(not row["tests"] for row in rows)
    lines = [
        made, "# Faults", "",
        "What can go wrong, what must happen then, and the test that shows it. `make test` runs at every commit, `make test-full` has the long ones too and",
        f"writes `infra/TEST-FULL.md`. What crawlmill guarantees: [PROMISES.md](PROMISES.md). {len(rows)} rows, {missing} of them without a test.",
    ]  # fmt: skip
    for group in groups:
        lines += [
            "",
            f"## {group['group']}",
            "",
            "| fault | where | what must happen | shown by | run by |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(home, row) for row in group["rows"]]
    return "\n".join(lines) + "\n"


def _row(root: Path, row: dict[str, Any]) -> str:
    shown = "<br>".join(_link(node) for node in row["tests"]) or f"**not shown**: {row['missing']}"
    by = f"`{runs_in(root, row['tests'])}`" if row["tests"] else ""
    cells = (row["fault"], ", ".join(row["where"]), row["must"], shown, by)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _link(node: str) -> str:
    file, _, name = node.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{file})"


def promises(made: str, root: Path | None = None) -> str:
    """The page of promises."""
    home = root or layout.home()
    lines = [
        made,
        "# Promises",
        "",
        "What crawlmill guarantees, and the tests that show it. What can go wrong: [FAULTS.md](FAULTS.md).",
    ]
    for row in matrix(home)["promises"]:
        lines += ["", f"## {row['promise']}", "", row["says"], ""]
        lines += [f"* {_link(node)} (`{runs_in(home, [node])}`)" for node in row["tests"]]
    return "\n".join(lines) + "\n"
