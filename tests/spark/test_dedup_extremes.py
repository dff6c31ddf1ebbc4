"""Dedup at its limits on Spark: long chains, large stars, cliques, a bucket that a million contents share. Hours of a cluster hang on these."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
import xxhash

from crawlmill.dedup import candidates, standing
from crawlmill.dedup.relations import SparkRelations
from crawlmill.dedup.resolve import resolve
from crawlmill.errors import CriticalFailure
from crawlmill.recipes.recipe import Dedup
from tests.fixtures.histories import SNAPSHOTS

pytestmark = pytest.mark.full
PAIRS = "a string, b string, similarity double, containment_a double, containment_b double"
COPIES = "snapshot string, shard int, id string, content string"


def content(n: int) -> str:
    return xxhash.xxh3_128_hexdigest(n.to_bytes(8, "little"))


def settle(spark: Any, edges: list[tuple[str, str]]) -> dict[str, str]:
    """content -> what stands for it, worked out from edges alone."""
    pairs = spark.createDataFrame([(min(e), max(e), 0.9, 0.9, 0.9) for e in edges], PAIRS)
    nodes = sorted({node for edge in edges for node in edge})
    copies = spark.createDataFrame([(SNAPSHOTS[0], 0, f"<{n}>", n) for n in nodes], COPIES)
    return {row["content"]: row["survivor"] for row in resolve(copies, pairs, Dedup()).select("content", "survivor").collect()}


def greedy(edges: list[tuple[str, str]]) -> dict[str, str]:
    """The definition: in the order of ranks, here of contents."""
    before: dict[str, list[str]] = {}
    for u, v in edges:
        before.setdefault(max(u, v), []).append(min(u, v))
        before.setdefault(min(u, v), [])
    stands: dict[str, str] = {}
    for node in sorted(before):
        stands[node] = min((u for u in before[node] if stands[u] == u), default=node)
    return stands


def test_a_chain_of_10_000(spark: Any) -> None:
    edges = list(pairwise(content(n) for n in range(10_000)))
    assert settle(spark, edges) == greedy(edges)


def test_a_star_of_100_000(spark: Any) -> None:
    edges = [(content(0), content(n)) for n in range(1, 100_001)]
    assert settle(spark, edges) == greedy(edges)


def test_a_clique_of_400(spark: Any) -> None:
    edges = list(combinations([content(n) for n in range(400)], 2))
    assert settle(spark, edges) == greedy(edges)


def test_a_chain_in_the_order_of_ranks_fails_and_is_never_half_settled(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "ROUNDS", 4)
    edges = list(pairwise(f"{n:032x}" for n in range(200)))
    with pytest.raises(CriticalFailure, match="did not settle in 4 rounds"):
        settle(spark, edges)


def test_a_bucket_of_a_million(spark: Any) -> None:
    """Every member is compared with the 8 first, none with all: 8 million comparisons, in the memory that the session has."""
    members, top = 1_000_000, 8
    rows = spark.range(members).selectExpr("md5(string(id)) AS content")
    bands = rows.selectExpr("'all' AS scope", "0 AS band", "0L AS key", "content", "'CC-MAIN-2026-30' AS snapshot", "0L AS r")
    # Sixteen steps from 1 to 119 each, as bytes: a small set of its own for every content.
    sets = rows.selectExpr("content", "unhex(regexp_replace(content, '[089a-f]', '1')) AS shingles")
    db = SparkRelations(spark, "", sets, Dedup(top=top), 1 << 24)
    places = db.keep(candidates.placed(db, candidates.members(db, candidates.Bands(bands, "oldest"))))
    turned = db.keep(candidates.turns(db, places, top))
    assert turned.count() == sum(members - 1 - place for place in range(top))
    found = db.verify(db.sql("SELECT scope, a, b, gained AS bits FROM {turned}", turned=turned))
    assert found.count() < 1_000
