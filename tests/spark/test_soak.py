"""Twenty snapshots through one process: what it holds does not grow with what it has done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import soak

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_what_a_process_holds_does_not_grow_with_snapshots(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as errors:
        command = [sys.executable, "-m", "tests.fixtures.soak", str(tmp_path / "soak")]
        program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        try:
            out, _ = program.communicate(timeout=3_000)
        finally:  # the JVM is of its group
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    assert program.returncode == 0, log.read_text()[-4_000:]
    rows = [json.loads(line) for line in out.splitlines()]
    print("\n" + soak.table([{name: row[name] for name in soak.FACTORS} for row in rows]))
    assert len(rows) == 20 and soak.grown(rows) == {}


@pytest.mark.parametrize("name", soak.FACTORS)
def test_growth_is_seen(name: str) -> None:
    """What the judge says of curves that are made up."""
    flat = [dict.fromkeys(soak.FACTORS, 100.0) for _ in range(20)]
    assert soak.grown(flat) == {}
    warm = [{**row, name: min(100.0, 20.0 * (number + 1))} for number, row in enumerate(flat)]
    assert soak.grown(warm) == {}, "caches that fill at the beginning"
    saw = [{**row, name: 100.0 + number % 5} for number, row in enumerate(flat)]
    assert soak.grown(saw) == {}
    for step in (0.5, 8.0):
        leak = [{**row, name: 100.0 + step * number} for number, row in enumerate(flat)]
        assert soak.grown(leak).keys() == {name}, step
