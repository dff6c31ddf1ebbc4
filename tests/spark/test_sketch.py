"""Stage `sketch`: one signature a document; one set and one row of keys a content and shard; texts stay where they are."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.protocol import stage
from crawlmill.recipes.recipe import Sketch
from crawlmill.text.minhash import scheme, sketches

SNAPSHOT = "CC-MAIN-2026-43"
SCHEMA = "snapshot string, shard int, id string, text string, language string"


@pytest.fixture(scope="module")
def job() -> Any:
    """The module `jobs/sketch.py`."""
    return sys.modules[stage.load("sketch").transform.__module__]


def documents() -> list[tuple[str, int, str, str, str]]:
    """Twenty texts, some short, some copied within and across shards, with and without the same language label."""
    rnd = random.Random(4)
    texts = [" ".join(rnd.choices("abcdefghijklmnop", k=rnd.choice((2, 40, 90)))) for _ in range(20)]
    copies = [rnd.choice(texts) for _ in range(30)]
    return [
        (
            SNAPSHOT,
            rnd.randrange(3),
            f"<urn:uuid:{rnd.randrange(10**9)}-{n}>",
            text + rnd.choice(("", "!")),
            rnd.choice(("deu", "eng")),
        )
        for n, text in enumerate([*texts, *copies])
    ]


def tables(spark: Any, job: Any, options: Sketch, partitions: int) -> tuple[list[Any], list[Any]]:
    frame = spark.createDataFrame(documents(), SCHEMA).repartition(partitions)
    found = job.tables(job.sketch(frame, options).persist(), options, scheme(options))
    return sorted(found["signatures"].collect()), sorted(found["bands"].collect())


@pytest.mark.parametrize("scope", ["all", "language"])
def test_sets_and_keys_stand_once_for_a_content_of_a_shard(spark: Any, job: Any, scope: str) -> None:
    options = Sketch(scope=scope)
    signatures, bands = tables(spark, job, options, 3)
    held = documents()
    own = {row[2]: sketch for row, sketch in zip(held, sketches([row[3] for row in held], options), strict=True)}
    assert sorted(row.id for row in signatures) == sorted(row[2] for row in held)
    least: dict[tuple[int, str], str] = {}
    for row in held:
        where = (row[1], own[row[2]].content)
        least[where] = min(row[2], least.get(where, row[2]))
    for row in signatures:
        sketch = own[row.id]
        assert (row.content, row.tokens, row.shingle_count, row.sampled) == (
            sketch.content,
            sketch.tokens,
            sketch.shingle_count,
            False,
        )
        first = least[row.shard, row.content] == row.id
        assert (bytes(row.shingles) if row.shingles is not None else None) == (sketch.shingles or None if first else None)
    wanted = {
        (SNAPSHOT, row[1], "all" if scope == "all" else row[4], band, key, own[row[2]].content)
        for row in held
        for band, key in enumerate(own[row[2]].keys)
    }
    assert [tuple(row) for row in bands] == sorted(wanted)
    assert {row.scheme for row in signatures} == {"affine32-s1-14x8-w5-c8-m5-h24-k16384-v1"}


def test_rows_do_not_depend_on_partitions(spark: Any, job: Any) -> None:
    assert tables(spark, job, Sketch(), 1) == tables(spark, job, Sketch(), 5)


def test_columns_are_those_of_the_contracts_and_no_text_is_exchanged(spark: Any, job: Any) -> None:
    found = job.tables(job.sketch(spark.createDataFrame(documents(), SCHEMA), Sketch()), Sketch(), "scheme")
    for name, rows in found.items():
        expected = [(field.name, field.dataType) for field in contract.load(name).struct()]
        assert [(field.name, field.dataType) for field in rows.schema] == expected
    plan = (
        found["signatures"]._jdf.queryExecution().optimizedPlan().toString()
        + found["signatures"]._jdf.queryExecution().executedPlan().toString()
    )
    exchanges = [line for line in plan.splitlines() if "Exchange" in line]
    assert exchanges
    assert not any("text" in line or "shingles" in line for line in exchanges)
