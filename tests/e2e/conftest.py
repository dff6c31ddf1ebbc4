"""Fixtures: the machine's Chromium, and a demo that has run through the real Airflow, once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEMO = """
import pathlib, sys
from crawlmill.orchestrate.demo import demo
sys.exit(demo(int(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])))
"""
OLD, NEW = "CC-MAIN-2026-38", "CC-MAIN-2026-43"


@pytest.fixture(scope="module")  # while it is open, playwright's event loop runs in this thread, and asyncio.run refuses
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: the extra `dev` has it")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        yield found
        found.close()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session", params=[[NEW], pytest.param([OLD, NEW], marks=pytest.mark.full)], ids=" ".join)
def snapshots(request: pytest.FixtureRequest) -> list[str]:
    """What the demo ingests; the whole of it takes minutes more."""
    return list(request.param)


@pytest.fixture(scope="session")
def state(snapshots: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a demo that has run; nothing of it runs any more."""
    folder = tmp_path_factory.mktemp("demo")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "CRAWLMILL"))}
    done = subprocess.run(
        [sys.executable, "-c", DEMO, str(free_port()), str(folder), str(len(snapshots))],
        capture_output=True, text=True, env=env, timeout=1800,
    )  # fmt: skip
    print(done.stdout[-8000:], done.stderr[-4000:])
    assert done.returncode == 0, done.stdout[-4000:]
    return folder / "demo"
