"""What the ledger tells a monitoring system, in Prometheus' text format (exposition format 0.0.4): documents per second by stage, verdicts, open warnings.

Airflow and Spark push their own metrics; these are about the data. They are read from `runs` and `quality` anew each time, without Spark.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from crawlmill.errors import CrawlmillError
from crawlmill.lake import ledger, pins
from crawlmill.lake.ledger import RunRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
VERDICTS = ("passed", "warned", "answered", "failed", "withdrawn")
HELP = {
    "crawlmill_stage_documents": "Rows that the last judged run of a stage wrote.",
    "crawlmill_stage_rejected": "Records that it rejected.",
    "crawlmill_stage_seconds": "Seconds that it took, of all its shards together.",
    "crawlmill_stage_documents_per_second": "Rows read or written in a second of it, whichever are more.",
    "crawlmill_stage_finished_timestamp_seconds": "When it was judged, in seconds since 1970.",
    "crawlmill_stage_verdict": "1 for the verdict of that run.",
    "crawlmill_stage_failed_runs": "Runs of a stage that failed, ever.",
    "crawlmill_open_warnings": "Failed expectations that wait for a person.",
    "crawlmill_snapshots_ingested": "Snapshots that are complete.",
    "crawlmill_corpus_behind": "1 while an ingested snapshot is not in the corpus.",
}
Sample = tuple[str, dict[str, str], float]


def samples(lake: str) -> Iterator[Sample]:
    """Name, labels and value of everything that is told. A lake in which nothing has run yet has few."""
    from crawlmill.orchestrate import freshness

    runs = ledger.runs(lake)
    latest = {(run.stage, run.snapshot): run for run in runs if run.verdict != "committed"}
    for (stage, snapshot), run in sorted(latest.items()):
        yield from _of_run(run, {"stage": stage, "snapshot": snapshot.replace(pins.EVERY, "all")})
    for stage in sorted({run.stage for run in runs}):
        yield "crawlmill_stage_failed_runs", {"stage": stage}, sum(run.stage == stage and run.verdict == "failed" for run in runs)
    waiting: dict[str, int] = {}
    for row in ledger.open_warnings(lake):
        waiting[row["snapshot"]] = waiting.get(row["snapshot"], 0) + 1
    for snapshot, count in sorted(waiting.items()):
        yield "crawlmill_open_warnings", {"snapshot": snapshot.replace(pins.EVERY, "all")}, count
    yield "crawlmill_snapshots_ingested", {}, len(pins.snapshots(pins.ingested(lake)[0]))
    yield "crawlmill_corpus_behind", {}, float(bool(freshness.news(lake)))


def _of_run(run: RunRow, labels: dict[str, str]) -> Iterator[Sample]:
    read, written, rejected = (sum(count[what] for count in run.counts) for what in ("read", "written", "rejected"))
    yield "crawlmill_stage_documents", labels, written
    yield "crawlmill_stage_rejected", labels, rejected
    yield "crawlmill_stage_seconds", labels, run.seconds
    if run.seconds:
        yield "crawlmill_stage_documents_per_second", labels, max(read, written) / run.seconds
    yield "crawlmill_stage_finished_timestamp_seconds", labels, run.finished_at.timestamp()
    for verdict in VERDICTS:
        yield "crawlmill_stage_verdict", {**labels, "verdict": verdict}, float(run.verdict == verdict)


def text(found: Iterable[Sample]) -> str:
    """Samples in Prometheus' text format."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in found:
        inner = ",".join(f'{key}="{_escaped(own)}"' for key, own in sorted(labels.items()))
        by_name.setdefault(name, []).append(f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}")
    lines: list[str] = []
    for name, own in by_name.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *own]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def server(lake: str, host: str, port: int) -> ThreadingHTTPServer:
    """A server of `/metrics`; a lake that cannot be read gives 503, so that Prometheus tells of the exporter as down."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, "there is /metrics only\n")
                return
            try:
                with lock:
                    self._answer(200, text(samples(lake)))
            except (CrawlmillError, OSError) as error:
                self._answer(503, f"{error}\n")

        def _answer(self, status: int, body: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """A line a scrape tells nobody anything."""

    return ThreadingHTTPServer((host, port), Handler)
