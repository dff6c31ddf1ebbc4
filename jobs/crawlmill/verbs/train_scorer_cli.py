"""The verb `crawlmill train-scorer`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE
from crawlmill.errors import UserError
from crawlmill.scoring.scorer_training import PRESETS
from crawlmill.text.scorer_file import PREPARATIONS

FILE = click.Path(path_type=Path)
SORTERS = {"label": "--label", "words": "--words", "targets": "--targets"}


@click.command("train-scorer")
@click.option(
    "--positives", multiple=True, metavar="FILE", help="Good texts: Delta table (folder), Parquet or JSON lines; repeatable."
)
@click.option("--negatives", multiple=True, metavar="FILE", help="The same of other texts.")
@click.option(
    "--corrupt", is_flag=True, help="In place of --negatives: the good texts with words and sentences out of order (Oasis)."
)
@click.option(
    "--data", multiple=True, metavar="FILE", help="Texts that --label, --words or --targets sorts into good and other ones."
)
@click.option("--snapshot", help="Instead of --data with --label: the documents that the hook `annotate` has labelled.")
@click.option("--label", help="Good by a label: a key of column `labels`, or a column.")
@click.option("--least", type=float, default=3.0, show_default=True, help="With --label: good from so much on.")
@click.option("--values", default="", help="With --label: these values are good, e.g. science,health.")
@click.option("--words", type=FILE, help="Good by a list of words, one a line: to start from nothing.")
@click.option(
    "--targets",
    multiple=True,
    metavar="FILE",
    help="Good by likeness to benchmark examples (BETR); column benchmark names theirs.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="With --words, --targets: good ones.",
)
@click.option("--within", type=FILE, help="A second round: only texts that this model of a first round lets pass.")
@click.option(
    "--within-least", type=float, default=0.4, show_default=True, help="Probability from which it does (InfiMM-WebMath: .4)."
)
@click.option("--text", default="text", show_default=True, help="Column of the text.")
@click.option(
    "--preset", type=click.Choice(sorted(PRESETS)), default="dclm", show_default=True, help="Whose settings of fastText."
)
@click.option(
    "--prepare", type=click.Choice(sorted(PREPARATIONS)), default="dclm", show_default=True, help="How texts are prepared."
)
@click.option("--per-label", type=click.IntRange(1), default=200_000, show_default=True, help="At most so many texts of a kind.")
@click.option("--epoch", type=click.IntRange(1), help="Instead of the preset's.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="More train faster, but then no two runs give the same file.",
)
@click.option("--quantize", is_flag=True, help="A smaller, slower, slightly less exact model.")
@click.option("--languages", default="", help="That the scorer is valid for, e.g. eng,deu.")
@click.option("--out", type=FILE, required=True, help="Model file to write; its card goes beside it.")
@LAKE
def train_scorer(**given: Any) -> None:
    """Train a fastText scorer of good texts against others; tells precision and recall on hosts that it has not seen.

    A tenth of the hosts (`host`, or that of `url`) is held out. Prints the recipe's entry; `crawlmill fit-scores` makes thresholds.

    \b
    Example: crawlmill train-scorer --positives good.jsonl --negatives crawl.parquet --out models/quality.bin
    Example: crawlmill train-scorer --snapshot CC-MAIN-2026-38 --label score --least 4 --out models/edu.bin
    Example: crawlmill train-scorer --data crawl.parquet --words mathematics.txt --out models/first.bin
    Example: crawlmill train-scorer --data crawl.parquet --targets gsm8k.jsonl --within models/first.bin --out models/betr.bin
    """
    from crawlmill.scoring import scorer_training as training

    _check(given)
    preset = PRESETS[given["preset"]]
    preset = replace(preset, epoch=given["epoch"]) if given["epoch"] else preset
    labelled = _labelled(given)
    texts, held_out = training.split(training.examples(labelled, given["prepare"], given["text"]), given["per_label"])
    card = {
        "preset": given["preset"],
        "text": given["prepare"],
        "trained_on": len(texts),
        "sorted_by": _sorter(given),
        "threads": given["threads"],
        **asdict(preset),
    }
    found = training.train(texts, given["out"], preset, card, given["quantize"], given["threads"])
    scores = training.probabilities(given["out"], [one.line for one in held_out])
    click.echo(training.judge(scores.tolist(), [one.good for one in held_out]))
    languages = json.dumps(_list(given["languages"]) or None)
    click.echo(
        f"\n{given['out'].stem}:\n  kind: fasttext\n  path: {given['out'].absolute()}\n  sha256: {found}\n  text: {given['prepare']}\n"
        f"  languages: {languages}"
    )


def _list(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _sorter(given: dict[str, Any]) -> str:
    return next((name for name in SORTERS if given[name]), "corruption" if given["corrupt"] else "files")


def _check(given: dict[str, Any]) -> None:
    """Raise UserError where the options do not name one way to tell good from other texts."""
    named = [option for name, option in SORTERS.items() if given[name]]
    files = bool(given["positives"] or given["negatives"] or given["corrupt"])
    if files and not (given["positives"] and bool(given["negatives"]) != given["corrupt"]):
        raise UserError(
            "a scorer tells good texts from others: give both --positives and --negatives, or --corrupt in place of these"
        )
    if files + len(named) != 1:
        raise UserError(
            "say in one way which texts are good: --positives and --negatives (or --corrupt), or --data with one of "
            + ", ".join(SORTERS.values())
        )
    if given["snapshot"] and (not given["label"] or given["data"]):
        raise UserError("--snapshot reads what a hook has labelled: give --label with it, and no --data")
    if named and not (given["data"] or given["snapshot"]):
        raise UserError(f"{named[0]} sorts texts: give them with --data")
    if given["within"] and not given["within"].is_file():
        raise UserError(f"--within {given['within']} is no file: give the model of the first round")
    if given["words"] and not given["words"].is_file():
        raise UserError(f"--words {given['words']} is no file: give a list, a word or phrase a line")


def _labelled(given: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Rows with whether each is good, by what was asked for."""
    from crawlmill.lake import snapshot as snapshots
    from crawlmill.lake import table
    from crawlmill.scoring import scorer_labels, scorer_training
    from crawlmill.text.corruption import corrupted

    column = given["text"]

    def passed(rows: Iterator[Any]) -> Iterator[Any]:
        return scorer_labels.passing(rows, given["within"], given["within_least"], column) if given["within"] else rows

    def read(name: str) -> Iterator[Any]:
        return passed(scorer_training.rows_of(given[name], column))

    if given["label"]:
        if given["snapshot"]:
            root = layout.lake_root(given["lake"])
            table.require(root, "runs")
            rows = passed(scorer_labels.of_lake(root, snapshots.parse(given["snapshot"])))
        else:
            rows = read("data")
        return scorer_labels.by_label(rows, given["label"], given["least"], _list(given["values"]))
    if given["words"]:
        return scorer_labels.by_words(read("data"), given["words"], given["share"], column)
    if given["targets"]:
        return scorer_labels.by_targets(read("data"), scorer_training.rows_of(given["targets"], column), given["share"], column)
    if given["corrupt"]:
        return (
            (row, good)
            for one in read("positives")
            for row, good in ((one, True), (one | {column: corrupted(one[column])}, False))
        )
    return ((row, good) for name, good in (("positives", True), ("negatives", False)) for row in read(name))
