"""The README's examples for other tools give what the tables hold."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures import seen
from tests.fixtures.lakes import NEW, OLD


def examples() -> list[str]:
    """The README's blocks of Python."""
    found: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return found


def test_the_readme_s_examples_run(tmp_path: Path) -> None:
    for name in ("duckdb", "polars"):
        pytest.importorskip(name, reason=f"{name} is not installed: the extra `dev` has it")
    block = next(block for block in examples() if "duckdb" in block)
    names: dict[str, Any] = {"lake": seen.make(str(tmp_path / "lake"))}
    exec(block, names)
    rows = [row for snapshot in (OLD, NEW) for row in seen.verdicts(seen.documents(snapshot))]
    assert dict(names["fires"].fetchall()) == Counter(rule["rule"] for row in rows for rule in row["failed"])
    assert dict(names["counts"].iter_rows()) == Counter(row["language"] for row in rows)
    assert 0 < len(names["frame"]) < len(rows) and list(names["frame"].columns) == ["language", "text"]
