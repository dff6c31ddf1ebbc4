"""`crawlmill run` and `crawlmill plan`: the whole path in one process, and what of it would run again and why."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from crawlmill.errors import CrawlmillError
from crawlmill.lake import intact, ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import stage
from crawlmill.protocol.stage import Job


@dataclass(frozen=True)
class Step:
    """A line of the plan: a stage, whether it would run, and why."""

    stage: str
    runs: bool
    why: str


def plan(job: Job) -> Iterator[Step]:
    """What `run` would do for a snapshot: a stage runs when its own key changed or when something before it runs."""
    stage.resolve(stage.load("extract"), job)  # a wrong id or an unreachable source is an error, not a reason to run
    upstream: dict[str, str] = {}
    running: set[str] = set()
    for name in stage.NAMES:
        if not stage.wanted(name, job.recipe):
            yield Step(name, False, f"the recipe asks for no {name}")
            continue
        declared = stage.load(name)
        needs = {pins.WRITTEN_BY[read] for read in declared.reads} if declared.per_snapshot else {"gate", "sketch", "recycle"}
        needs = needs if name != "publish" else {"dedup"}
        own = job if declared.per_snapshot else replace(job, snapshot=pins.EVERY)
        before = ledger.released(job.lake, name, own.snapshot)
        last = ledger.verdict(job.lake, name, own.snapshot)
        if job.force:
            why = "asked for by --force"
        elif again := sorted(needs & running, key=stage.NAMES.index):
            why = f"{again[0]} runs before it"
        elif before is None or last is None or last.verdict not in ledger.RELEASED:
            why = f"its last run failed: {last.message}" if last else "never ran"
        else:
            why = _difference(declared, own, before, upstream)
        if why:
            running.add(name)
        elif before:
            upstream[name] = before.stage_key
        yield Step(name, bool(why), why or f"up to date since run {before.run_id if before else ''}")


def _difference(declared: stage.Stage, job: Job, before: RunRow, upstream: dict[str, str]) -> str:
    """Why the stage's present key differs from that of its last run; empty where it does not."""
    try:
        found, now, _ = stage.resolve(declared, job)
    except CrawlmillError as error:
        return str(error)
    if now != before.stage_key:
        reads = {pins.WRITTEN_BY[read] for read in declared.reads}
        changed = (
            "what it reads" if reads - upstream.keys() else f"recipe ({', '.join(declared.recipe)}), transform version or listing"
        )
        return f"its key changed: {changed}"
    if failed := before.digests.get(stage.INCOMPLETE):
        return f"{stage.INCOMPLETE} the last time: {failed}"
    if before.inputs != pins.rows(found):
        return "the versions that it reads changed"
    return next((f"table {damage.table}: {damage.what}" for damage in intact.of_run(job.lake, before)), "")


def run(job: Job, say: Any = print) -> list[RunRow]:
    """Every stage on one snapshot, then dedup and publish over all, in one Spark session with a progress bar.

    Raises what the stages raise; whatever passed before stays.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from crawlmill.protocol import crawl
    from crawlmill.protocol.session import build

    names = [name for name in stage.NAMES if stage.wanted(name, job.recipe)]
    for name in names:
        if preflight := stage.load(name).preflight:
            preflight(job.recipe)
    crawl.listing(job.source, job.snapshot, job.recipe)  # a wrong id, source or lake is told before Spark takes its seconds
    table.create_all(job.lake)
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    rows: list[RunRow] = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("starting Spark", total=len(names))
        spark = build(f"crawlmill run {job.snapshot}", job.lake)
        try:
            for name in names:
                declared = stage.load(name)
                own = replace(job, snapshot=job.snapshot if declared.per_snapshot else pins.EVERY, run_id=f"{job.run_id}-{name}")
                progress.update(bar, description=f"{name} {own.snapshot}".replace("*", "all snapshots"))
                row = stage.run(declared, own, spark)
                rows.append(row)
                progress.advance(bar)
                if row.message:
                    progress.console.print(f"{name}: {row.verdict}: {row.message}", highlight=False)
        except KeyboardInterrupt:
            spark.sparkContext.setLogLevel("OFF")  # what the cancelled jobs would say is no news
            raise
        finally:
            spark.stop()
    return rows


def new_run_id() -> str:
    """A name for a run by hand."""
    return f"run-{uuid.uuid4().hex[:12]}"
