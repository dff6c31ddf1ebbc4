"""Recycling by rewriting: pages that the gate dropped for quality alone are written anew, and what comes of it passes identify to gate.

Reads what extract to gate wrote, of captured pages only: nothing is recycled twice. Derived documents and all that is known about them go
into the reserved shards of the tables of those stages, made by the transforms of those stages; table recycled says what became of each page.
A raw stage that runs again leaves no derived rows in its new version, and this stage then puts them back from the kept answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure
from crawlmill.lake import failpoint, table, table_log
from crawlmill.lake.snapshot import MAX_SHARDS, RESERVED
from crawlmill.llm.rounds import answered
from crawlmill.protocol import reconcile, stage
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Outputs, Stage
from crawlmill.rows.final_text import KEYS, final_text
from crawlmill.text import recycle, rules, signals
from crawlmill.text.hooks import chosen

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Recipe

READS = ("documents", "languages", "rewrites", "rewrite_steps", "signals", "signatures", "bands", "verdicts")
BORROWS = (*READS, "page_index")
THROUGH = ("identify", "rewrite", "measure", "sketch", "gate")
ALIKE = ("languages", "rewrite_steps", "signals", "signatures", "verdicts")  # tables that have every document
HOOK = (
    "hook string, version string, position int, outcome string, reason string, edits int, model string, requests array<string>, "
)
STEP = HOOK + "prompt_tokens bigint, completion_tokens bigint, cost double, labels map<string,string>"
RECYCLED = (
    f"snapshot string, shard int, id string, steps array<struct<{STEP}, bucket int, derived array<string>>>, "
    f"made array<struct<id string, text string, step struct<{STEP}>>>, pending array<string>"
)


def candidates(context: Context) -> DataFrame:
    """(shard, id, failed) of the pages that may be rewritten; of a page that stands in several shards, the one of least number."""
    gate, options = context.recipe.gate, context.recipe.recycle
    allowed, barred = recycle.open_to(gate, options), sorted(recycle.barring(gate, options))
    rows = context.read("verdicts", *KEYS, "eligible", "failed", "flagged").where(F.col("shard") < MAX_SHARDS)
    rows = rows.withColumn("failed", F.expr("failed.rule")).withColumn("flagged", F.expr("coalesce(flagged.rule, array())"))
    harmless = F.forall("failed", lambda rule: rule.isin(allowed)) & ~F.exists("flagged", lambda rule: rule.isin(barred))
    dropped = rows.where(harmless if options.eligible else harmless & ~F.col("eligible"))
    return dropped.groupBy("id").agg(F.min(F.struct("shard", "failed")).alias("first")).select("id", "first.*")


def pages(context: Context) -> DataFrame:
    """The candidates with text, labels and signals: what `recycle_batch` reads. Only narrow columns are exchanged."""
    found = F.broadcast(candidates(context))
    narrow = context.read("signals", *KEYS, "scores", *signals.SIGNALS).join(found, KEYS)
    narrow = narrow.join(
        F.broadcast(
            context.read("languages", *KEYS, "language", "language_script", *rules.ANNOTATIONS).join(found.select(*KEYS), KEYS)
        ),
        KEYS,
    )
    narrow = narrow.join(F.broadcast(context.read("documents", *KEYS, "url", "title").join(found.select(*KEYS), KEYS)), KEYS)
    return final_text(context.read("documents"), context.read("rewrites")).join(F.broadcast(narrow), KEYS)


def recycled(context: Context, rows: DataFrame, answers: int | None = None) -> DataFrame:
    """A row of `RECYCLED` per page. `answers`: the version of llm_answers; None where no hook asks."""
    options, lake, snapshot, identify = context.recipe.recycle, context.job.lake, context.job.snapshot, context.recipe.identify

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.llm.ask import reader_at
        from crawlmill.text.language import labeller
        from crawlmill.text.recycle import recycle_batch

        label = labeller(identify)
        for batch in batches:
            shards = batch.column("shard").to_pylist()
            yield recycle_batch(batch, options, None if answers is None else reader_at(lake, answers, snapshot, shards), label)

    return rows.mapInArrow(work, RECYCLED).persist()


def derived(context: Context, rows: DataFrame) -> DataFrame:
    """Rows of `documents`: the page's own, with the new text, the new id, and the page's as parent."""
    made = rows.select("shard", "id", F.explode("made").alias("made")).select(*KEYS, F.col("made.id").alias("own"), "made.text")
    columns = contract.load("documents").columns
    parents = context.read("documents").drop("text", "parent_id").join(F.broadcast(rows.select(*KEYS)), KEYS, "left_semi")
    whole = made.join(F.broadcast(parents), KEYS)
    whole = whole.withColumns({"parent_id": F.col("id"), "id": F.col("own"), "shard": reserved()})
    return whole.select(*columns)


def reserved() -> Any:
    """The column of the reserved shard, as `snapshot.reserved` says it."""
    return (F.lit(MAX_SHARDS) + F.col("shard") % len(RESERVED)).cast("int").alias("shard")


def through(context: Context, documents: DataFrame) -> dict[str, DataFrame]:
    """All tables of derived documents: the transforms of identify to gate on them. Hooks that ask a model do not run on what a model wrote."""
    nothing = context.spark.createDataFrame([], contract.load("rejects").struct())
    given = {"documents": documents, "rejects": nothing}
    inner = replace(context, job=replace(context.job, recipe=plain(context.recipe)), pins={}, given=given, digests={})
    for name in THROUGH:
        inner.given |= stage.load(name).transform(inner)
    return {name: rows for name, rows in inner.given.items() if name in STAGE.borrows}


def plain(recipe: Recipe) -> Recipe:
    """The recipe with the hooks that repair and mask alone: none that asks, none on lines of the crawl."""
    kept = [spec for spec, (hook, _) in zip(recipe.rewrite.hooks, chosen(recipe.rewrite.hooks), strict=True) if fits(hook)]
    return recipe.model_copy(update={"rewrite": recipe.rewrite.model_copy(update={"hooks": tuple(kept), "lines": None})})


def fits(hook: Any) -> bool:
    return not hook.asks and not hook.reads_duplicates


def transform(context: Context) -> dict[str, DataFrame]:
    """Table recycled, and the reserved shards of all tables of documents."""
    hooks = context.recipe.recycle.hooks
    if not hooks:
        return {name: context.spark.createDataFrame([], contract.load(name).struct()) for name in (*STAGE.writes, *BORROWS)}
    found = pages(context)
    asks = any(hook.asks for hook, _ in chosen(hooks))
    rows = answered(context, lambda at: recycled(context, found, at), 1) if asks else recycled(context, found)
    documents = derived(context, rows).persist()
    tables = through(context, documents)
    made = rows.select("snapshot", reserved(), F.explode("made").alias("made"))
    makers = made.select("snapshot", "shard", F.col("made.id").alias("id"), "made.step.*")
    after = tables["rewrite_steps"].withColumn("position", F.col("position") + 1)
    steps = rows.select("snapshot", *KEYS, F.explode("steps").alias("step")).select("snapshot", *KEYS, "step.*")
    return {
        "recycled": steps.select(*contract.load("recycled").columns),
        **tables,
        "rewrite_steps": makers.unionByName(after).select(*contract.load("rewrite_steps").columns),
    }


def commit(context: Context, to: table.Commit, outputs: Outputs) -> dict[str, int]:
    """Replace the reserved shards, a table at a time. Raises CriticalFailure where somebody has ingested the snapshot anew meanwhile.

    A version that holds derived rows of these pages beside pages of another run must never be pinned.
    """
    versions = {}
    for name, rows in outputs.items():
        versions[name] = to.replace(name, rows, shards=STAGE.owns(name))
        failpoint.hit(f"recycle:committed:{name}")
        pinned = context.pins.get((name, context.job.snapshot))
        if pinned is not None and (others := table_log.writers(to.lake, name, to.snapshot, pinned, versions[name]) - {"recycle"}):
            raise CriticalFailure(
                f"{sorted(others)[0]} has written to {name} of {to.snapshot} while it was recycled: nothing is released; run recycle again"
            )
    return versions


def check(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
    """Every derived document once in every table, every page that may be rewritten in `recycled`, and every parent named there."""

    def own(name: str) -> DataFrame:
        return table.read(
            context.spark, context.job.lake, name, versions[name], table.partition(context.job.snapshot, STAGE.owns(name))
        )

    documents = own("documents")
    due = reconcile.ids(documents)
    reconcile.refuse_doubles(context, "documents", documents)
    for name in ALIKE:
        rows = own(name).select(*KEYS)
        if reconcile.ids(rows.distinct() if name == "rewrite_steps" else rows) != due:
            raise CriticalFailure(f"{name} of {context.job.snapshot} has other ids than the derived documents; not released")
    if reconcile.ids(own("page_index").where("url IS NULL")) != due:
        raise CriticalFailure(f"page_index of {context.job.snapshot} has other ids than the derived documents; not released")
    steps = own("recycled")
    named = steps.select(reserved(), F.explode("derived").alias("id"))
    if reconcile.ids(named) != due:
        raise CriticalFailure(f"recycled of {context.job.snapshot} names other documents than were derived; not released")
    if context.recipe.recycle.hooks:
        asked, seen = candidates(context).select(*KEYS), steps.select(*KEYS).distinct()
        if reconcile.ids(asked) != reconcile.ids(seen):
            raise CriticalFailure(
                f"pages of {context.job.snapshot} that may be rewritten are not those in recycled; not released"
            )
    return [{"shard": shard, "read": n, "written": n, "rejected": 0} for shard, (n, _) in sorted(due.items())]


STAGE = Stage(
    name="recycle",
    reads=READS,
    writes=("recycled",),
    borrows=(*BORROWS, "contamination"),
    recipe=("recycle",),
    version=2,
    transform=transform,
    commit=commit,
    reconcile=check,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
