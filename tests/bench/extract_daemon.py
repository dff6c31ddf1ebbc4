"""PySpark's worker daemon for the benchmark `extract.py`: workers that end are kept for whoever counts their CPU time.

PySpark's own ignores SIGCHLD, and then the kernel forgets what a worker used that ended while the daemon lives, as idle ones do after a minute.
Here they stay until the daemon has gone; the benchmark, a subreaper, then waits for them.
"""

from __future__ import annotations

import signal
from typing import Any

from pyspark import daemon

_signal = signal.signal


def _kept(number: int, handler: Any) -> Any:
    return _signal(number, signal.SIG_DFL if number == signal.SIGCHLD else handler)


if __name__ == "__main__":
    signal.signal = _kept  # type: ignore[assignment]
    daemon.manager()
