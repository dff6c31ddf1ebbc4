"""
# Ingest one snapshot

One run takes one Common Crawl snapshot from its crawl files to a verdict on every document. The **partition key** of a run is the snapshot's
id, like `CC-MAIN-2026-43`; runs of different snapshots are independent, run side by side and in any order.

| stage | reads | writes |
|---|---|---|
| extract | crawl files of the source | documents, rejects, crawl_files |
| identify | documents | languages |
| rewrite | documents, languages | rewrites, rewrite_steps |
| measure | the documents' final text | signals |
| sketch | the documents' final text | signatures, bands |
| gate | languages, signals | verdicts: eligible or not, with every failed rule; page_index |
| recycle | what gate dropped for quality alone | recycled, and derived documents in all of these tables; only where the recipe has hooks for it |

In each stage `submit` is the Spark job and `check` reads its verdict in the ledger. A stage that has already passed on the same inputs, recipe and
code is skipped in seconds, so any run, task or backfill may be repeated. Wrong input and broken contracts fail at once, with one sentence at the
end of the log; anything else is retried with back-off.

**One snapshot:** Trigger, and give the id as *Partition Key*. **Many:** start a backfill; every snapshot whose crawl began in the range of
days becomes a run. **Each new one by itself:** set `CRAWLMILL_SCHEDULED_FROM` to the first snapshot that you want.
Eligible documents are published by `publish_corpus`, which starts by itself when ingestion is done.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import dag

from crawlmill.orchestrate import alerts
from crawlmill.orchestrate.calendar import CrawlCalendar
from crawlmill.orchestrate.stages import DEFAULTS, SNAPSHOT_PARAM, WHERE, extract_group, recycles, stage_group


@dag(
    dag_display_name="Ingest a snapshot",
    description="One Common Crawl snapshot, from its crawl files to a verdict on every document",
    doc_md=__doc__,
    schedule=CrawlCalendar(),
    start_date=datetime(2008, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=4,
    max_active_tasks=16,
    dagrun_timeout=timedelta(days=14),
    deadline=alerts.deadline("ingest_snapshot"),
    default_args=DEFAULTS,
    params={"snapshot": SNAPSHOT_PARAM, **WHERE},
    tags=["ingest", "per snapshot"],
)
def ingest_snapshot() -> None:
    extract = extract_group("crawl files become documents and rejects")
    identify = stage_group("identify", "language and script of each document")
    rewrite = stage_group("rewrite", "hooks repair and mask the text")
    measure = stage_group("measure", "quality signals of the final text")
    sketch = stage_group("sketch", "content hashes and MinHash bands of the final text")
    gate = stage_group("gate", "eligible or not, with every failed rule")

    # gate needs no sketch, but its event says that the snapshot is complete.
    extract >> identify >> rewrite >> [measure, sketch] >> gate
    if recycles():
        gate >> stage_group("recycle", "dropped pages are rewritten, and judged as any document")


ingest_snapshot()
