"""The notebook runs from its first cell to its last on a lake, and is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.fixtures import seen
from tests.fixtures.lakes import NEW

NOTEBOOK = ROOT / "schemas" / "look.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells and all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: the extra `dev` has it")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: the extra `dev` has it")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: the extra `dev` has it")
    monkeypatch.setenv("CRAWLMILL_LAKE", seen.make(str(tmp_path / "lake")))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):  # nothing is written into the home folder
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [str(output["data"]["text/plain"]) for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(shown) == 6 and NEW in shown[1]
    assert str(seen.SIZE // len(seen.LABELS)) in shown[2] and "gopher_short_doc" in shown[3]
