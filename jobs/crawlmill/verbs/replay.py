"""`crawlmill replay`: rejected records read again from their place in the crawl file, by range request, and what they give now."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa

from crawlmill import layout, rowfile
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.lake import ledger, table
from crawlmill.lake import snapshot as snapshots
from crawlmill.sources import fetch
from crawlmill.sources.guard import Progress, guarded
from crawlmill.sources.pages import read_pages
from crawlmill.sources.records import DAMAGED
from crawlmill.sources.selection import Selection, selection
from crawlmill.takedowns import orders

if TYPE_CHECKING:
    from crawlmill.recipes.recipe_extract import Extract

NEIGHBOURS = {
    "duplicate_id": "the record alone is no double",
    "other_language": "the crawl names languages in the next record",
}  # reasons that a record by itself cannot show again
UNKNOWN_LENGTH = 1 << 20  # bytes read where the reject could not tell its length
MOST = 64 << 20  # bytes read of a long damaged stretch
COLUMNS = ("shard", "file_path", "offset", "length", "id", "url", "reason", "message")
JSON = pa.schema([("json", pa.string())])


def rejects(lake: str, snapshot: str, reasons: tuple[str, ...] = (), shards: list[int] | None = None) -> list[dict[str, Any]]:
    """The rejects of the extract stage as last released, by file and offset. Raises UserError where it has not passed."""
    from deltalake import DeltaTable

    run = ledger.released(lake, "extract", snapshots.parse(snapshot))
    if run is None:
        raise UserError(
            f"extract has not passed on {snapshot} in lake {lake}: run it first, or give the right folder with --lake"
        )
    found = DeltaTable(table.path(lake, "rejects"), version=run.output("rejects"))
    rows = found.to_pyarrow_table(
        partitions=[("snapshot", "=", snapshot), ("stage", "=", "extract")], columns=list(COLUMNS)
    ).to_pylist()
    kept = [row for row in rows if (not reasons or row["reason"] in reasons) and (shards is None or row["shard"] in shards)]
    return sorted(kept, key=lambda row: (row["file_path"], row["offset"], row["length"]))


def again(row: dict[str, Any], source: str, options: Extract, wanted: Selection) -> dict[str, Any]:
    """What a reject gives now: its place and `was`, with `now` (document or a reason), `message`, `note`, and the document's columns."""
    told = {key: row[key] for key in ("file_path", "offset", "length", "id", "url")} | {"was": row["reason"]}
    size = min(row["length"] or UNKNOWN_LENGTH, MOST)
    try:
        data = fetch.read_range(source, row["file_path"], row["offset"], size)
        work = partial(_rows, data, row["file_path"], options, wanted)
        batches = guarded(work, JSON, options.guard_seconds or 3600.0, {}, lambda place, message: None)
        found = [json.loads(line) for batch in batches for line in batch.column(0).to_pylist()]
    except CrawlmillError as error:
        return {**told, "now": "not_fetched", "message": str(error)}
    same = [one for one in found if row["id"] and one.get("id") == row["id"]]
    nothing = {"row": "reject", "reason": "empty_file", "message": "there is nothing"}
    # Records that share a gzip member are read from its start on; the length ends with the one that is meant.
    outcome = (same[-1] if row["length"] else same[0]) if same else (found or [nothing])[0]
    if outcome["row"] == "reject" and outcome["reason"] == "not_a_crawl_file" and row["reason"] in DAMAGED:
        outcome["reason"] = row["reason"]  # a stretch by itself is no crawl file
    if outcome["row"] == "document":
        note = {"note": NEIGHBOURS[row["reason"]]} if row["reason"] in NEIGHBOURS else {}
        return {**outcome, **told, "now": "document", **note}
    return {**told, "id": row["id"] or outcome.get("id"), "now": outcome["reason"], "message": outcome["message"]}


def _rows(data: bytes, file_path: str, options: Extract, wanted: Selection, progress: Progress) -> Iterator[pa.RecordBatch]:
    """The documents and rejects of a stretch of a crawl file, as JSON."""
    rows = read_pages(io.BytesIO(data), file_path, options.kind, options.read_limits(), options.text_options(), wanted, progress)
    lines = [json.dumps(row, default=str) for row in rows if row["row"] != "file"]
    yield pa.RecordBatch.from_pydict({"json": lines}, schema=JSON)


@click.command()
@click.argument("snapshot")
@click.option("--reason", "reasons", multiple=True, help="Only rejects with this reason; may be given several times.")
@click.option("--shards", help="Only these shards, like 0-3,7.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
@click.option("--source", help="Where crawl files are [CRAWLMILL_SOURCE; Common Crawl].")
@click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE].")
@click.option("-o", "--output", default="-", help="Where to write: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or - [-].")
def replay(
    snapshot: str,
    reasons: tuple[str, ...],
    shards: str | None,
    limit: int | None,
    lake: str | None,
    source: str | None,
    recipe_file: str | None,
    output: str,
) -> None:
    """Read a snapshot's rejected records again, each by a range request, and tell what they give now.

    The tables stay as they are: run extract with --force to take over what has changed. Rows go to the output, counts to standard error.

    \b
    Example: crawlmill replay CC-MAIN-2026-38 --reason broken_member --reason quarantined --limit 100 -o again.jsonl
    """
    from crawlmill.recipes import recipe
    from crawlmill.sources.reasons import REASONS

    if unknown := sorted(set(reasons) - REASONS.keys()):
        raise UserError(f"no reject has the reason {unknown[0]!r}: reasons are {', '.join(REASONS)}")
    options = recipe.load(layout.recipe_path(recipe_file)).extract
    found = rejects(layout.lake_root(lake), snapshot, reasons, snapshots.parse_shards(shards))[:limit]
    counts: Counter[tuple[str, str]] = Counter()
    wanted = replace(selection(options.select), orders=orders.ready(layout.lake_root(lake)))
    rowfile.write(output, _replayed(found, layout.source_root(source), options, wanted, counts))
    for (was, now), number in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        click.echo(f"{number:>7}  {was} -> {now}", err=True)
    click.echo(
        f"{counts.total():>7}  rejects read again, {sum(n for (was, now), n in counts.items() if was != now)} give something else",
        err=True,
    )


def _replayed(
    found: list[dict[str, Any]], source: str, options: Extract, wanted: Selection, counts: Counter[tuple[str, str]]
) -> Iterator[dict[str, Any]]:
    for row in found:
        outcome = again(row, source, options, wanted)
        counts[outcome["was"], outcome["now"]] += 1
        outcome.pop("row", None)
        yield outcome
