"""`crawlmill demo`: the sample crawl through the real Airflow, by a native backfill, from crawl files to the published corpus."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

from crawlmill.errors import CrawlmillError, UserError
from crawlmill.explain import funnel
from crawlmill.lake import ledger, pins
from crawlmill.orchestrate import crawls, freshness, processes, service
from crawlmill.orchestrate.instance import Instance, environment, require_free
from crawlmill.orchestrate.progress import Progress
from crawlmill.orchestrate.rest import Airflow
from crawlmill.orchestrate.service import Say, aloud

INGEST, PUBLISH = "ingest_snapshot", "publish_corpus"
LIMIT = 3600.0  # seconds for ingestion and publication together; minutes are usual


def demo(port: int = 8080, state: Path | None = None, snapshots: int = 2, say: Say = aloud) -> int:
    """Run the demo in a fresh lake. Returns the exit code: 0 when the newest `snapshots` are in the corpus, 1 when a task failed.

    Airflow stays up when standard output is a terminal, else everything that was started is stopped.

    Raises:
        UserError: the port is taken, or the installation is not complete.
    """
    root = (state or service.state_dir()) / "demo"
    _stop(root)  # an earlier demo
    if (found := service.standing(state)) and found.port == port:
        raise UserError(
            f"port {port} is taken by the Airflow that `crawlmill up` started: stop it with `crawlmill down`, or choose another port"
        )
    require_free(port)
    shutil.rmtree(root, ignore_errors=True)
    instance, code = Instance(root / "airflow", port, str(root / "lake"), ""), 0
    try:
        _run(root, instance, snapshots, say)
    except CrawlmillError as error:
        say(f"\n{error}")
        code = error.exit_code
    finally:
        stay = sys.stdout.isatty() and set(service.COMPONENTS) <= set(processes.running(instance.processes))
        if not stay:
            _stop(root)
    if stay:
        say(f"Airflow stays up at {instance.url} (no password); stop it with `crawlmill down`")
    return code


def _run(root: Path, instance: Instance, snapshots: int, say: Say) -> None:
    clock = _Clock(say)
    mirror = _sample(root / "sample", snapshots)
    instance = _serve(mirror, replace(instance, calendar=str(mirror / "collinfo.json")))
    clock.lap("sample crawl written and served at " + instance.source)
    service.start(instance)
    clock.lap("Airflow up at " + instance.url)
    client, days = Airflow(instance.url), sorted(crawls.read_collinfo(mirror / "collinfo.json").values())[-snapshots:]
    client.backfill(INGEST, days[0].isoformat(), days[-1].isoformat(), active=2)
    progress = Progress(client, instance.lake, say)
    progress.watch(INGEST, len(days), LIMIT)
    clock.lap(f"{len(days)} snapshot{'s' * (len(days) > 1)} ingested by a backfill of {INGEST}")
    progress.watch(PUBLISH, 1, LIMIT)
    if missing := freshness.news(instance.lake):
        raise CrawlmillError(f"{PUBLISH} ended, but {missing}")
    clock.lap("corpus published")
    published = ledger.released(instance.lake, "publish", pins.EVERY)
    funnel.print_funnel(instance.lake)
    say(
        f"\ncorpus: version {published.output('corpus') if published else '?'}; tables in {instance.lake}; logs in {instance.home / 'logs'}"
    )
    clock.report()


def _stop(root: Path) -> None:
    processes.stop(root / "airflow" / "run")
    processes.stop(root / "run")


def _sample(folder: Path, snapshots: int) -> Path:
    from crawlmill import sample_crawl

    sample_crawl.write(folder, earlier=max(0, snapshots - 2))
    return folder


def _serve(mirror: Path, instance: Instance) -> Instance:
    """Serve the mirror over HTTP on a free port of loopback, in a process that lives as long as Airflow."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = (
        "import sys, pathlib; from crawlmill.sample_crawl.server import serve; serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
    )
    served = replace(instance, source=f"http://127.0.0.1:{port}/")
    processes.start(
        "sample-crawl", [sys.executable, "-c", code, str(mirror), str(port)], mirror.parent / "run", environment(served)
    )
    return served


class _Clock:
    """Seconds of each part, said as they pass and again at the end."""

    def __init__(self, say: Say) -> None:
        self.say, self.last = say, time.monotonic()
        self.laps: list[tuple[str, float]] = []

    def lap(self, what: str) -> None:
        now = time.monotonic()
        self.laps.append((what, now - self.last))
        self.say(f"[{now - self.last:4.0f} s] {what}")
        self.last = now

    def report(self) -> None:
        parts = [*self.laps, ("in all", sum(seconds for _, seconds in self.laps))]
        for what, seconds in parts:
            self.say(f"{seconds:6.0f} s  {what}")
