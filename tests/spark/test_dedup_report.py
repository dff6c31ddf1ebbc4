"""What is told of a settled lake: sizes, first and last seen, weights, removals; what removals do after a run that died."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.dedup import cluster_stats, dedup_report, removals
from crawlmill.errors import UserError
from crawlmill.lake import fence, ledger, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.recipes.recipe import Sketch
from crawlmill.text.minhash import scheme, sketches
from tests.fixtures import lake_tables, lakes, prose
from tests.fixtures.lakes import NEW, OLD

OLDER = {f"p{n}": prose.article(n) for n in range(6)} | {"copy": prose.article(1), "near": prose.edited(prose.article(2))}
NEWER = {f"p{n}": prose.article(n) for n in range(3)} | {"bad": prose.article(30), "worse": prose.edited(prose.article(30))}
BAD = ("bad", "worse")


def commit(
    lake: str, stage_name: str, snapshot: str, rows: dict[str, list[Any]], inputs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Put rows there as a released run of a stage; returns its outputs as inputs of the next."""
    token = fence.draw(lake, stage_name, snapshot, None, "put")
    outputs = [{"table": name, "version": lake_tables.put(lake, name, snapshot, own)} for name, own in rows.items()]
    key = hashlib.sha256(f"{stage_name} {snapshot}".encode()).hexdigest()
    ledger.append_run(
        lake, RunRow(f"put-{token}", stage_name, snapshot, key, "passed", inputs=inputs, outputs=outputs, fence=token)
    )
    return [{**entry, "snapshot": snapshot} for entry in outputs]


def put(lake: str, snapshot: str, pages: dict[str, str], day: int) -> None:
    """A snapshot as gate and sketch would leave it; pages named in BAD fail a quality rule, `p5` its language."""
    table.create_all(lake)
    made = [
        lakes.document(snapshot, n % 2, name, text) | {"date": datetime(2026, 9, day + n % 3, tzinfo=UTC)}
        for n, (name, text) in enumerate(sorted(pages.items()))
    ]
    read = commit(lake, "extract", snapshot, {"documents": made}, [])
    rule = {"signal": "s", "value": 1.0, "op": "max", "limit": 0.0}
    broken = {**dict.fromkeys(BAD, "list_ratio"), "p5": "language_score"}
    judged = []
    for row in made:
        failed = [{"rule": broken[row["title"]], **rule}] if row["title"] in broken else []
        judged.append({**key_of(row), "language": "eng", "language_script": "Latn", "eligible": not failed, "failed": failed})
    commit(lake, "gate", snapshot, {"verdicts": judged}, read)
    commit(lake, "sketch", snapshot, sketched(made), read)


def key_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("snapshot", "shard", "id")}


def sketched(documents: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Rows of signatures and bands, the set and the keys of a content once a shard."""
    rows: dict[str, list[Any]] = {"signatures": [], "bands": []}
    seen = set()
    for row, sketch in zip(documents, sketches([row["text"] for row in documents], Sketch()), strict=True):
        first = (row["shard"], sketch.content) not in seen
        seen.add((row["shard"], sketch.content))
        own = {"content": sketch.content, "scheme": scheme(Sketch()), "shingles": sketch.shingles if first else None}
        rows["signatures"].append({**key_of(row), **own})
        where = {"snapshot": row["snapshot"], "shard": row["shard"], "scope": "all", "content": sketch.content}
        rows["bands"] += [{**where, "band": band, "key": key} for band, key in enumerate(sketch.keys if first else [])]
    return rows


@pytest.fixture(scope="module")
def settled(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two snapshots that dedup has settled."""
    lake = str(tmp_path_factory.mktemp("report") / "lake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])
        put(lake, OLD, OLDER, 1)
        put(lake, NEW, NEWER, 10)
        lakes.run(spark, lake, "dedup")
        yield lake


def seen(spark: Any, lake: str) -> Any:
    return dedup_report.context(spark, lakes.job(lake))


def test_sizes_add_up_and_tell_when_a_page_was_seen(spark: Any, settled: str) -> None:
    found = dedup_report.report(seen(spark, settled))
    assert found["snapshots"] == [OLD, NEW]
    assert (found["documents"], found["clusters"]) == (7 + 3, 5)
    classes = {row["size"]: row for row in found["classes"]}
    assert {size: (row["clusters"], row["exact_copies"], row["near_copies"]) for size, row in classes.items()} == {
        "1": (2, 0, 0), "2": (1, 1, 0), "3": (2, 2, 2),
    }  # fmt: skip
    first = found["largest"][0]
    assert (first["minhash_cluster_size"], first["snapshots"]) == (3, 2)
    assert first["urls"] == 2  # p1 or p2 in two snapshots, and its copy under another name
    assert first["first_seen"] < datetime(2026, 9, 5) <= datetime(2026, 9, 10) <= first["last_seen"]


def test_weights_are_of_all_documents_that_were_told_a_language(spark: Any, settled: str) -> None:
    context = seen(spark, settled)
    counts = cluster_stats.rows(cluster_stats.removals(dedup_report.everybody(context), context.read_all("verdicts")))
    assert sorted((row["size"], row["clusters"], row["removed"]) for row in counts) == [(1, 2, 0), (2, 2, 1), (3, 2, 0)]
    assert dedup_report.repeats(context, 3, least=1) == {"eng": {1: 3, 2: 1, 3: 3}}
    everything = dedup_report.repeats(context, 3, least=1, before=())
    assert everything == {"eng": {1: 1, 3: 3}}  # p5, of an unsure language, is a cluster of one and is removed


def test_removals_are_those_of_every_snapshot(spark: Any, settled: str) -> None:
    held = table.read(spark, settled, "removals", table.version(settled, "removals")).collect()
    assert sorted((row["snapshot"], row["what"], row["name"], row["documents"], row["survivors"], row["exact"], row["near"]) for row in held) == [
        (OLD, "language", "eng", 7, 5, 1, 1), (NEW, "language", "eng", 3, 0, 2, 1),
    ]  # fmt: skip
    run = ledger.released(settled, "dedup", "*")
    assert run is not None
    note = table_log.noted(settled, "removals")
    assert note is not None and note["note"] == {name: run.output(name) for name in ("pairs", "clusters")}


class Caught:
    """In place of a commit: what would be merged."""

    def __init__(self) -> None:
        self.rows: list[Any] | None = None

    def merge(self, name: str, changes: Any, keys: Any, at: int, note: dict[str, Any]) -> int:
        self.rows = sorted((row["what"], row["name"], row["snapshot"], row["_gone"], row["_new"]) for row in changes.collect())
        return at + 1


def test_removals_are_counted_anew_where_the_last_count_is_of_another_state(
    spark: Any, settled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = seen(spark, settled)
    run = ledger.released(settled, "dedup", "*")
    assert run is not None
    versions = {name: run.output(name) for name in ("pairs", "clusters")}
    context.notes["at"] = versions
    clusters = table.read(spark, settled, "clusters", versions["clusters"])
    own = table.version(settled, "removals")
    still: Any = Caught()
    assert removals.commit(context, still, clusters.limit(0), versions, None) == own
    assert still.rows is None  # counted at these versions already: nothing is read
    # An attempt that died between its commits leaves a count of older versions, and its successor sees no changes.
    monkeypatch.setattr(table_log, "noted", lambda *_: {"note": {"pairs": -1, "clusters": -1}})
    read = table.read
    stale = [
        (OLD, "language", "tha", 5, 5, 0, 0, 0.0, ["<1>"]),
        ("*", "bucket", "all/0/1", 2_000, None, None, None, None, ["<1>"]),
    ]
    before = spark.createDataFrame(stale, contract.load("removals").struct())
    monkeypatch.setattr(table, "read", lambda *args: before if args[2] == "removals" else read(*args))
    anew: Any = Caught()
    assert removals.commit(context, anew, clusters.limit(0), versions, None) == own + 1
    assert anew.rows == [
        ("bucket", "all/0/1", "*", 1, 0), ("language", "eng", OLD, 0, 1), ("language", "eng", NEW, 0, 1), ("language", "tha", OLD, 1, 0),
    ]  # fmt: skip


def test_a_lake_that_was_never_settled_says_so(spark: Any, lake: str) -> None:
    with pytest.raises(UserError, match="there is no table runs"):
        dedup_report.context(spark, lakes.job(lake))
    contract.create(lake, "runs")
    with pytest.raises(UserError, match="dedup has not passed"):
        dedup_report.context(spark, lakes.job(lake))
