"""Types are checked as strictly as `pyproject.toml` says: the longest part of `make lint`, here beside other tests."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_every_file_is_typed() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
