"""The verb `crawlmill fit-thresholds`."""

from __future__ import annotations

import click

from crawlmill import layout, rowfile
from crawlmill.cli import LAKE
from crawlmill.errors import UserError
from crawlmill.lake import snapshot as snapshots


@click.command("fit-thresholds")
@click.argument("file", required=False)
@click.option("--snapshot", help="Fit on this snapshot's table languages instead of a file.")
@click.option(
    "--column",
    type=click.Choice(["language_score", "model_score"]),
    default="language_score",
    show_default=True,
    help="Which score; the gate's rule has the same name.",
)
@click.option("--min-documents", type=click.IntRange(1), default=100, show_default=True, help="Leave out languages with fewer.")
@click.option("--out", "-o", metavar="FILE", default="-", show_default=True, help="Where the table goes; `-` is standard output.")
@LAKE
def fit_thresholds(file: str | None, snapshot: str | None, column: str, min_documents: int, out: str, lake: str | None) -> None:
    """Least language scores from a crawl's own scores (median less one standard deviation, .3 to .9), as a table for `gate.limits_from`.

    \b
    Example: crawlmill fit-thresholds --snapshot CC-MAIN-2026-38 -o scores.tsv
    """
    from crawlmill.scoring import thresholds

    of = snapshots.parse(snapshot) if snapshot is not None else None
    scores, source = thresholds.scores_of(layout.lake_root(lake), of, file, column)
    fitted = thresholds.fit(scores, min_documents)
    if not fitted:
        raise UserError(f"{source} has no language with {min_documents} documents: give more, or a smaller --min-documents")
    with rowfile.whole_file(out) as target:
        target.write(thresholds.table(fitted, source, column).encode())
