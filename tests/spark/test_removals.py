"""The guard against a wipe-out: what is counted, what its expectations say, and that a template shows."""

from __future__ import annotations

from typing import Any

import pytest
import xxhash

from crawlmill.contracts import audit, contract
from crawlmill.dedup import removals

S = "CC-MAIN-2026-43"
CLUSTERS = "snapshot string, shard int, id string, content string, survivor string, kind string"
BANDS = "snapshot string, shard int, scope string, band int, key bigint, content string"


def content(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture(scope="module")
def found(spark: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """A site of one template whose pages go for one, a healthy one, a page that stands twenty times."""
    clusters, documents, verdicts = [], [], []

    def put(n: int, kind: str, of: int, own: int, domain: str | None, language: str | None) -> None:
        clusters.append((S, n % 3, f"<{n:04d}>", content(own), content(of), kind))
        documents.append((S, n % 3, f"<{n:04d}>", domain))
        verdicts.append((S, n % 3, f"<{n:04d}>", language))

    for n in range(40):
        put(n, "near" if n else "survivor", 0, n, "template.example", "deu")
    for n in range(100, 130):
        put(n, "survivor", n, n, "healthy.example", "eng")
    for n in range(200, 220):
        put(n, "exact" if n > 200 else "survivor", 200, 200, "again.example", "eng")
    put(300, "survivor", 300, 300, None, None)
    frames = [
        spark.createDataFrame(clusters, CLUSTERS),
        spark.createDataFrame(documents, "snapshot string, shard int, id string, domain string"),
        spark.createDataFrame(verdicts, "snapshot string, shard int, id string, language string"),
    ]
    return {(row["what"], row["name"]): row.asDict() for row in removals.groups(*frames, least=20).collect()}


def test_groups_are_counted_and_small_ones_but_languages_left_out(found: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert set(found) == {
        ("language", "deu"), ("language", "eng"), ("language", "und"), ("domain", "template.example"), ("domain", "healthy.example"),
        ("domain", "again.example"), ("cluster", content(0)), ("cluster", content(200)),
    }  # fmt: skip
    german = found["language", "deu"]
    assert (german["documents"], german["survivors"], german["exact"], german["near"]) == (40, 1, 0, 39)
    assert german["share"] == pytest.approx(39 / 40)
    assert german["samples"] == ["<0000>", "<0039>"]
    assert found["language", "und"]["samples"] == ["<0300>"]


def test_pages_crawled_again_unchanged_are_no_wipe_out(found: dict[tuple[str, str], dict[str, Any]]) -> None:
    again = found["domain", "again.example"]
    assert (again["documents"], again["exact"], again["share"]) == (20, 19, 0.0)


def test_a_bucket_is_counted_in_contents_not_in_rows(spark: Any) -> None:
    rows = [(S, n % 2, "all", 3, -7, content(n)) for n in range(40)] + [(S, 1, "all", 3, -7, content(0))]
    rows += [(S, 0, "all", 4, n, content(n)) for n in range(40)]
    [hot] = removals.buckets(spark.createDataFrame(rows, BANDS), above=20).collect()
    assert (hot["name"], hot["documents"], hot["samples"]) == ("all/3/FFFFFFFFFFFFFFF9", 40, [content(0), content(39)])
    assert (hot["snapshot"], hot["survivors"], hot["share"]) == ("*", None, None)


def test_large_buckets_are_found_by_a_part_of_their_members(spark: Any) -> None:
    def member(n: int) -> str:
        return str(xxhash.xxh3_128_hexdigest(str(n).encode()))

    rows = [(S, 0, "all", 0, 1, member(n)) for n in range(1_500)] + [(S, 0, "all", 0, 2, member(n)) for n in range(900)]
    [hot] = removals.buckets(spark.createDataFrame(rows, BANDS)).collect()
    assert (hot["name"], hot["documents"]) == ("all/0/1", 1_500)


def test_sizes_of_buckets_follow_the_places_of_their_members(spark: Any) -> None:
    """One grows hot, one cools, one stays hot with a new member, one that nobody touched keeps its row."""
    places = [("all", 0, 1, content(n), None if n else 1, n + 1) for n in range(6)]
    places += [("all", 0, 2, content(n), n + 1, n + 1 if n < 3 else None) for n in range(6)]
    places += [("all", 0, 3, content(n), n + 1 if n < 6 else None, n + 1) for n in range(7)]
    places += [("all", 0, 4, content(n), None, n + 1) for n in range(5)]
    frame = spark.createDataFrame(places, "scope string, band int, key bigint, content string, stood int, stands int")
    held = [("*", "bucket", f"all/0/{key}", 6, None, None, None, None, [content(0), content(5)]) for key in (2, 3, 9)]
    before = spark.createDataFrame(held, contract.load("removals").struct())

    def changes(complete: bool) -> list[tuple[Any, ...]]:
        found = removals.bucket_changes(before, removals.Places(frame, complete), above=5)
        return sorted((row["name"], row["documents"], row["_gone"], row["_new"]) for row in found.collect())

    delta = [("all/0/1", 6, 0, 1), ("all/0/2", 6, 1, 0), ("all/0/3", 7, 0, 0)]
    assert changes(complete=False) == delta
    assert changes(complete=True) == [*delta, ("all/0/9", 6, 1, 0)]


def judged(spark: Any, *rows: tuple[Any, ...]) -> dict[str, audit.ExpectationResult]:
    frame = spark.createDataFrame(list(rows), contract.load("removals").struct())
    return {result.expectation: result for result in audit.audit(frame, contract.load("removals"), {})}


LANGUAGE = (S, "language", "eng", 100_000, 60_000, 30_000, 10_000, 1 / 7, ["<1>"])


def test_a_healthy_corpus_passes(spark: Any) -> None:
    small = (S, "language", "glg", 900, 1, 0, 899, 0.99, ["<2>"])
    results = judged(spark, LANGUAGE, small, (S, "cluster", content(1), 1_200, 1, 900, 299, 0.99, ["<3>"]))
    assert audit.verdict(list(results.values())) == "passed"


def test_what_was_wiped_out_is_named(spark: Any) -> None:
    results = judged(
        spark,
        LANGUAGE,
        (S, "language", "tha", 5_000, 100, 100, 4_800, 0.98, ["<4>"]),
        (S, "domain", "books.example", 55_454, 1_629, 0, 53_825, 0.97, ["<5>"]),
        (S, "cluster", content(1), 51_161, 1, 0, 51_160, 0.99, ["<6>"]),
        ("*", "bucket", "all/3/AB", 4_000, None, None, None, None, [content(2)]),
    )
    failed = {name: result for name, result in results.items() if not result.success}
    assert {name: result.severity for name, result in failed.items()} == {
        "languages_not_wiped_out": "warning", "domains_not_wiped_out": "warning", "no_giant_cluster": "warning", "no_hot_bucket": "info",
    }  # fmt: skip
    assert failed["languages_not_wiped_out"].samples[0]["name"] == "tha"
    assert failed["domains_not_wiped_out"].samples[0]["survivors"] == 1_629
    assert failed["no_hot_bucket"].samples[0]["documents"] == 4_000
    assert not any(result.error for result in failed.values())


def test_no_rows_at_all_fail(spark: Any) -> None:
    assert audit.verdict(list(judged(spark).values())) == "failed"
