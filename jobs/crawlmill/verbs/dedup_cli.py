"""Shell verbs around dedup: what the clusters look like, lines that repeat, what overlaps with a reference set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawlmill.errors import UserError
from crawlmill.text_table import as_table

if TYPE_CHECKING:
    from crawlmill.text.overlap import Held


@click.command("dedup-stats")
@click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
@click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE].")
@click.option("--weights", type=click.IntRange(1), help="Also FineWeb2's rehydration weights, up to this many repeats.")
@click.option("--least", type=click.IntRange(1), default=100, show_default=True, help="Clusters that a size needs for a weight.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def dedup_stats(lake: str | None, recipe_file: str | None, weights: int | None, least: int, as_json: bool) -> None:
    """Clusters by size: exact and near copies, URLs, snapshots, the largest ones; rehydration weights by language.

    \b
    Example: crawlmill dedup-stats --lake /tmp/lake --weights 10
    """
    from crawlmill import layout
    from crawlmill.dedup import dedup_report
    from crawlmill.lake import table
    from crawlmill.protocol.session import build
    from crawlmill.protocol.stage import Job
    from crawlmill.recipes import recipe

    job = Job(lake=layout.lake_root(lake), recipe=recipe.load(layout.recipe_path(recipe_file)), source="")
    table.require(job.lake, "runs")  # before Spark starts, which takes seconds
    seen = dedup_report.context(build("crawlmill dedup-stats", job.lake), job)
    found = dedup_report.report(seen)
    if weights is not None:
        found["weights"] = dedup_report.repeats(seen, weights, least)
    if as_json:
        click.echo(json.dumps(found, indent=1, default=str))
        return
    click.echo(
        f"{found['documents']:,} eligible documents of {', '.join(found['snapshots'])} in {found['clusters']:,} clusters\n"
    )
    click.echo(as_table(found["classes"]) + "\n\nlargest:\n" + as_table(found["largest"]))
    for language, ranges in found.get("weights", {}).items():
        click.echo(f"weights {language}: " + ", ".join(f"from {size} on {weight}" for size, weight in ranges.items()))


@click.command()
@click.argument("file")
@click.option("--against", "sets", multiple=True, required=True, metavar="[NAME=]FILE", help="A reference set; may be repeated.")
@click.option("--ngram", type=click.IntRange(1, 64), help="Words of a run [by the examples' lengths, 8 to 13].")
@click.option("--drop", is_flag=True, help="Leave out rows that overlap with a set.")
@click.option("-o", "--output", default="-", help="Where to write: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or - [-].")
def decontaminate(file: str, sets: tuple[str, ...], ngram: int | None, drop: bool, output: str) -> None:
    """Add what rows with a `text` share with reference sets; a report by set on standard error.

    \b
    Example: crawlmill decontaminate pages.jsonl.zst --against gsm8k=test.jsonl --drop -o clean.jsonl.zst
    """
    from crawlmill import rowfile
    from crawlmill.text import overlap

    held = _sets(sets, ngram)
    found: list[overlap.Overlap] = []
    counts = {"rows": 0, "overlapping": 0}

    def marked() -> Iterator[dict[str, Any]]:
        for batch in _batches(rowfile.read(file), file):
            for row, own in zip(batch, overlap.overlaps([row["text"] for row in batch], held), strict=True):
                counts["rows"] += 1
                counts["overlapping"] += bool(own)
                found.extend(own)
                if not (drop and own):
                    yield row | {"contamination": [vars(each) for each in own]}

    rowfile.write(output, marked())
    click.echo(as_table(overlap.report(found, held)), err=True)
    click.echo(f"{counts['overlapping']:,} of {counts['rows']:,} rows overlap" + (", left out" if drop else ""), err=True)


def _sets(given: tuple[str, ...], ngram: int | None) -> list[Held]:
    """The reference sets of the command line. Raises UserError for a file that cannot be read and for names that are not distinct."""
    from crawlmill import rowfile
    from crawlmill.text import overlap

    held: dict[str, Held] = {}
    for each in given:
        name, _, path = each.rpartition("=")
        name = name or Path(path).name.split(".")[0]
        if name in held:
            raise UserError(f"two reference sets are named {name!r}: name them, as in --against other={path}")
        held[name] = overlap.build(name, "benchmark", ngram, rowfile.read(path))
    return list(held.values())


def _batches(rows: Iterator[dict[str, Any]], file: str) -> Iterator[list[dict[str, Any]]]:
    number = 0
    while batch := list(islice(rows, 1_000)):
        for row in batch:
            number += 1
            if not isinstance(row.get("text"), str):
                raise UserError(f"{file} row {number} has no text: each row needs a string `text`")
        yield batch


@click.command("dedup-lines")
@click.argument("file")
@click.option("--unit", type=click.Choice(["line", "paragraph"]), default="line", show_default=True, help="What is compared.")
@click.option("--min-chars", type=click.IntRange(1), default=1, show_default=True, help="Shorter lines are left alone.")
@click.option("--bloom-mb", type=float, help="Hold hashes in a filter of this many million bytes [exactly, in a set].")
@click.option("--false-positives", type=float, default=1e-6, show_default=True, help="Rate for which the filter is laid out.")
@click.option("-o", "--output", default="-", help="Where to write: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or - [-].")
def dedup_lines(file: str, unit: str, min_chars: int, bloom_mb: float | None, false_positives: float, output: str) -> None:
    """Take lines out of rows with a `text` that a row before has; the first keeps its line, whole copies stay.

    \b
    Example: crawlmill dedup-lines pages.jsonl.zst --bloom-mb 64 -o shorter.jsonl.zst
    """
    from pydantic import ValidationError

    from crawlmill import rowfile
    from crawlmill.recipes.recipe import Lines
    from crawlmill.text.duplicate_lines import rows_without

    memory = {} if bloom_mb is None else {"mode": "bloom", "memory_mb": bloom_mb, "false_positives": false_positives}
    try:
        options = Lines.model_validate({"unit": unit, "min_chars": min_chars, **memory})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UserError(
            f"{'.'.join(map(str, wrong['loc']))} is {wrong['input']!r}: {wrong['msg'][:1].lower()}{wrong['msg'][1:]}"
        ) from None
    tally: dict[str, float] = {}
    rowfile.write(output, rows_without((row for batch in _batches(rowfile.read(file), file) for row in batch), options, tally))
    filtered = (
        ""
        if bloom_mb is None
        else f"; a new {unit} is taken for a duplicate with a probability of {tally.get('false positives', 0):.2e}"
    )
    click.echo(
        f"{tally['duplicates']:,.0f} of {tally['parts']:,.0f} {unit}s taken out of {tally['changed']:,.0f} rows{filtered}",
        err=True,
    )


@click.command()
@click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def contamination(lake: str | None, as_json: bool) -> None:
    """What the ingested snapshots share with the recipe's reference sets, by set.

    \b
    Example: crawlmill contamination --lake /tmp/lake
    """
    from crawlmill import layout
    from crawlmill.explain import contamination_report
    from crawlmill.lake import table

    root = layout.lake_root(lake)
    table.require(root, "runs")
    found = contamination_report.report(root)
    click.echo(json.dumps(found, indent=1) if as_json else as_table(found))
