"""Commits: partitions are replaced by literals, later attempts win, nothing is skipped silently."""

from __future__ import annotations

from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure, Fenced, UserError
from crawlmill.lake import fence, table
from tests.fixtures import lake_tables

OLD, NEW = "CC-MAIN-2026-38", "CC-MAIN-2026-43"


def rows(spark: Any, snapshot: str, shard: int, ids: list[str], language: str = "eng") -> Any:
    values = [(snapshot, shard, i, language, "Latn", 0.9, None, None, 1.0, 0.9, "0" * 64) for i in ids]
    return spark.createDataFrame(values, contract.load("languages").struct())


def commit(lake: str, snapshot: str, shards: list[int] | None = None, run_id: str = "r") -> table.Commit:
    token = fence.draw(lake, "identify", snapshot, shards, run_id)
    return table.Commit(lake, "identify", snapshot, shards, token, {"run_id": run_id})


def contents(spark: Any, lake: str) -> set[tuple[str, int, str]]:
    found = table.read(spark, lake, "languages", table.version(lake, "languages"))
    return {(row["snapshot"], row["shard"], row["id"]) for row in found.collect()}


def test_partitions_are_replaced_and_only_those(spark: Any, lake: str) -> None:
    table.create_all(lake)
    commit(lake, NEW, [0]).replace("languages", rows(spark, NEW, 0, ["a", "b"]))
    commit(lake, NEW, [1]).replace("languages", rows(spark, NEW, 1, ["c"]))
    commit(lake, OLD).replace("languages", rows(spark, OLD, 0, ["z"]))  # an older snapshot, backfilled later
    commit(lake, NEW, [0]).replace("languages", rows(spark, NEW, 0, ["a"]))
    assert contents(spark, lake) == {(NEW, 0, "a"), (NEW, 1, "c"), (OLD, 0, "z")}
    assert table.shards_of(lake, "languages", NEW) == {0, 1}
    commit(lake, NEW, [1]).drop("languages", spark)
    assert contents(spark, lake) == {(NEW, 0, "a"), (OLD, 0, "z")}


def test_an_empty_result_empties_the_partition(spark: Any, lake: str) -> None:
    table.create_all(lake)
    commit(lake, NEW).replace("languages", rows(spark, NEW, 0, ["a"]))
    commit(lake, NEW).replace("languages", rows(spark, NEW, 0, []))
    assert contents(spark, lake) == set()


def test_an_orphaned_attempt_cannot_commit_after_a_later_one(spark: Any, lake: str) -> None:
    table.create_all(lake)
    orphan = commit(lake, NEW, run_id="orphan")
    commit(lake, NEW, run_id="retry").replace("languages", rows(spark, NEW, 0, ["right"]))
    with pytest.raises(Fenced, match="retry"):
        orphan.replace("languages", rows(spark, NEW, 0, ["wrong"]))
    assert contents(spark, lake) == {(NEW, 0, "right")}


def test_a_commit_that_delta_skips_is_an_error(spark: Any, lake: str) -> None:
    table.create_all(lake)
    once = commit(lake, NEW)
    once.replace("languages", rows(spark, NEW, 0, ["a"]))
    with pytest.raises(CriticalFailure, match="not in its log"):
        once.replace("languages", rows(spark, NEW, 0, ["b"]))


def test_rows_outside_the_partition_are_refused(spark: Any, lake: str) -> None:
    table.create_all(lake)
    with pytest.raises(CriticalFailure, match="outside the partitions"):
        commit(lake, NEW, [0]).replace("languages", rows(spark, NEW, 1, ["a"]))


def test_an_injected_snapshot_id_never_reaches_a_predicate(lake: str) -> None:
    with pytest.raises(UserError, match="snapshot id"):
        table.partition("x' OR 1=1 --")


def test_a_merge_writes_differences_only(spark: Any, lake: str) -> None:
    table.create_all(lake)

    def merge(values: list[tuple[Any, ...]]) -> int:
        token = fence.draw(lake, "dedup", "*", None, "r")
        frame = spark.createDataFrame(values, contract.load("pairs").struct())
        at, keys = table.version(lake, "pairs"), ["a", "b"]
        changes = table.difference(table.read(spark, lake, "pairs", at), frame, keys)
        return table.Commit(lake, "dedup", "*", None, token, {"run_id": "r", "token": token}).merge("pairs", changes, keys, at)

    one, two = ("1" * 32, "2" * 32, 0.9, 0.9, 1.0, 3, "all"), ("1" * 32, "3" * 32, 0.8, 0.9, 0.9, 1, "all")
    first = merge([one, two])
    assert merge([two, one]) == first  # nothing differs: no version
    changed = merge([(*one[:5], 7, "all")])
    assert changed == first + 1
    (row,) = table.read(spark, lake, "pairs", changed).collect()
    assert row["bits"] == 7


def test_the_readme_s_example_for_spark_sql(spark: Any, lake: str) -> None:
    from tests.unit.test_other_tools import examples

    table.create_all(lake)
    row = {
        "shard": 0,
        "id": "a",
        "url": "https://a.example/",
        "date": None,
        "language": "deu",
        "language_script": "Latn",
        "text": "x",
        "rewritten": False,
    }
    lake_tables.put(lake, "corpus", "CC-MAIN-2026-43", [row, {**row, "id": "b", "language": "eng"}])
    names: dict[str, Any] = {"spark": spark, "lake": lake}
    exec(next(block for block in examples() if "spark.sql" in block), names)
    assert {row["language"]: row["n"] for row in names["recent"].collect()} == {"deu": 1, "eng": 1}
    assert [row["id"] for row in names["texts"].collect()] == ["a"]
