"""How large a cluster for a snapshot has to be: the page `infra/SIZING.md`, by the same figures as `crawlmill estimate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crawlmill.contracts import contract
from crawlmill.explain import page_cost

CORES = 1_000
SHARDS = 1_000  # the most that a snapshot has
CORE_HOUR, GB_MONTH = 0.05, 0.023  # what the money is computed with: an hour of a rented core, a month of a GB in a bucket
HEAD = f"| stage | ms a page | core-hours | hours on {CORES:,} cores | exchanged, TB | stored, TB | cores' money |"


def page(found: dict[str, Any] | None = None) -> str:
    """The page's Markdown.

    Args:
        found: the content of `measured.yaml`; read from it by default.
    """
    found = found or page_cost.figures()
    crawl, work = found["crawl"]["warc"], found["work"]
    pages = crawl["files"] * crawl["records"]
    documents = pages * work["documents"] / work["pages"]
    rows, total = [], [0.0] * 3
    for name, cost in page_cost.by_stage("warc", found).items():
        times = pages if name == "extract" else documents
        row = [cost.core_seconds * times / 3600, cost.exchanged * times / 1e12, cost.stored * times / 1e12]
        total = [before + now for before, now in zip(total, row, strict=True)]
        rows.append(_line(name, row, pages))
    told = (
        f"What one snapshot takes: {crawl['files']:,} WARC files, {crawl['files'] * crawl['file_bytes'] / 1e12:,.0f} TB compressed, "
        f"{pages / 1e9:.2f} thousand million pages of {crawl['file_bytes'] / crawl['records'] / 1000:.1f} kB\n({crawl['source']}). "
        "For another one: `crawlmill estimate SNAPSHOT`, by the same figures, or by those of your own lake once it has some."
    )
    table = [HEAD, "|---" + "|---:" * 6 + "|", *rows, _line("all", total, pages)]
    return "\n".join(["# Sizing", "", told, "", *table, "", *_notes(found, total)]) + "\n"


def _line(name: str, row: list[float], pages: float) -> str:
    hours, exchanged, stored = row
    return (
        f"| {name} | {hours * 3.6e6 / pages:.2f} | {hours:,.0f} | {hours / CORES:,.1f} | {exchanged:,.2f} | {stored:,.2f} "
        f"| {hours * CORE_HOUR:,.0f} |"
    )


def _notes(found: dict[str, Any], total: list[float]) -> Iterator[str]:
    work = found["work"]
    wider, longer = page_cost.wider_longer("warc", found)
    tables = [name for name in contract.all_tables() if "shard" in contract.load(name).partition_columns]
    yield (
        f"* Measured by `{work['source']}`: {work['pages']:,} pages of {work['what']}, {work['bytes'] / work['pages'] / 1000:.1f} kB each "
        f"compressed and {work['text_bytes'] / work['documents'] / 1000:.1f} kB of it text. {work['machine']}."
    )
    yield (
        f"* Scaled: extract by the bytes of a page (times {wider:.1f}), what works on texts or stores them by the bytes of a text "
        f"(times {longer:.1f}), the rest by the number of documents."
    )
    yield (
        f"* Money: {CORE_HOUR} for a core and hour, in any currency. Stored, at {GB_MONTH} for a GB and month, {total[2] * 1000 * GB_MONTH:,.0f} a month; "
        "older versions of tables come on top until `maintain_tables` takes them."
    )
    yield (
        f"* Files: at most {SHARDS:,} shards, and {len(tables)} tables that are partitioned by shard: some {SHARDS * len(tables):,} files of a snapshot. "
        "Crawl files go through a worker's disk one at a time."
    )
    yield (
        "* dedup is a lower bound: its pairs grow with the number of copies among snapshots, here one older one. "
        "Hooks that ask a model, scorers and reference sets are not in it."
    )
