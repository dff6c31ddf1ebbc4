"""Rewriting hooks over documents: Unicode repair, masking of personal data, what the recipe names. Writes rewrites, rewrite_steps.

Where the recipe says so, lines that stand in several documents are counted before any hook runs: line_counts, duplicate_lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, IntegerType, StringType, StructField, StructType

from crawlmill.contracts import contract
from crawlmill.llm.rounds import answered
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.rows import line_tables
from crawlmill.text.hooks import chosen

KEYS = ("snapshot", "shard", "id")


def schema() -> StructType:
    """A document with its final text (null: unchanged), the hooks that changed it, all steps, and what waits for an answer."""
    steps = [field for field in contract.load("rewrite_steps").struct() if field.name not in KEYS]
    return StructType(
        [
            StructField("snapshot", StringType()),
            StructField("shard", IntegerType()),
            StructField("id", StringType()),
            StructField("text", StringType()),
            StructField("hooks", ArrayType(StringType())),
            StructField("steps", ArrayType(StructType(steps))),
            StructField("pending", ArrayType(StringType())),
        ]
    )


def documents(context: Context, lines: Mapping[str, DataFrame]) -> DataFrame:
    """What hooks before dedup may see: columns of documents and languages, and where a hook wants them a document's duplicate lines."""
    narrow = context.read("languages", *KEYS[1:], "language", "language_script", "language_score")
    rows = context.read("documents", *KEYS, "url", "title", "text").join(F.broadcast(narrow), list(KEYS[1:]), "inner")
    if lines and any(hook.reads_duplicates for hook, _ in chosen(context.recipe.rewrite.hooks)):
        found = lines["duplicate_lines"].select(*KEYS[1:], F.col("hashes").alias("duplicate_hashes"))
        rows = rows.join(F.broadcast(found), list(KEYS[1:]), "left")
    return rows


def rewritten(context: Context, rows: DataFrame, answers: int | None = None) -> DataFrame:
    """A row of `schema` per document. `answers`: the version of llm_answers that holds what models said; None where nobody asks."""
    options, lake, snapshot, identify = context.recipe.rewrite, context.job.lake, context.job.snapshot, context.recipe.identify

    def rewrite(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.hooks import rewrite_batch

        if answers is None:
            return (rewrite_batch(batch, options) for batch in batches)
        from crawlmill.llm.ask import reader_at
        from crawlmill.text.language import labeller

        label = labeller(identify)
        return (
            rewrite_batch(batch, options, reader_at(lake, answers, snapshot, batch.column("shard").to_pylist()), label)
            for batch in batches
        )

    return rows.mapInArrow(rewrite, schema()).persist()


def transform(context: Context) -> dict[str, DataFrame]:
    """All tables: one pass over the documents, one before it where duplicate lines are wanted, one more for each round of asking a model."""
    options = context.recipe.rewrite
    lines = line_tables.tables(context.read("documents"), options.lines) if options.lines else {}
    read = documents(context, lines)
    asks = any(hook.asks for hook, _ in chosen(options.hooks))
    most = len(options.hooks) + 1
    rows = answered(context, lambda at: rewritten(context, read, at), most) if asks else rewritten(context, read)
    steps = rows.select("snapshot", "shard", "id", F.explode("steps").alias("step")).select("snapshot", "shard", "id", "step.*")
    return {
        "rewrites": rows.where("text IS NOT NULL").select(*contract.load("rewrites").columns),
        "rewrite_steps": steps.select(*contract.load("rewrite_steps").columns),
        **lines,
    }


def check(context: Context, versions: dict[str, int]) -> list[dict[str, object]]:
    """Every document has steps where the recipe has hooks, and no rewritten text stands twice."""
    if not context.recipe.rewrite.hooks:
        return []
    changed = reconcile.committed(context, "rewrites", versions["rewrites"]).select("shard", "id")
    reconcile.refuse_doubles(context, "rewrites", changed)
    return reconcile.per_document("documents", "rewrite_steps", unique=False)(context, versions)


STAGE = Stage(
    name="rewrite",
    reads=("documents", "languages"),
    writes=("rewrites", "rewrite_steps", "line_counts", "duplicate_lines"),
    recipe=("rewrite",),
    version=2,
    transform=transform,
    reconcile=check,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
