"""Named places where a test may make a process die or fail: CRAWLMILL_FAILPOINT=stage:place[=kill|fail]."""

from __future__ import annotations

import os
import signal


def hit(name: str) -> None:
    """Die by SIGKILL or raise if CRAWLMILL_FAILPOINT names this place; do nothing otherwise."""
    wanted, _, action = os.environ.get("CRAWLMILL_FAILPOINT", "").partition("=")
    if wanted != name:
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError(f"failpoint {name}")
