"""`crawlmill up` and `crawlmill down`: Airflow on this machine, each component a process of its own.

`airflow standalone` is not used: it leaves its children behind when it is told to end, and never starts a dead component again.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from crawlmill import layout
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.orchestrate import crawls, processes
from crawlmill.orchestrate import instance as instances
from crawlmill.orchestrate.crawls import FURTHER
from crawlmill.orchestrate.instance import Instance
from crawlmill.orchestrate.rest import Airflow

Say = Callable[[str], None]
aloud: Say = partial(print, flush=True)  # a file or a pipe, too, shows each line when it is said
# The log servers are for workers on other machines; here the API server reads the files.
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
HEALTH = ("metadatabase", "scheduler", "dag_processor", "triggerer")
DAGS = {"build_release", "ingest_snapshot", "maintain_tables", "publish_corpus", "takedown", "watch_crawls"}
START_LIMIT = 240.0  # seconds; 20 on an idle machine of two cores, four times that on a busy one


def state_dir() -> Path:
    """Where everything that runs on this machine keeps its state."""
    return layout.home() / ".crawlmill"


def homes(state: Path | None = None) -> dict[str, Path]:
    """The folders in which an Airflow of ours may run: the standing one and the demo's."""
    root = state or state_dir()
    return {"up": root / "airflow", "demo": root / "demo" / "airflow"}


def up(port: int = 8080, state: Path | None = None, say: Say = aloud) -> Instance:
    """Start Airflow and wait until it is ready; where it already runs, say so. Returns the instance.

    Args:
        port: of the UI.
        state: folder of everything it keeps; `.crawlmill` by default.
        say: told where it is.

    Raises:
        UserError: the port is taken, or the installation is not complete.
        CrawlmillError: a component ended, or did not become ready in time.
    """
    with _alone(homes(state)["up"], say):
        if found := standing(state):
            say(f"Airflow is already up: {found.url} (tables in {found.lake})")
            return found
        ready = start(Instance(homes(state)["up"], port, layout.lake_root(), layout.source_root(), _calendar()))
    say(f"Airflow is up: {ready.url} (no password; tables in {ready.lake}; stop it with `crawlmill down`)")
    return ready


@contextmanager
def _alone(home: Path, say: Say) -> Iterator[None]:
    """Hold the right to start an Airflow in a folder: a start first stops what is left there, which may be what another `up` is starting."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "start.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another `crawlmill up` is starting Airflow here: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def standing(state: Path | None = None) -> Instance | None:
    """The instance whose components all run, if there is one."""
    for home in homes(state).values():
        found = instances.load(home)
        if found and set(COMPONENTS) <= set(processes.running(found.processes)):
            return found
    return None


def start(instance: Instance) -> Instance:
    """Start the components of an instance and wait until all are healthy and both DAGs are there."""
    instances.require_plugin()
    processes.stop(instance.processes)  # what is left of an instance of which some component died
    instances.require_free(instance.port)
    env = instances.environment(instance)
    instance.save()
    airflow = str(Path(sys.executable).parent / "airflow")
    migrated = subprocess.run([airflow, "db", "migrate"], env=env, capture_output=True, text=True, check=False)
    if migrated.returncode:
        raise CrawlmillError(f"Airflow's database could not be prepared: {migrated.stderr.strip()[-2000:]}")
    for name, arguments in COMPONENTS.items():
        processes.start(name, [airflow, *arguments], instance.processes, env)
    try:
        _wait_ready(instance)
        client = Airflow(instance.url)
        for name, pool in json.loads((layout.home() / "infra" / "airflow" / "pools.json").read_text()).items():
            client.set_pool(name, pool)
    except BaseException:
        processes.stop(instance.processes)
        raise
    return instance


def _wait_ready(instance: Instance) -> None:
    client = Airflow(instance.url)
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if dead := set(COMPONENTS) - set(processes.running(instance.processes)):
            name = sorted(dead)[0]
            log = instance.processes / f"{name}.log"
            raise CrawlmillError(f"Airflow's {name} ended at its start; the end of {log}:\n{processes.tail(log)}")
        if client.healthy(*HEALTH):
            if errors := client.import_errors():
                raise CrawlmillError(f"a DAG file cannot be imported: {errors[0]}")
            if client.dags() >= DAGS:
                return
        time.sleep(0.5)
    raise CrawlmillError(f"Airflow was not ready after {START_LIMIT:.0f} s; see the logs in {instance.processes}")


def down(state: Path | None = None, say: Say = aloud) -> bool:
    """Stop what `up` and `demo` started, by process id; says so where nothing runs. Returns whether something was stopped."""
    stopped = []
    for home in homes(state).values():
        stopped += processes.stop(home / "run") + processes.stop(home.parent / "run")
    say(f"stopped {', '.join(stopped)}" if stopped else "nothing to stop: Airflow is not up")
    return bool(stopped)


def backfill(
    first: date, last: date, active: int = 2, reprocess: str = "none", state: Path | None = None, say: Say = aloud,
    backwards: bool = False,
) -> list[str]:  # fmt: skip
    """Ingest every snapshot whose crawl began in a range of days, by a backfill of the Airflow that is up. Returns their ids.

    Args:
        first: day of the range, and
        last: day of it, both included.
        active: snapshots at a time.
        reprocess: what becomes of a snapshot that has a run: `none` (left out), `failed` (runs again if that failed), `completed` (runs again).
        state: folder of everything it keeps; `.crawlmill` by default.
        say: told what was started and where to watch it.
        backwards: the newest snapshot first.

    Raises:
        UserError: no Airflow is up, it refuses, or no snapshot began in the range.
    """
    found = standing(state)
    if found is None:
        raise UserError("no Airflow is up: start one with `crawlmill up`, or ask with --dry-run which snapshots there are")
    chosen = list(crawls.between(first, last, crawls.known(found.calendar, crawls.found_list(found.lake))))
    number = Airflow(found.url).backfill("ingest_snapshot", first.isoformat(), last.isoformat(), active, reprocess, backwards)
    say(
        f"backfill {number} of {len(chosen)} snapshots, {chosen[0]} to {chosen[-1]}: watch it at {found.url}/dags/ingest_snapshot"
    )
    return chosen


def _calendar() -> str:
    path = os.environ.get(FURTHER, "")
    if path and not Path(path).is_file():
        raise UserError(f"{FURTHER} names {path}, which is not a file")
    return path
