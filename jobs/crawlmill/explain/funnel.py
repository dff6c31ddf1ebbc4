"""The funnel: how many pages went into each stage and how many came out, by snapshot and language. Read without Spark."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from crawlmill.explain import recycle_report
from crawlmill.explain.recycle_report import Recycled
from crawlmill.lake import ledger, pins
from crawlmill.lake.snapshot import MAX_SHARDS


@dataclass(frozen=True)
class Line:
    """A language's row of the funnel; counts of documents."""

    language: str
    documents: int
    eligible: int
    kept: int


@dataclass(frozen=True)
class Funnel:
    """A snapshot's funnel: records of the crawl, rejects by reason, then languages by size.

    `published`: whether the corpus rests on these verdicts, so that `kept` says something about them.
    """

    snapshot: str
    files: int
    responses: int
    documents: int
    rejects: dict[str, int]
    lines: list[Line]
    published: bool
    recycled: Recycled | None = None


def _counts(lake: str, name: str, at: int, snapshot: str, columns: list[str]) -> Counter[tuple[Any, ...]]:
    """Rows of a snapshot's captured pages at a version, counted by the values of some columns."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    rows = (
        DeltaTable(f"{lake}/{name}", version=at)
        .to_pyarrow_dataset()
        .to_table(columns=columns, filter=(ds.field("snapshot") == snapshot) & (ds.field("shard") < MAX_SHARDS))
    )
    grouped = rows.group_by(columns).aggregate([([], "count_all")]).to_pylist()
    return Counter({tuple(row[column] for column in columns): row["count_all"] for row in grouped})


def of(lake: str, snapshot: str) -> Funnel | None:
    """The funnel of a snapshot that has passed extract, as far as it has come in one piece; None where it has not."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    at = pins.newest(lake, snapshot)
    if not at:
        return None
    files = (
        DeltaTable(f"{lake}/crawl_files", version=at["crawl_files"])
        .to_pyarrow_dataset()
        .to_table(filter=ds.field("snapshot") == snapshot)
    )
    rejects = _counts(lake, "rejects", at["rejects"], snapshot, ["reason"])
    languages = _counts(lake, "languages", at["languages"], snapshot, ["language"]) if "languages" in at else Counter()
    judged = _counts(lake, "verdicts", at["verdicts"], snapshot, ["language", "eligible"]) if "verdicts" in at else Counter()
    publish = ledger.released(lake, "publish", pins.EVERY)
    judged_at = {at.get("verdicts")} | _recycled_at(lake, snapshot, at)
    published = bool(publish and "verdicts" in at and pins.of(publish).get(("verdicts", snapshot)) in judged_at)
    kept = _counts(lake, "corpus", publish.output("corpus"), snapshot, ["language"]) if publish and published else Counter()
    lines = [
        Line(name or "und", n, judged[name, True], kept[name,])
        for (name,), n in sorted(languages.items(), key=lambda kv: (-kv[1], kv[0]))
    ]
    return Funnel(
        snapshot=snapshot,
        files=files.num_rows,
        responses=pc.sum(files["responses"]).as_py() or 0,
        documents=pc.sum(files["documents"]).as_py() or 0,
        rejects={reason: n for (reason,), n in sorted(rejects.items(), key=lambda kv: (-kv[1], kv[0]))},
        lines=lines,
        published=published,
        recycled=recycle_report.of(lake, snapshot),
    )


def _recycled_at(lake: str, snapshot: str, at: dict[str, int]) -> set[int | None]:
    """The version of the verdicts that derived documents were added to, where they were added to these."""
    run = ledger.released(lake, "recycle", snapshot)
    rests = run and {"table": "verdicts", "snapshot": snapshot, "version": at.get("verdicts")} in run.inputs
    return {run.output("verdicts")} if run and rests else set()


def print_funnel(lake: str, snapshot: str | None = None, as_json: bool = False) -> None:
    """Print the funnel of one snapshot, or of every ingested one; as JSON, a snapshot a line."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    names = [snapshot] if snapshot else list(ledger.released_snapshots(lake, "extract"))
    if as_json:
        for found in filter(None, (of(lake, name) for name in names)):
            print(ledger.dumps(asdict(found)))
        return
    if not names:
        console.print(
            f"nothing is ingested yet in the lake {lake}: `crawlmill run SNAPSHOT` ingests one, `crawlmill backfill` many"
        )
    for name in names:
        funnel = of(lake, name)
        if funnel is None:
            console.print(f"{name}: not ingested yet")
            continue
        reasons = ", ".join(f"{reason} {n}" for reason, n in funnel.rejects.items()) or "none"
        console.print(
            f"\n[bold]{name}[/bold]: {funnel.files} crawl files, {funnel.responses} responses -> {funnel.documents} documents; rejects: {reasons}"
        )
        view = Table("language", box=None, pad_edge=False)
        for column in ("documents", "eligible", "kept", "duplicates", "kept %"):
            view.add_column(column, justify="right")
        total = Line("all", *(sum(getattr(line, part) for line in funnel.lines) for part in ("documents", "eligible", "kept")))
        for line in [*funnel.lines, total]:
            share = f"{100 * line.kept / line.documents:.0f}" if line.documents else ""
            end = (str(line.kept), str(line.eligible - line.kept), share) if funnel.published else ()
            view.add_row(line.language, str(line.documents), str(line.eligible), *end)
        console.print(view)
        if funnel.recycled:
            console.print("\n".join(recycle_report.lines(funnel.recycled)), highlight=False)
        if not funnel.published:
            console.print("not published yet: dedup and publish have still to run on these verdicts")
