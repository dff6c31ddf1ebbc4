"""What ingesting a snapshot will take, before anything is fetched: bandwidth, core-hours, disk, money. From measured figures, without Spark.

Measured where there is something to measure: the crawl files of the snapshot are counted in the source's listing; bytes and pages a file, processor time
and stored bytes a page come from what this lake has ingested, else from `measured.yaml` (`page_cost`), whose figures say where they come from. Prices are
the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crawlmill.explain import page_cost
from crawlmill.lake import ledger, pins, table, table_log
from crawlmill.protocol import crawl, stage
from crawlmill.recipes.recipe import Recipe
from crawlmill.text_table import number, size

HOUR = 3600.0
LEAST = 10_000  # documents from which on a lake's own runs are a measure: below, starting Spark is most of their time


@dataclass(frozen=True)
class Prices:
    """What things cost, in one currency: a core for an hour, a GB (10^9 bytes) stored for a month, a GB fetched."""

    core_hour: float = 0.0
    gb_month: float = 0.0
    gb_fetched: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What was measured, and where.

    Attributes:
        file_bytes: of a crawl file.
        records: pages of a crawl file.
        documents: share of pages that become documents.
        core_seconds: by stage: for extract of a page, for the others of a document.
        stored: bytes of all tables, a document.
        sources: of these, in this order of kinds: crawl, time, disk.
    """

    file_bytes: float
    records: float
    documents: float
    core_seconds: Mapping[str, float]
    stored: float
    sources: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """An estimate: crawl files, bytes fetched, pages, documents, core-hours by stage, bytes stored, money (0 where nothing has a price)."""

    files: int
    fetched: float
    pages: float
    documents: float
    core_hours: Mapping[str, float]
    stored: float
    money: float
    month: float

    @property
    def total_hours(self) -> float:
        """Core-hours of all stages."""
        return sum(self.core_hours.values())


def of(lake: str, source: str, snapshot: str, recipe: Recipe, prices: Prices, cores: int) -> tuple[Cost, Measured]:
    """The estimate and what it rests on. Raises UserError: unknown snapshot, unreachable source.

    Args:
        lake: whose runs are the measure; need not exist.
        source: of the crawl.
        snapshot: to be ingested.
        recipe: selects crawl files.
        prices: of the caller.
        cores: that stages of this lake had, since the ledger has seconds by the clock.
    """
    files = len(crawl.listing(source, snapshot, recipe).files(None))
    seen = measured(lake, recipe.extract.kind, cores)
    pages = files * seen.records
    documents = pages * seen.documents
    hours = {name: seconds * (pages if name == "extract" else documents) / HOUR for name, seconds in seen.core_seconds.items()}
    fetched, stored = files * seen.file_bytes, documents * seen.stored
    money = sum(hours.values()) * prices.core_hour + fetched / 1e9 * prices.gb_fetched
    return Cost(files, fetched, pages, documents, hours, stored, money, stored / 1e9 * prices.gb_month), seen


def measured(lake: str, kind: str, cores: int) -> Measured:
    """The lake's own figures where it has some, else those that ship."""
    own = list(_own(lake, cores))
    return own[-1] if own else _shipped(kind)


def _shipped(kind: str) -> Measured:
    found = page_cost.figures()
    crawled, work, costs = found["crawl"][kind], found["work"], page_cost.by_stage(kind, found)
    documents = work["documents"] / work["pages"]
    told = f"{work['source']} on {number(work['pages'])} pages of {work['what']}, scaled to the size of Common Crawl's"
    return Measured(
        file_bytes=crawled["file_bytes"], records=crawled["records"], documents=documents,
        core_seconds={name: cost.core_seconds for name, cost in costs.items()},
        stored=sum(cost.stored / (documents if name == "extract" else 1.0) for name, cost in costs.items()),
        sources={"crawl": crawled["source"], "time": told, "disk": told},
    )  # fmt: skip


def _own(lake: str, cores: int) -> Iterator[Measured]:
    """What the lake's released runs took; nothing where no snapshot went all the way, or too little to tell."""
    from deltalake import DeltaTable

    runs = [run for run in ledger.runs(lake) if run.verdict in ledger.RELEASED and run.seconds > 0 and run.counts]
    read = {name: sum(count["read"] for run in runs if run.stage == name for count in run.counts) for name in stage.NAMES}
    written = sum(count["written"] for run in runs if run.stage == "extract" for count in run.counts)
    if written < LEAST or not (read["gate"] and read["publish"]):
        return
    seconds = {
        name: cores * sum(run.seconds for run in runs if run.stage == name) / read[name] for name in stage.NAMES if read[name]
    }
    files = DeltaTable(table.path(lake, "crawl_files")).to_pyarrow_table(columns=["bytes", "responses", "state"]).to_pylist()
    done = [row for row in files if row["state"] != "failed"]
    documents = sum(count["written"] for run in ledger.released_snapshots(lake, "extract").values() for count in run.counts)
    tables = {*pins.WRITTEN_BY, "links"} - {"external_scores"}
    stored = sum(table_log.size(lake, name) for name in tables if DeltaTable.is_deltatable(table.path(lake, name)))
    said = f"this lake: {number(written)} documents of {len({run.snapshot for run in runs} - {pins.EVERY})} snapshots"
    if done and documents:
        yield Measured(
            file_bytes=sum(row["bytes"] for row in done) / len(done), records=read["extract"] / len(files), documents=written / read["extract"],
            core_seconds=seconds, stored=stored / documents,
            sources={"crawl": said, "time": f"{said}, on {cores} cores by the clock, starting included", "disk": said},
        )  # fmt: skip


def lines(cost: Cost, seen: Measured, prices: Prices, cores: int) -> list[str]:
    """The estimate as text, a fact a line."""
    slowest = sorted(cost.core_hours.items(), key=lambda entry: -entry[1])
    found = [
        f"crawl files       {number(cost.files)}",
        f"bandwidth         {size(cost.fetched)}  ({seen.sources['crawl']})",
        f"pages, documents  {number(cost.pages)}, {number(cost.documents)}",
        f"core-hours        {cost.total_hours:,.1f}  ({seen.sources['time']})",
        f"  of these        {', '.join(f'{name} {hours:,.1f}' for name, hours in slowest)}",
        f"  on {cores} cores".ljust(18) + f"{cost.total_hours / cores:,.1f} hours",
        f"disk              {size(cost.stored)}  ({seen.sources['disk']})",
    ]
    if prices.core_hour or prices.gb_fetched:
        found.append(f"money             {cost.money:,.2f}")
    if prices.gb_month:
        found.append(f"storage a month   {cost.month:,.2f}")
    return found
