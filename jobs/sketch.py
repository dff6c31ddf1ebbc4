"""Content hash, shingle set and MinHash bands of every document's final text: what dedup compares instead of texts.

Reads documents, rewrites and languages, writes signatures and bands. It looks at one snapshot alone: any order, any
parallelism.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.contracts import contract
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.rows.final_text import final_text, with_language

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Sketch

SKETCHED = (
    "snapshot string, shard int, id string, scope string, content string, tokens int, shingle_count int, shingles binary, "
    "sampled boolean, keys array<bigint>"
)


def sketch(texts: DataFrame, options: Sketch) -> DataFrame:
    """A row of `SKETCHED` per document; texts has snapshot, shard, id, text and language."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.minhash import sketch_batch

        return (sketch_batch(batch, options) for batch in batches)

    return texts.mapInArrow(work, SKETCHED)


def tables(sketched: DataFrame, options: Sketch, scheme: str) -> dict[str, DataFrame]:
    """Signatures and bands; the set and the keys of copies of one content in a shard are kept once, at the least id.

    Only contents that stand in a shard more than once are exchanged, so the sets stay where they were made.
    """
    copies = sketched.groupBy("snapshot", "shard", "content").agg(F.min("id").alias("first"), F.count("id").alias("copies"))
    again = F.broadcast(copies.where("copies > 1").drop("copies"))
    marked = sketched.join(again, ["snapshot", "shard", "content"], "left")
    marked = marked.withColumn("once", F.expr("first IS NULL OR id = first"))
    signatures = marked.withColumn("shingles", F.expr("CASE WHEN once THEN shingles END")).withColumn("scheme", F.lit(scheme))
    # Copies of one content may be labelled with several languages: then it has keys in each of these scopes.
    alone = marked.where("once") if options.scope == "all" else marked.dropDuplicates(["snapshot", "shard", "scope", "content"])
    # Exchanged before a document becomes a row a band.
    placed = (
        alone.where("size(keys) > 0").select("snapshot", "shard", "scope", "keys", "content").repartition("snapshot", "shard")
    )
    return {
        "signatures": signatures.select(*contract.load("signatures").columns),
        "bands": placed.select("snapshot", "shard", "scope", F.posexplode("keys").alias("band", "key"), "content")
        .sortWithinPartitions("snapshot", "shard", "band", "key")
        .select(*contract.load("bands").columns),
    }


def transform(context: Context) -> dict[str, DataFrame]:
    """Both tables come from one pass over the texts, whose outcome is kept on disk: on the heap it would be collected again and again."""
    from crawlmill.text.minhash import scheme

    options = context.recipe.sketch
    texts = with_language(final_text(context.read("documents"), context.read("rewrites")), context.read("languages"))
    sketched = sketch(texts, options).persist(StorageLevel.DISK_ONLY)
    sketched.count()
    return tables(sketched, options, scheme(options))


STAGE = Stage(
    name="sketch",
    reads=("documents", "languages", "rewrites"),
    writes=("signatures", "bands"),
    recipe=("sketch",),
    version=1,
    transform=transform,
    reconcile=reconcile.per_document("documents", "signatures"),
    keep=False,  # what is left to do is sorting and writing: keeping both tables as well costs more than it saves the lock
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
