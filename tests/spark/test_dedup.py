"""Dedup on Spark and on a lake: both interpreters give the definition; a lake settles whatever happened between its commits."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crawlmill.dedup import feed, local
from crawlmill.dedup.candidates import rank
from crawlmill.dedup.resolve import resolve
from crawlmill.dedup.urls import repeated
from crawlmill.errors import CriticalFailure, UserError
from crawlmill.lake import fence, ledger, pins, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import stage
from crawlmill.recipes.recipe import Dedup, Sketch, from_mapping
from crawlmill.text.minhash import scheme
from crawlmill.text.shingle_set import encode
from tests.fixtures.histories import SNAPSHOTS, Lake, Store, check_definition, definition, random_pages, random_step
from tests.fixtures.lake_tables import put
from tests.fixtures.spark_relations import connect

OLD, MIDDLE, _, NEW = SNAPSHOTS
RULES = {"top": 2, "threshold": 0.7}


def histories(spark: Any, rules: Dedup, scopes: tuple[str, ...], steps: int, partitions: int, seed: int) -> None:
    """A lake of many groups of pages, each a small history of its own, step by step on Spark."""
    rnd = random.Random(seed)
    store = Store(rules, scoped=len(scopes) > 1)
    if steps > 1:  # else what is there before is settled without Spark, which takes half as long
        store.connect = connect(spark, partitions)
    lake: Lake = {MIDDLE: random_pages(rnd, MIDDLE, scopes, 120, 14), NEW: random_pages(rnd, NEW, scopes, 120, 14)}
    store.settle(lake)
    check_definition(store, lake)
    store.connect = connect(spark, partitions)
    for step in range(steps):
        if step == 0:
            lake = {
                **lake,
                OLD: random_pages(rnd, OLD, scopes, 120, 14),
                NEW: tuple(replace(p, eligible=rnd.random() < 0.6) for p in lake[NEW]),
            }
        else:
            lake = random_step(rnd, lake, scopes, 120, 14)
        if step % 3 == 1:
            store.settle(lake, dies_between=True)
        store.settle(lake)
        check_definition(store, lake)


def test_spark_gives_the_definition(spark: Any) -> None:
    histories(spark, Dedup(order="newest", top=2, threshold=0.7), ("deu", "eng"), 1, 3, 3)


@pytest.mark.full
@pytest.mark.parametrize(("order", "measure", "scopes", "partitions"), [
    ("oldest", "jaccard", ("all",), 1), ("newest", "containment", ("all",), 5), ("content", "jaccard", ("deu", "eng"), 2),
])  # fmt: skip
def test_spark_gives_the_definition_over_long_histories(
    spark: Any, order: Any, measure: Any, scopes: tuple[str, ...], partitions: int
) -> None:
    for seed in range(3):
        histories(spark, Dedup(order=order, top=2, threshold=0.7, measure=measure), scopes, 6, partitions, seed)


class Settled:
    """A lake whose tables of sketch and gate are put there, and stage dedup on it."""

    def __init__(self, spark: Any, root: str):
        self.spark, self.root, self.lake, self.pins = spark, root, dict[str, Any](), dict[tuple[str, str], int]()
        self.recipe = from_mapping({"dedup": RULES})
        table.create_all(root)

    def put(self, lake: Lake) -> None:
        """Bring the lake to this state: write what differs, as sketch and gate would."""
        for snapshot in lake.keys() | self.lake.keys():
            pages = lake.get(snapshot)
            if pages is None:
                for name in ("signatures", "bands", "verdicts"):
                    del self.pins[name, snapshot]
            elif pages != self.lake.get(snapshot):
                self._write(snapshot, pages)
        self.lake = dict(lake)

    def _write(self, snapshot: str, pages: Any) -> None:
        own = scheme(self.recipe.sketch)
        seen: set[tuple[int, str]] = set()
        rows: dict[str, list[dict[str, Any]]] = {"signatures": [], "bands": [], "verdicts": []}
        for p in sorted(pages, key=lambda p: p.id):
            where = {"snapshot": snapshot, "shard": p.shard}
            first = (p.shard, p.content) not in seen
            seen.add((p.shard, p.content))
            shingles = encode(p.window) if first and p.buckets() else None
            rows["signatures"].append({**where, "id": p.id, "content": p.content, "scheme": own, "shingles": shingles})
            rows["verdicts"].append({**where, "id": p.id, "eligible": p.eligible})
            if first:
                rows["bands"] += [{**where, "scope": s, "band": b, "key": k, "content": p.content} for s, b, k in p.buckets()]
        for name, own_rows in rows.items():
            self.pins[name, snapshot] = put(self.root, name, snapshot, own_rows)

    def context(self, force: bool = False) -> Any:
        job = stage.Job(self.root, self.recipe, "", force=force)
        return stage.Context(self.spark, job, dict(self.pins))

    def settle(self, force: bool = False) -> dict[str, int]:
        """One attempt of the stage, without its checks and expectations."""
        dedup, context = stage.load("dedup"), self.context(force)
        token = fence.draw(self.root, "dedup", "*", None, "run")
        to = table.Commit(self.root, "dedup", "*", None, token, {"run_id": f"run-{token}"})
        try:
            outputs = dedup.transform(context)
            assert dedup.commit is not None
            return dedup.commit(context, to, outputs)
        finally:
            self.spark.catalog.clearCache()

    def check(self) -> None:
        """Both tables are what the definition says."""
        pairs, clusters = definition(self.lake, self.recipe.dedup)
        columns = {"pairs": "scope, a, b, similarity, containment_a, containment_b, bits",
                   "clusters": "snapshot, shard, id, content, survivor, survivor_id, kind, similarity"}  # fmt: skip
        db = local.LocalRelations(None, self.root, {}, self.recipe.dedup, 0)
        found = {name: db.rows(db.at(name, table.version(self.root, name), of)) for name, of in columns.items()}
        assert found == {"pairs": pairs, "clusters": clusters}


@pytest.fixture
def settled(spark: Any, lake: str, monkeypatch: pytest.MonkeyPatch) -> Settled:
    """An empty lake; what is derived from clusters and pairs has tests of its own."""
    monkeypatch.setattr("crawlmill.dedup.removals.commit", lambda *_: 0)
    return Settled(spark, lake)


def states(seed: int, count: int) -> Iterator[Lake]:
    """A lake in several states: snapshots come, come again, go, are judged again."""
    rnd = random.Random(seed)
    lake: Lake = {snapshot: random_pages(rnd, snapshot, ("all",), 14) for snapshot in (MIDDLE, NEW)}
    yield lake
    for _ in range(count):
        for _ in range(2):
            lake = random_step(rnd, lake, ("all",), 14) or lake
        yield lake


BOUNDARIES = ("before_commit:pairs", "committed:pairs", "before_commit:clusters", "committed:clusters")


@pytest.mark.parametrize(
    "boundaries", [BOUNDARIES[1:2], pytest.param(BOUNDARIES, marks=pytest.mark.full)], ids=["between", "all"]
)
def test_an_attempt_may_die_at_any_boundary(
    settled: Settled, monkeypatch: pytest.MonkeyPatch, boundaries: tuple[str, ...]
) -> None:
    """After each death something else happens, too; then one attempt makes up for everything. Only between the two commits is one without the other."""
    following = states(4, 2 * len(boundaries))
    settled.put(next(following))
    settled.settle()
    settled.check()
    for boundary in boundaries:
        settled.put(next(following))
        monkeypatch.setenv("CRAWLMILL_FAILPOINT", f"dedup:{boundary}=fail")
        with pytest.raises(RuntimeError, match="failpoint"):
            settled.settle()
        monkeypatch.delenv("CRAWLMILL_FAILPOINT")
        settled.put(next(following))
        settled.settle()
        settled.check()


def test_what_was_settled_is_known_and_what_cannot_be_built_upon_is_not(
    settled: Settled, caplog: pytest.LogCaptureFixture
) -> None:
    rnd = random.Random(9)
    first: Lake = {snapshot: random_pages(rnd, snapshot, ("all",), 14) for snapshot in (MIDDLE, NEW)}
    second, third = ({**first, snapshot: random_pages(rnd, snapshot, ("all",), 14)} for snapshot in (OLD, MIDDLE))
    third[OLD] = second[OLD]
    settled.put(first)
    versions = settled.settle()
    assert settled.settle() == versions  # nothing new: no version
    settled.put(second)
    settled.settle()
    assert not caplog.records
    # VACUUM took what the bands of a changed snapshot were.
    settled.put(third)
    note = table_log.noted(settled.root, "pairs")
    assert note is not None
    at, victim = note["note"]["pins"]["bands"][MIDDLE], MIDDLE
    from deltalake import DeltaTable

    for file in DeltaTable(f"{settled.root}/bands", version=at).file_uris([("snapshot", "=", victim)]):
        Path(file).unlink()
    settled.settle()
    settled.check()
    assert f"VACUUM has taken what table bands held of {victim}" in caplog.text
    # An attempt whose rows were found wrong, another recipe, force.
    caplog.clear()
    assert (found := table_log.noted(settled.root, "clusters"))
    ledger.append_run(settled.root, RunRow("r", "dedup", "*", "key", "failed", fence=found["fence"]))
    settled.settle()
    assert "what wrote it last was found wrong" in caplog.text
    settled.recipe = from_mapping({"dedup": {**RULES, "threshold": 0.5, "measure": "containment"}})
    settled.settle()
    settled.check()
    assert "the recipe or the code has changed" in caplog.text
    settled.settle(force=True)
    settled.check()


def test_the_change_feed_tells_who_changed_side(spark: Any, settled: Settled) -> None:
    rnd = random.Random(2)
    lake = {NEW: random_pages(rnd, NEW, ("all",), 20), MIDDLE: random_pages(rnd, MIDDLE, ("all",), 20)}
    settled.put(lake)
    before = settled.settle()["clusters"]
    kept = {row[:3] for row in definition(settled.lake, settled.recipe.dedup)[1] if row[6] == "survivor"}
    settled.put({**lake, OLD: random_pages(rnd, OLD, ("all",), 20)})
    after = settled.settle()["clusters"]
    settled.check()
    keeps = {row[:3] for row in definition(settled.lake, settled.recipe.dedup)[1] if row[6] == "survivor"}
    sides = feed.sides(spark, settled.root, before, after)
    assert sides is not None
    found = {(row["snapshot"], row["shard"], row["id"]): row["side"] for row in sides.collect()}
    assert found == {**dict.fromkeys(keeps - kept, "came"), **dict.fromkeys(kept - keeps, "left")}
    assert "left" in found.values()
    assert feed.sides(spark, settled.root, after + 5, after + 6) is None
    # Publish looks where documents changed side, and where what rows are made of changed.
    publish = sys.modules[stage.load("publish").transform.__module__]
    context = settled.context()
    context.pins |= {("clusters", "*"): after, ("documents", NEW): 1}
    inputs = pins.rows({**context.pins, ("clusters", "*"): before})
    run = RunRow("r", "publish", "*", "key", "passed", inputs=inputs, digests={publish.SETTINGS: publish.settings(context)})
    expected = {f"{snapshot}/{shard}" for snapshot, shard, _ in found}
    assert publish.suspects(context, run) == expected
    context.pins["documents", NEW] = 2
    assert publish.suspects(context, run) == expected | {
        f"{NEW}/{shard}" for shard in table.shards_of(settled.root, "clusters", NEW)
    }
    run.digests[publish.SETTINGS] = "another recipe"
    assert publish.suspects(context, run) is None


def test_a_release_over_fewer_snapshots_needs_pairs_only(spark: Any, settled: Settled) -> None:
    rnd = random.Random(7)
    lake = {snapshot: random_pages(rnd, snapshot, ("all",), 20) for snapshot in SNAPSHOTS}
    settled.put(lake)
    at = settled.settle()["pairs"]
    few = {snapshot: lake[snapshot] for snapshot in (MIDDLE, NEW)}
    copies = [(s, p.shard, p.id, p.content) for s, pages in few.items() for p in pages if p.eligible]
    frame = spark.createDataFrame(copies, "snapshot string, shard int, id string, content string")
    found = resolve(frame, table.read(spark, settled.root, "pairs", at), settled.recipe.dedup)
    # K is large enough that the candidates of all snapshots are those of any of them.
    rules = settled.recipe.dedup.model_copy(update={"top": 100})
    assert {row["id"] for row in found.collect()} == {copy[2] for copy in copies}
    if definition(lake, rules)[0] == definition(lake, settled.recipe.dedup)[0]:
        assert sorted(tuple(row) for row in found.collect()) == definition(few, rules)[1]
    kept = {row["id"] for row in found.where("kind = 'survivor'").collect()}
    assert {row["survivor_id"] for row in found.collect()} == kept


def test_sketches_of_another_recipe_are_refused(settled: Settled) -> None:
    settled.put({OLD: random_pages(random.Random(1), OLD, ("all",), 8)})
    settled.recipe = from_mapping({"dedup": RULES, "sketch": {"ngram": 4}})
    assert scheme(settled.recipe.sketch) != scheme(Sketch())
    with pytest.raises(UserError, match=f"signatures of {OLD} are of scheme .*, the recipe says .*w4.*: run sketch again"):
        settled.settle()


def test_an_append_that_changes_an_older_row_is_refused(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = random_pages(random.Random(3), OLD, ("all",), 14)
    settled.put({OLD: pages})
    settled.settle()
    settled.put({OLD: pages, NEW: tuple(replace(page, id=f"again-{page.id}") for page in pages)})
    # An engine that lets the newest stay, under a recipe by which the oldest does.
    monkeypatch.setattr("crawlmill.dedup.candidates.rank", lambda order, *of: rank("newest", *of))
    monkeypatch.setattr(sys.modules[stage.load("dedup").transform.__module__], "rank", lambda order, *of: rank("newest", *of))
    with pytest.raises(CriticalFailure, match=f"ingesting {NEW} would change what clusters says of older documents"):
        settled.settle()


@pytest.mark.full
def test_a_large_lake_is_settled_by_spark(settled: Settled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SMALL", 0)
    first, second = states(12, 1)
    for state in (first, second):
        settled.put(state)
        settled.settle()
        settled.check()


def test_addresses_that_stay_twice(spark: Any) -> None:
    rows = [(NEW, 0, "b", "survivor"), (OLD, 1, "c", "survivor"), (OLD, 0, "d", "survivor"), (MIDDLE, 0, "e", "exact")]
    clusters = spark.createDataFrame(rows, "snapshot string, shard int, id string, kind string")
    urls = [(*row[:3], "https://a.example/" if row[2] != "d" else "https://d.example/") for row in rows]
    documents = spark.createDataFrame(urls, "snapshot string, shard int, id string, url string")
    for order, expected in (("oldest", (NEW, "b", OLD, "c")), ("newest", (OLD, "c", NEW, "b"))):
        (found,) = repeated(clusters, documents, Dedup(order=order)).collect()
        assert (found["snapshot"], found["id"], found["first_snapshot"], found["first_id"]) == expected
