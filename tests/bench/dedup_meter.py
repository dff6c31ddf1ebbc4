"""CPU seconds and memory of trees of processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Any


class Meter:
    """CPU seconds of a tree of processes, and the most memory that it held at once.

    A process is looked at every second, and what it had spent by then counts when it is gone: idle Python workers of Spark end, and no
    parent that lives on waits for them. What the looking itself takes (the kernel walks all pages of a JVM to tell its memory) is left out.
    """

    def __init__(self, pid: int | None = None):
        import psutil

        self.root, self.peak, self.done = psutil.Process(pid), 0, threading.Event()
        self.spent: dict[tuple[int, float], float] = {}
        self.own = 0.0
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
            self.cpu()
            total = 0
            for process in self._tree():
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self.peak = max(self.peak, total)
            self.own = time.thread_time() if self.root.pid == os.getpid() else 0.0

    def cpu(self) -> float:
        """CPU seconds so far, those of processes that have ended included."""
        import psutil

        for process in self._tree():
            try:
                found = process.cpu_times()
                self.spent[process.pid, process.create_time()] = found.user + found.system
            except psutil.NoSuchProcess:
                continue
        return sum(list(self.spent.values())) - self.own


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
