"""Clusters of any set of documents from pairs alone: a release over fewer snapshots, another gate. No text and no set is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawlmill.dedup import members
from crawlmill.dedup.candidates import rank
from crawlmill.dedup.relations import SparkRelations

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from crawlmill.recipes.recipe import Dedup


def resolve(copies: DataFrame, pairs: DataFrame, rules: Dedup) -> DataFrame:
    """Rows as of table `clusters`, one for each of the copies (snapshot, shard, id, content), survivors being among them.

    Do not filter `clusters` instead: a survivor outside the set would take its text with it. Every removed document is identical to, or
    verified against, one of the set that stays; candidates are those of all that was settled, so the result is a function of the
    settled lake and of the set.
    """
    spark = copies.sparkSession
    db = SparkRelations(spark, "", copies.selectExpr("content", "CAST(NULL AS BINARY) AS shingles").limit(0), rules, 0)
    ranked = copies.selectExpr("snapshot", "shard", "id", "content", f"{rank(rules.order)} AS r")
    edges = pairs.select("a", "b", "similarity", "containment_a", "containment_b")
    found: DataFrame = members.settle(db, ranked, edges, None, rules.measure, rules.threshold)
    return found.drop("_gone", "_new")
