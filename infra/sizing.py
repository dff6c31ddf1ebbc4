"""What one snapshot of Common Crawl takes on a cluster: core-hours, shuffle, storage, money, by stage.

    python infra/sizing.py measure --source DIR --snapshot ID --files 1   runs every stage, writes what a page cost into infra/measured.json
    python infra/sizing.py                                                prints the table, from that file and from the options

A page's cost is measured with the product's own settings: CPU seconds of the driver's JVM with all of its Python workers, bytes that went through an
exchange (Spark's event log), bytes of the data files. All of it is scaled by the number of pages, which dedup does not deserve: its pairs grow with the
number of copies, so its row is a lower bound.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

MEASURED = Path(__file__).with_name("measured.json")
TABLES = {
    "extract": ("documents", "rejects", "crawl_files"), "identify": ("languages",), "rewrite": ("rewrites", "rewrite_steps"), "measure": ("signals",),
    "sketch": ("signatures", "bands"), "gate": ("verdicts", "page_index"), "dedup": ("pairs", "clusters", "removals"), "publish": ("corpus",),
}  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--files", default=100_000, show_default=True, help="WARC files of a snapshot.")
@click.option("--pages", default=2.5e9, show_default=True, help="Pages of a snapshot.")
@click.option("--file-mb", default=950.0, show_default=True, help="Megabytes of a WARC file.")
@click.option("--cores", default=1_000, show_default=True, help="Cores that work at a time.")
@click.option("--core-hour", default=0.05, show_default=True, help="Price of a core for an hour.")
@click.option("--gb-month", default=0.023, show_default=True, help="Price of a gigabyte for a month.")
@click.pass_context
def main(context: click.Context, files: int, pages: float, file_mb: float, cores: int, core_hour: float, gb_month: float) -> None:
    """Print the table for a snapshot. Example: python infra/sizing.py --pages 2.5e9 --cores 2000"""
    if context.invoked_subcommand is None:
        click.echo("\n".join(table(json.loads(MEASURED.read_text()), files, pages, file_mb, cores, core_hour, gb_month)))


def table(
    measured: dict[str, Any], files: int, pages: float, file_mb: float, cores: int, core_hour: float, gb_month: float
) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    yield f"{files:,} files of {file_mb:,.0f} MB, {pages / 1e9:.2f} thousand million pages; measured on {measured['pages']:,} pages of {measured['what']}."
    yield ""
    yield f"| stage | ms CPU a page | core-hours | hours on {cores:,} cores | shuffle TB | stored TB | money for cores |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    total = [0.0] * 4
    for name, found in measured["stages"].items():
        hours, shuffle, stored = (found[what] * pages for what in ("cpu_seconds", "shuffle_bytes", "stored_bytes"))
        row = [hours / 3600, shuffle / 1e12, stored / 1e12, hours / 3600 * core_hour]
        total = [before + own for before, own in zip(total, row, strict=True)]
        yield _line(name, found["cpu_seconds"] * 1000, row, cores)
    yield _line("all", total[0] * 3.6e6 / pages, total, cores)
    yield ""
    month = total[2] * 1000 * gb_month
    yield f"Read from the source: {files * file_mb / 1e6:,.1f} TB. Storage for a month at {gb_month} a GB: {month:,.0f}. A core-hour is {core_hour}."


def _line(name: str, milliseconds: float, row: list[float], cores: int) -> str:
    hours, shuffle, stored, money = row
    return (
        f"| {name} | {milliseconds:.2f} | {hours:,.0f} | {hours / cores:,.1f} | {shuffle:,.2f} | {stored:,.2f} | {money:,.0f} |"
    )


@main.command()
@click.option("--source", required=True, help="Where crawl files are.")
@click.option("--snapshot", required=True)
@click.option("--files", default=1, show_default=True, help="Crawl files to take.")
@click.option("--what", default="a crawl", show_default=True, help="Said of the pages in the table.")
def measure(source: str, snapshot: str, files: int, what: str) -> None:
    """Run every stage on some files and write down what a page cost. Example: python infra/sizing.py measure --source crawl --snapshot CC-MAIN-2026-38"""
    with tempfile.TemporaryDirectory(prefix="crawlmill-sizing-") as scratch:
        MEASURED.write_text(json.dumps({"what": what, **measured(Path(scratch), source, snapshot, files)}, indent=1) + "\n")


def measured(folder: Path, source: str, snapshot: str, files: int) -> dict[str, Any]:
    """Costs a page, by stage, of the stages run one after the other in one session with an event log."""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    from crawlmill import ledger, pins, recipe, session, stage

    settings, events = session.settings, folder / "events"
    events.mkdir()
    logged = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(), "spark.eventLog.rolling.enabled": "false"}
    session.settings = lambda directory: {**settings(directory), **logged}
    (folder / "recipe.yaml").write_text(f"extends: default\nextract: {{files: {files}}}\n")
    job = stage.Job(lake=str(folder / "lake"), recipe=recipe.load(folder / "recipe.yaml"), source=source, snapshot=snapshot)
    spark, own = session.build("sizing"), psutil.Process()
    spent, until, pages = {}, {}, 0
    for name in TABLES:
        ledger.answer(job.lake, ledger.open_warnings(job.lake), "publish by sizing")  # one file of a crawl is odd in many ways
        declared, before = stage.load(name), _cpu(own)
        run = stage.run(declared, job if declared.per_snapshot else replace(job, snapshot=pins.EVERY), spark)
        spent[name], until[name] = _cpu(own) - before, run.finished_at.timestamp() * 1000
        pages = pages or sum(count["written"] + count["rejected"] for count in run.counts)
        click.echo(f"{name}: {spent[name]:.1f} s CPU", err=True)
    spark.stop()
    shuffled, stored = _shuffled(events, until), {name: _stored(job.lake, name) for name in TABLES}
    rows: dict[str, Any] = {"cpu_seconds": spent, "shuffle_bytes": shuffled, "stored_bytes": stored}
    return {"pages": pages, "stages": {name: {what: found[name] / pages for what, found in rows.items()} for name in TABLES}}


def _cpu(root: Any) -> float:
    """CPU seconds of a process and its descendants, of those that have ended too."""
    import psutil

    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _shuffled(events: Path, until: dict[str, float]) -> dict[str, int]:
    """Bytes written for exchanges, by the stage in whose time a task ended."""
    found = dict.fromkeys(until, 0)
    for log in events.rglob("*"):
        if not log.is_file():
            continue
        for line in log.read_text().splitlines():
            if '"SparkListenerTaskEnd"' in line:
                event = json.loads(line)
                name = next((name for name, at in until.items() if event["Task Info"]["Finish Time"] <= at), list(until)[-1])
                found[name] += event.get("Task Metrics", {}).get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return found


def _stored(lake: str, stage: str) -> int:
    from crawlmill import table_log

    return sum(table_log.size(lake, name) for name in TABLES[stage])


if __name__ == "__main__":
    os.environ.setdefault("CRAWLMILL_HOME", str(Path(__file__).resolve().parents[1]))
    main()
