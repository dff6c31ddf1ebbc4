"""What a page costs in every stage on Spark: processor time, bytes that go through an exchange, bytes stored. For `jobs/crawlmill/explain/measured.yaml`.

A first crawl file warms the session and is in the lake that dedup compares with; the second one, as the next snapshot, is measured. Processor time is of
the driver's JVM (whose executor is in it) with all of its Python workers, those that have ended too (`extract_daemon.py`); exchanges are told by Spark's
event log. Prints the section `work`.

    python tests/bench/sizing.py FIRST.warc.gz SECOND.warc.gz --what "Debian's manuals"
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import yaml
from deltalake import DeltaTable

from crawlmill import layout
from crawlmill.explain import page_cost
from crawlmill.lake import ledger, pins, table_log
from crawlmill.protocol import session, stage
from crawlmill.protocol.stage import Job
from crawlmill.recipes import recipe

SNAPSHOTS = ("CC-MAIN-2026-30", "CC-MAIN-2026-35")


def mirror(folder: Path, files: list[Path]) -> None:
    """A crawl of one file a snapshot."""
    days = zip(SNAPSHOTS, ("2026-07-18", "2026-08-22"), strict=True)
    listed = [{"id": name, "name": name, "from": f"{day}T00:00:00", "to": f"{day}T12:00:00"} for name, day in days]
    (folder / "collinfo.json").write_text(json.dumps(listed))
    for name, file in zip(SNAPSHOTS, files, strict=True):
        path = folder / f"crawl-data/{name}/segments/1785000000000.1/warc/{file.name}"
        path.parent.mkdir(parents=True)
        path.symlink_to(file.resolve())
        with gzip.open(folder / f"crawl-data/{name}/warc.paths.gz", "wt") as out:
            out.write(f"{path.relative_to(folder)}\n")


def processor(root: psutil.Process) -> float:
    """Processor seconds of a process and its descendants, of those that have ended too."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def measured(folder: Path, files: list[Path]) -> dict[str, Any]:
    """Pages, documents and bytes of the second file, and what each stage took of it."""
    settings, events = session.settings, folder / "events"
    events.mkdir()
    further = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(), "spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false",
        "spark.python.daemon.module": "extract_daemon",
    }  # fmt: skip
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    session.settings = lambda directory: {**settings(directory), **further}
    session.SMALL = 0  # queries are compiled, as on large inputs
    mirror(folder, files)
    chosen = recipe.load(layout.recipes_dir() / "default.yaml")
    job = Job(lake=str(folder / "lake"), recipe=chosen, source=str(folder))
    spark, own = session.build("sizing"), psutil.Process()
    for snapshot in SNAPSHOTS:
        before = {name: size(job.lake, name) for name in page_cost.STAGES}
        since = max((run.finished_at.timestamp() * 1000 for run in ledger.runs(job.lake)), default=0.0)
        spent, until = {}, {}
        for name in page_cost.STAGES:
            # One file of a crawl is odd in many ways.
            ledger.answer(job.lake, ledger.open_warnings(job.lake), "publish by sizing")
            declared, began = stage.load(name), processor(own)
            of = snapshot if declared.per_snapshot else pins.EVERY
            run = stage.run(declared, replace(job, snapshot=of), spark)
            spent[name], until[name] = processor(own) - began, run.finished_at.timestamp() * 1000
            if name == "extract":
                pages = sum(count["written"] + count["rejected"] for count in run.counts)
                documents = sum(count["written"] for count in run.counts)
            print(f"{snapshot} {name}: {spent[name]:.1f} s", file=sys.stderr)
    spark.stop()
    exchanged = exchanges(events, since, until)
    rows = {
        name: {"core_seconds": round(spent[name], 1), "exchanged_bytes": exchanged[name],
               "stored_bytes": size(job.lake, name) - before[name]}
        for name in page_cost.STAGES
    }  # fmt: skip
    text = sum(len(gzip.compress(text.encode(), 6)) for text in texts(job.lake, SNAPSHOTS[-1]))
    return {"pages": pages, "documents": documents, "bytes": files[1].stat().st_size, "text_bytes": text, "stages": rows}


def texts(lake: str, snapshot: str) -> Iterator[str]:
    """The texts of a snapshot's documents."""
    dataset = DeltaTable(f"{lake}/documents").to_pyarrow_dataset(partitions=[("snapshot", "=", snapshot)])
    for batch in dataset.to_batches(columns=["text"]):
        yield from batch.column("text").to_pylist()


def exchanges(events: Path, since: float, until: dict[str, float]) -> dict[str, int]:
    """Bytes written for exchanges, by the stage in whose time a task ended."""
    found = dict.fromkeys(until, 0)
    for log in (path for path in events.rglob("*") if path.is_file() and not path.name.startswith(".")):
        for line in log.read_text().splitlines():
            if '"SparkListenerTaskEnd"' in line:
                event = json.loads(line)
                at = event["Task Info"]["Finish Time"]
                name = next((name for name, end in until.items() if since < at <= end), None)
                if name:
                    found[name] += event.get("Task Metrics", {}).get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return found


def size(lake: str, name: str) -> int:
    """Bytes of the tables that a stage writes."""
    tables = [table for table, by in pins.WRITTEN_BY.items() if by == name]
    return sum(table_log.size(lake, table) for table in tables if DeltaTable.is_deltatable(f"{lake}/{table}"))


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", type=Path, nargs=2)
    arguments.add_argument("--what", default="a crawl", help="said of the pages in the table")
    arguments.add_argument("--machine", default="On this machine", help="said of where it was measured")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="crawlmill-sizing-") as folder:
        told = {"what": given.what, "machine": given.machine, "source": "tests/bench/sizing.py"}
        found = {**told, **measured(Path(folder), given.files)}
    print(yaml.safe_dump({"work": found}, sort_keys=False, default_flow_style=None, width=160))


if __name__ == "__main__":
    main()
