"""Which documents are eligible, and every rule that the others fail. Reads signals and languages, no text; writes verdicts and page_index."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure, UserError
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.rows import page_index
from crawlmill.rows.final_text import KEYS
from crawlmill.text import overlap, rules


def transform(context: Context) -> dict[str, DataFrame]:
    """A row per document, with all broken rules, their values and limits."""
    options = context.recipe.gate
    wanted = {rule.signal for rule in options.rules.values()}
    overlaps = sorted(wanted & overlap.ANNOTATIONS.keys())
    narrow = context.read("languages", *KEYS, "language_script", *sorted(wanted & rules.ANNOTATIONS.keys()))
    own = sorted(wanted - rules.ANNOTATIONS.keys() - overlap.ANNOTATIONS.keys())
    scored = [
        F.col("scores").getItem(name.removeprefix(rules.SCORE)).alias(undotted(name))
        if name.startswith(rules.SCORE)
        else F.col(name)
        for name in own
    ]
    signals = context.read("signals").select("snapshot", *KEYS, "language", *scored)
    annotations = signals.join(F.broadcast(narrow), KEYS, "inner")
    if context.has("contamination"):
        annotations = with_overlaps(annotations, context.read("contamination"))
    elif overlaps:
        raise UserError(
            f"the recipe has a rule on {overlaps[0]}, and measure of {context.job.snapshot} looked for no reference set: run measure again"
        )

    dotted = {undotted(name): name for name in own}

    def gate(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        judge = rules.judge(options)
        return (judge(batch.rename_columns([dotted.get(name, name) for name in batch.schema.names])) for batch in batches)

    verdicts = annotations.mapInArrow(gate, contract.load("verdicts").struct())
    judged = follow_proposals(verdicts, context.read("rewrite_steps")).persist()
    documents, rejects = (context.read(name, "snapshot", *KEYS, "url") for name in ("documents", "rejects"))
    return {"verdicts": judged, "page_index": page_index.rows(documents, judged, rejects)}


def undotted(name: str) -> str:
    """A signal's name as a column of a frame: Spark takes what follows a dot for a field."""
    return name.replace(".", ":")


def with_overlaps(annotations: DataFrame, contamination: DataFrame) -> DataFrame:
    """Annotations with a column for each of `overlap.ANNOTATIONS`: 0 for a document that has nothing in common with such a set."""
    greatest = contamination.groupBy(*KEYS).agg(
        *(
            F.max(F.when(F.col("kind") == of.kind, F.col(of.column))).cast("double").alias(name)
            for name, of in overlap.ANNOTATIONS.items()
        )
    )
    return annotations.join(F.broadcast(greatest), KEYS, "left").fillna(0.0, list(overlap.ANNOTATIONS))


def follow_proposals(verdicts: DataFrame, steps: DataFrame) -> DataFrame:
    """Documents that a hook proposes to drop are not eligible; the hook stands among their failed rules."""
    dropped = steps.where("outcome = 'dropped_proposal'").groupBy(*KEYS).agg(F.min("hook").alias("hook"))
    joined = verdicts.join(F.broadcast(dropped), KEYS, "left")
    reason = F.struct(
        F.lit(rules.HOOK).alias("rule"), F.col("hook").alias("signal"), F.lit(1.0).alias("value"), F.lit("max").alias("op"),
        F.lit(0.0).alias("limit"),
    )  # fmt: skip
    failed = F.when(F.col("hook").isNull(), F.col("failed")).otherwise(F.concat("failed", F.array(reason)))
    eligible = F.col("eligible") & F.col("hook").isNull()
    return joined.withColumn("failed", failed).withColumn("eligible", eligible).select(*contract.load("verdicts").columns)


def check(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
    """Every document has a verdict, and a row by id in the index."""
    counts = reconcile.per_document("signals", "verdicts")(context, versions)
    index = reconcile.committed(context, "page_index", versions["page_index"])
    indexed = reconcile.ids(index.where("url IS NULL AND outcome <> 'rejected'"))
    lost = [count["shard"] for count in counts if indexed.get(count["shard"], reconcile.NONE)[0] != count["written"]]
    if lost:
        raise CriticalFailure(f"page_index of {context.job.snapshot} lacks documents of shards {lost}; not released")
    return counts


STAGE = Stage(
    name="gate",
    reads=("signals", "languages", "rewrite_steps", "documents", "rejects"),
    writes=("verdicts", "page_index"),
    recipe=("gate",),
    version=2,
    transform=transform,
    reconcile=check,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
