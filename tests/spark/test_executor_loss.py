"""Dedup whose executors are killed writes the same tables."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_dedup_with_two_executors_killed_writes_the_same_tables(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fixtures.executor_loss", str(tmp_path)]
    log = tmp_path / "log"
    with log.open("w") as errors:
        program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        try:
            out, _ = program.communicate(timeout=1_800)
        finally:  # master and workers are of its group
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    assert program.returncode == 0, log.read_text()[-4_000:]
    found = json.loads(out.splitlines()[-1])
    assert found["killed"] == 2
    assert found["pairs"] > 10
    assert found["clusters"] > 50
    assert found["equal"]
