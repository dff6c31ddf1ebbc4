"""What else a lake holds of a page: answers of models about it, samples of expectations. Both tables only grow otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from crawlmill.lake import table, table_log
from crawlmill.rows.final_text import KEYS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from crawlmill.takedowns.takedown import Plan

ASKED = ("rewrite_steps", "recycled")  # tables that name the requests about a document
NAME = re.compile(r"""<urn:uuid:[0-9a-f-]{36}>|https?://[^\s"\\]+""")  # ids and addresses in samples


def answers(spark: SparkSession, commit: table.Commit, plan: Plan) -> None:
    """Delete the answers to requests that were made for these documents alone."""
    assert plan.named is not None
    if table_log.empty(commit.lake, "llm_answers"):
        return
    ids, requests = plan.named.ids(), list[DataFrame]()
    for name in ASKED:
        for at in {*plan.versions(name), table.version(commit.lake, name)}:
            rows = table.read(spark, commit.lake, name, at, table.partition(plan.snapshot))
            requests.append(rows.selectExpr(*KEYS, "explode(requests) AS request"))
    named = requests[0]
    for more in requests[1:]:
        named = named.unionByName(more)
    own = named.join(ids, KEYS, "left_semi").select("shard", "request").distinct()
    others = named.join(ids, KEYS, "left_anti").select("shard", "request").distinct()
    gone = own.join(others, ["shard", "request"], "left_anti").persist()
    if not gone.isEmpty():
        on = f"t.snapshot = '{plan.snapshot}' AND t.shard = s.shard AND t.request = s.request"
        with growing_only_suspended(spark, commit.lake, "llm_answers"):
            commit.edit(
                "llm_answers", spark, lambda target: target.merge(gone.alias("s"), on).whenMatchedDelete().execute(),
                commit.app_id("llm_answers"),
            )  # fmt: skip
    gone.unpersist()


def samples(spark: SparkSession, commit: table.Commit, plan: Plan) -> None:
    """Empty the samples of expectations in which one of the documents stands."""
    from deltalake import DeltaTable

    assert plan.named is not None
    rows = DeltaTable(table.path(commit.lake, "quality")).to_pyarrow_table(columns=["samples"]).column("samples").to_pylist()
    seen = {name: text for text in rows for name in NAME.findall(text or "")}
    named = plan.named.documents.selectExpr("id AS name").unionByName(plan.named.documents.selectExpr("url AS name"))
    names = named.unionByName(plan.named.rejects.selectExpr("url AS name")).distinct()
    known = [row["name"] for row in names.where(names.name.isin(sorted(seen))).collect()] if seen else []
    meant = sorted({text for text in rows if text and any(name in text for name in known)})
    if meant:
        source = spark.createDataFrame([(text,) for text in meant], "samples string")
        with growing_only_suspended(spark, commit.lake, "quality"):
            commit.edit(
                "quality", spark,
                lambda target: target.merge(source.alias("s"), "t.samples = s.samples").whenMatchedUpdate(set={"samples": "'[]'"}).execute(),
                commit.app_id("quality"),
            )  # fmt: skip


@contextmanager
def growing_only_suspended(spark: SparkSession, lake: str, name: str) -> Iterator[None]:
    """Let rows of a table that only grows be changed meanwhile. Should this process die, the next stage's start puts the property back."""
    where = f"ALTER TABLE delta.`{table.path(lake, name)}` SET TBLPROPERTIES ('delta.appendOnly' = '{{}}')"
    spark.sql(where.format("false"))
    try:
        yield
    finally:
        spark.sql(where.format("true"))
