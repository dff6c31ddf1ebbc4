"""The quality signals of a document's final text, and its overlap with reference sets where the recipe names some.

Reads documents, rewrites and languages, writes signals and contamination.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.contracts import contract
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.recipes.recipe import Recipe
from crawlmill.rows.final_text import KEYS, final_text, with_language
from crawlmill.scoring import external_scores
from crawlmill.text import reference, scorers

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Reference


def transform(context: Context) -> dict[str, DataFrame]:
    """A row per document, a column per signal; null where a signal is not defined for the text."""
    options = context.recipe.measure
    texts = final_text(context.read("documents"), context.read("rewrites"))
    if options.bad_domains is not None:
        texts = texts.join(F.broadcast(context.read("documents", *KEYS, "host")), KEYS, "inner")

    def measure(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.signals import measure_batch

        return (measure_batch(batch, options) for batch in batches)

    signals = with_language(texts, context.read("languages")).mapInArrow(measure, contract.load("signals").struct())
    signals = external_scores.joined(signals, context)
    references = context.recipe.measure.references
    return {"signals": signals} | ({"contamination": contamination(texts, references)} if references else {})


def contamination(texts: DataFrame, references: tuple[Reference, ...]) -> DataFrame:
    """A row per document and reference set with runs of words in common; the sets go to the workers with the function."""
    from crawlmill.text.overlap import load

    sets = [load(reference) for reference in references]

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.overlap import overlap_batch

        return (overlap_batch(batch, sets) for batch in batches)

    return texts.mapInArrow(look, contract.load("contamination").struct())


def preflight(recipe: Recipe) -> None:
    """The files that signals compare with are there and are those that the recipe names."""
    reference.check(recipe.measure)
    scorers.check(recipe.measure.scorers)


STAGE = Stage(
    name="measure",
    reads=("documents", "languages", "rewrites"),
    writes=("signals", "contamination"),
    recipe=("measure",),
    version=3,
    also=external_scores.pinned,
    transform=transform,
    preflight=preflight,
    reconcile=reconcile.per_document("documents", "signals"),
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
