"""Which language and script a document is written in. Reads documents, writes languages."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from crawlmill.contracts import contract
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.recipes.recipe import Recipe


def transform(context: Context) -> dict[str, DataFrame]:
    """A row per document: language, script, score and runner-up."""
    documents = context.read("documents", "snapshot", "shard", "id", "text")
    options = context.recipe.identify

    def identify(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.language import identify_batch

        return (identify_batch(batch, options) for batch in batches)

    return {"languages": documents.mapInArrow(identify, contract.load("languages").struct())}


def preflight(recipe: Recipe) -> None:
    """The model is there and is the one that the recipe names."""
    from crawlmill.text.language import identifier

    identifier(recipe.identify)


STAGE = Stage(
    name="identify",
    reads=("documents",),
    writes=("languages",),
    recipe=("identify",),
    version=2,
    transform=transform,
    preflight=preflight,
    reconcile=reconcile.per_document("documents", "languages"),
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
