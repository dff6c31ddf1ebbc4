"""CPU seconds and memory of trees of processes."""

from __future__ import annotations

import subprocess
import threading
from typing import Any


class Meter:
    """CPU seconds of a tree of processes, and the most memory that it held at once."""

    def __init__(self, pid: int | None = None):
        import psutil

        self.root, self.peak, self.done = psutil.Process(pid), 0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _tree(self) -> list[Any]:
        import psutil

        try:
            return [self.root, *self.root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _watch(self) -> None:
        import psutil

        while not self.done.wait(1.0):
            total = 0
            for process in self._tree():
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak = max(self.peak, total)

    def cpu(self) -> float:
        """CPU seconds so far, those of children that have ended included."""
        import psutil

        total = 0.0
        for process in self._tree():
            try:
                found = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += found.user + found.system + found.children_user + found.children_system
        return total


def metered(command: list[str]) -> tuple[float, int]:
    """CPU seconds and peak memory of a command. Raises CalledProcessError where it fails."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        meter = Meter(process.pid)
        _, err = process.communicate()
    meter.done.set()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}: {err[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, meter.peak
