"""The verbs around scores: `crawlmill load-scores`, `fit-scores` and `cluster`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from crawlmill import layout, rowfile
from crawlmill.cli import LAKE
from crawlmill.errors import UserError
from crawlmill.lake import snapshot as snapshots
from crawlmill.recipes import limit_table
from crawlmill.text_table import as_table, printable

WEIGHTS = {"documents": None, "tokens": "rps_doc_word_count", "characters": "ccnet_length", "bytes": "text"}
"""What a quantile may be of, and the column that it is taken from."""
Points = dict[str, dict[str, tuple[list[float], list[float]]]]  # scorer -> language -> scores, weights


@click.command("load-scores")
@click.argument("file")
@click.option("--snapshot", required=True, help="Whose documents the scores are of.")
@LAKE
def load_scores(file: str, snapshot: str, lake: str | None) -> None:
    """Put scores that a job elsewhere gave (rows with id, scorer, version, value, metadata) into the table external_scores.

    \b
    Example: crawlmill load-scores losses.parquet --snapshot CC-MAIN-2026-38
    """
    from crawlmill.scoring import external_scores

    found = external_scores.read(rowfile.read(file), file)
    done = external_scores.load(layout.lake_root(lake), snapshots.parse(snapshot), found)
    state = "loaded" if done.changed else "already there, nothing changed"
    click.echo(f"{done.known} of {done.given} scores are of documents of {snapshot}: {state}")


@click.command("cluster")
@click.argument("file")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Clusters; CLIMB has 1,000, of more texts.")
@click.option("--least", multiple=True, metavar="SCORE=VALUE", help="Drop clusters whose mean score is less; may be repeated.")
@click.option(
    "--distance", type=click.FloatRange(0), default=1.5, show_default=True, help="Join clusters that are nearer (Ward); 0: none."
)
@click.option("--out", "-o", metavar="FILE", required=True, help="A row a document, for `crawlmill load-scores`.")
def cluster(file: str, count: int, least: tuple[str, ...], distance: float, out: str) -> None:
    """Topics of texts as CLIMB makes them: clusters with the words that tell them apart, dropped by mean score, joined into domains.

    All rows are held in memory. Vectors are those of a column `embedding`, else hashed TF-IDF. The score is the domain's number, 0: dropped.

    \b
    Example: crawlmill cluster measured.parquet --count 50 --least quality=1 -o domains.jsonl
    """
    from crawlmill.scoring import clustering

    limits: dict[str, float] = {}
    for each in least:
        name, _, value = each.partition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            raise UserError(f"--least {each!r} is no score with a number: write it like quality=1.5") from None
    rows = list(rowfile.read(file))
    if wrong := next((number for number, row in enumerate(rows, 1) if not isinstance(row.get("text"), str)), None):
        raise UserError(f"{file} row {wrong} has no text: each row needs a string `text`")
    found, made = clustering.cluster(rows, count, limits, distance)
    rowfile.write(out, clustering.scores(rows, found, made))
    table = [
        {"cluster": each.number, "domain": each.domain, "documents": each.documents, "words": each.tokens}
        | {name: round(each.means[name], 3) if name in each.means else "-" for name in limits}
        | {"label": printable(each.label)}
        for each in sorted(made, key=lambda one: (-one.documents, one.number))
    ]
    click.echo(as_table(table), err=out == "-")


@click.command("fit-scores")
@click.argument("file", required=False)
@click.option("--snapshot", help="Take the scores of this snapshot's table signals instead of a file's.")
@click.option("--scorer", "scorers", multiple=True, required=True, help="Name in the recipe; several for --buckets.")
@click.option(
    "--share", type=click.FloatRange(0, 1, min_open=True), default=0.1, show_default=True, help="Keep so much, the best first."
)
@click.option("--by", type=click.Choice(list(WEIGHTS)), default="documents", show_default=True, help="What it is a share of.")
@click.option("--buckets", is_flag=True, help="Write cut points of 20 buckets (5, 10 … 95 %) in place of a threshold.")
@click.option(
    "--parts",
    type=click.Choice(["ccnet", "bertin"]),
    help="Write percentiles by language for a scorer of this kind in place of a threshold.",
)
@click.option("--min-documents", type=click.IntRange(1), default=100, show_default=True, help="Leave out languages with fewer.")
@click.option("--out", "-o", metavar="FILE", default="-", show_default=True, help="Where it goes; `-` is standard output.")
@LAKE
def fit_scores(
    file: str | None, snapshot: str | None, scorers: tuple[str, ...], share: float, by: str, buckets: bool, parts: str | None, min_documents: int, out: str,
    lake: str | None,
) -> None:  # fmt: skip
    """Thresholds by language, or cut points of buckets, from scores: a table for `gate.limits_from`, or a file for a scorer made of others.

    \b
    Example: crawlmill fit-scores --snapshot CC-MAIN-2026-38 --scorer quality --share 0.1 --by characters -o quality.tsv
    """
    from crawlmill.text.buckets import PARTS, percentiles, top_share

    if (file is None) == (snapshot is None):
        raise UserError("give either --snapshot or a file with `crawlmill measure`'s rows, not both and not neither")
    rows = rowfile.read(str(file)) if file else _of_snapshot(layout.lake_root(lake), snapshots.parse(str(snapshot)), by)
    points, source = _points(rows, scorers, by), file or f"snapshot {snapshot}"
    if parts:
        if buckets:
            raise UserError("--buckets and --parts write different files: give one of them")
        by_language = {
            name: {
                label: percentiles(*of, PARTS[parts])
                for label, of in sorted(points[name].items())
                if _enough(label, of[0], min_documents)
            }
            for name in scorers
        }
        if empty := [name for name, own in by_language.items() if not own]:
            raise UserError(
                f"{source} has no language with {min_documents} scores of {empty[0]!r}: give more, or a smaller --min-documents"
            )
        text = json.dumps({"source": source, "weight": by, "parts": parts, "cuts": by_language}, indent=1) + "\n"
    elif buckets:
        cuts = {name: percentiles(*_all(points[name], name, source)) for name in scorers}
        text = json.dumps({"source": source, "weight": by, "cuts": cuts}, indent=1) + "\n"
    else:
        if len(scorers) > 1:
            raise UserError("a table of thresholds is of one scorer: give one --scorer, or --buckets")
        name = scorers[0]
        found = {
            label: (f"{len(values)} documents", {name: float(f"{top_share(values, share, weights):.6g}")}, "")
            for label, (values, weights) in sorted(points[name].items())
            if _enough(label, values, min_documents)
        }
        if not found:
            raise UserError(
                f"{source} has no language with {min_documents} scores of {name!r}: give more, or a smaller --min-documents"
            )
        head = [
            f"Least score.{name} by language that keeps {share:g} of the {by}, from {source}. Written by `crawlmill fit-scores`.",
            f"The gate's rule that uses it is called {name!r}: `gate: {{limits_from: [fineweb2.tsv, THIS FILE]}}`.",
        ]
        text = limit_table.write(head, [name], dict(found))
    with click.open_file(out, "w", encoding="utf-8") as target:
        target.write(text)


def _enough(label: str, values: list[float], least: int) -> bool:
    """Whether a language has scores enough to take percentiles of."""
    return len(values) >= least and label != "und"


def _points(rows: Iterator[dict[str, Any]], scorers: tuple[str, ...], by: str) -> Points:
    found: Points = {name: {} for name in scorers}
    column = WEIGHTS[by]
    for number, row in enumerate(rows, 1):
        scores = dict(row.get("scores") or {})
        weight = row.get(column) if column else 1.0
        if weight is None or isinstance(weight, str) != (by == "bytes"):
            raise UserError(
                f"row {number} has no {column}, which a share of the {by} needs: give rows that have it, or another --by"
            )
        size = float(len(weight.encode("utf-8", "replace")) if isinstance(weight, str) else weight)
        for name in scorers:
            if (value := scores.get(name)) is not None:
                values, weights = found[name].setdefault(str(row.get("language") or "und"), ([], []))
                values.append(float(value))
                weights.append(size)
    return found


def _all(points: dict[str, tuple[list[float], list[float]]], name: str, source: str) -> tuple[list[float], list[float]]:
    if not points:
        raise UserError(f"{source} has no scores of {name!r}: measure with a recipe that names it")
    return [v for values, _ in points.values() for v in values], [w for _, weights in points.values() for w in weights]


def _of_snapshot(lake: str, snapshot: str, by: str) -> Iterator[dict[str, Any]]:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    from crawlmill.lake import ledger

    run = ledger.released(lake, "measure", snapshot)
    if run is None:
        raise UserError(f"measure has not passed for {snapshot}: ingest the snapshot first, or give a file")
    if by == "bytes":
        raise UserError(
            "the table signals has no texts to count bytes of: give a file of `crawlmill measure`, or --by characters"
        )
    column = WEIGHTS[by]
    data = DeltaTable(f"{lake}/signals", version=run.output("signals")).to_pyarrow_dataset()
    for batch in data.to_batches(
        columns=["language", "scores", *([column] if column else [])], filter=ds.field("snapshot") == snapshot
    ):
        yield from batch.to_pylist(maps_as_pydicts="strict")
