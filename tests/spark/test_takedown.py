"""Pages that are taken down are nowhere any more, and nothing that is run again brings them back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.lake import ledger, superseded, table
from crawlmill.protocol import stage
from crawlmill.releases import release
from crawlmill.takedowns import orders, takedown, takedown_rows, withdrawal
from crawlmill.upkeep import maintenance
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW, OLD
from tests.fixtures.pages import NEWER, OLDER

AFTER_EXTRACT = (
    "languages",
    "rewrites",
    "rewrite_steps",
    "signals",
    "signatures",
    "bands",
    "verdicts",
    "pairs",
    "clusters",
    "corpus",
)


def order(*names: str) -> orders.Order:
    return orders.make(names, "a lawyer", "a letter of 21 November")


def delete(spark: Any, lake: str, *names: str) -> dict[str, int]:
    return takedown.delete(spark, lake, order(*names), lambda line: None)


def settle(spark: Any, lake: str) -> None:
    lakes.run(spark, lake, "dedup")
    lakes.run(spark, lake, "publish")


@pytest.fixture(scope="module")
def without(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake that never had the page."""
    lake = str(tmp_path_factory.mktemp("without") / "lake")
    for snapshot, pages in ((OLD, OLDER), (NEW, NEWER)):
        lakes.put_documents(lake, snapshot, {name: text for name, text in pages.items() if name != "p1"})
        lakes.ingest(spark, lake, snapshot)
    settle(spark, lake)
    return lake


def everything(spark: Any, lake: str) -> dict[str, list[str]]:
    return {name: lakes.contents(spark, lake, name) for name in AFTER_EXTRACT}


@pytest.mark.full
def test_every_table_is_as_if_the_page_had_never_been_there(spark: Any, copy: str, without: str) -> None:
    assert delete(spark, copy, "p1.example.org") == {OLD: 1, NEW: 1}
    assert lakes.record_id(f"{OLD}/p1") not in str(lakes.contents(spark, copy, "corpus")), (
        "it left the corpus before anything else ran"
    )
    settle(spark, copy)
    assert everything(spark, copy) == everything(spark, without)
    rejects = table.read(spark, copy, "rejects", table.version(copy, "rejects")).collect()
    assert [(row["reason"], row["url"], row["message"]) for row in rejects] == 2 * [
        ("taken_down", None, f"taken down by order {order('p1.example.org').name}")
    ]
    gone = {lakes.record_id(f"{snapshot}/p1") for snapshot in (OLD, NEW)}
    for name in contract.all_tables():
        rows = str(lakes.contents(spark, copy, name))
        assert "p1.example.org" not in rows or name == "runs", name
        assert name in ("rejects", "page_index") or not any(own in rows for own in gone), name
    clusters = {row["id"]: row for row in table.read(spark, copy, "clusters", table.version(copy, "clusters")).collect()}
    assert clusters[lakes.record_id(f"{OLD}/copy")]["kind"] == "survivor", "the copy stands in its place now"
    for name in lakes.ROW_LOCAL:
        run = lakes.run(spark, copy, name, NEW, force=True)
        moved = [run for run in ledger.runs(copy, name, NEW) if takedown.TAKEN in run.digests]
        assert sorted(map(str, run.counts)) == sorted(map(str, moved[-1].counts)), name
    settle(spark, copy)
    assert everything(spark, copy) == everything(spark, without)
    versions = [table.version(copy, name) for name in takedown_rows.tables()]
    assert delete(spark, copy, "p1.example.org") == {}, "there is nothing left to do"
    assert versions == [table.version(copy, name) for name in takedown_rows.tables()]
    audit = ledger.runs(copy, superseded.STAGE, OLD)
    assert len(audit) == 1 and "domain p1.example.org, asked for by a lawyer: a letter" in (audit[0].message or "")


@pytest.mark.full
def test_the_page_is_nowhere_and_nothing_is_due(spark: Any, copy: str) -> None:
    gone = lakes.record_id(f"{OLD}/p1")
    assert delete(spark, copy, gone) == {OLD: 1}
    assert gone not in str(lakes.contents(spark, copy, "corpus")), "it left the corpus before anything else ran"
    with pytest.raises(stage.UserError, match="run dedup first"):
        lakes.run(spark, copy, "publish", force=True)
    for name in lakes.ROW_LOCAL:
        said: list[str] = []
        stage.run(stage.load(name), lakes.job(copy, OLD), spark, said.append)
        assert "up to date" in said[-1]
    settle(spark, copy)
    assert gone not in str(everything(spark, copy))
    clusters = {row["id"]: row for row in table.read(spark, copy, "clusters", table.version(copy, "clusters")).collect()}
    assert clusters[lakes.record_id(f"{OLD}/copy")]["kind"] == "survivor", "the copy stands in its place now"


@pytest.mark.full
def test_releases_are_withdrawn_and_built_again_without_the_page(spark: Any, copy: str) -> None:
    first = release.build(spark, lakes.job(copy), "web", [OLD], say=lambda line: None)
    others = release.build(spark, lakes.job(copy), "new-only", [NEW], say=lambda line: None)
    made = order("p9.example.org")  # of the older snapshot alone
    recipe = lakes.job(copy).recipe
    found = takedown.preview(spark, copy, made)
    assert found["releases"] == ["web"] and found["tables"]["documents"] == {OLD: 1} and orders.held(copy) == []
    assert takedown.execute(spark, copy, made, recipe, lambda line: None) == {OLD: 1}
    assert release.names(copy) == ["new-only", "web-r2"] and not (Path(release.root(copy, "web")) / "corpus").exists()
    after = release.manifest(copy, "web-r2")
    assert after and after["replaces"] == {"release": "web", "order": made.name}
    assert after["total"]["documents"] == first["total"]["documents"] - 1
    assert release.manifest(copy, "new-only") == others
    with pytest.raises(stage.UserError, match="release web was withdrawn by takedown-.*: release web-r2 takes its place"):
        release.prepare(None, lakes.job(copy), "web", [OLD], 10)
    assert withdrawal.due(copy) == []
    with pytest.raises(stage.UserError, match="followed another recipe"):
        takedown.require_recipe(copy, recipe.model_copy(update={"dedup": recipe.dedup.model_copy(update={"threshold": 0.7})}))


@pytest.mark.full
def test_the_files_that_held_the_page_go_with_time(spark: Any, copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    delete(spark, copy, "p1.example.org")
    settle(spark, copy)
    text = OLDER["p1"][:40]

    def held() -> set[str]:
        """Tables of texts of which a data file still has the page."""
        import pyarrow.parquet as pq

        found = set()
        for name in ("documents", "corpus"):
            for file in Path(table.path(copy, name)).rglob("*.parquet"):
                rows = pq.ParquetFile(file).read().to_pylist()
                if any((row["text"] or "").startswith(text) and row["url"] == "https://p1.example.org/" for row in rows):
                    found.add(name)
        return found

    assert held() == {"documents", "corpus"}
    maintenance.maintain(copy)
    assert held() == {"documents", "corpus"}, "not before the retention is over"
    monkeypatch.setattr(maintenance, "LEAST_HOURS", 0)
    maintenance.maintain(copy, retention_hours=0)
    assert held() == set()
    lakes.run(spark, copy, "gate", OLD, force=True)
    settle(spark, copy)


@pytest.mark.full
def test_two_takedowns_at_once(spark: Any, copy: str, tmp_path: Path) -> None:
    """The second begins and ends between the first's look at a snapshot and its first deletion there."""
    one_by_one = str(shutil.copytree(copy, tmp_path / "one by one"))
    for name in ("p9.example.org", "p1.example.org"):
        delete(spark, one_by_one, name)
    settle(spark, one_by_one)
    pending = ["p9.example.org"]

    def meanwhile(line: str) -> None:
        if pending and line.startswith("deleting from"):
            delete(spark, copy, pending.pop())

    takedown.delete(spark, copy, order("p1.example.org"), meanwhile)
    assert not pending
    for name in lakes.ROW_LOCAL:
        said: list[str] = []
        stage.run(stage.load(name), lakes.job(copy, OLD), spark, said.append)
        assert "up to date" in said[-1]
    settle(spark, copy)
    assert everything(spark, copy) == everything(spark, one_by_one)


@pytest.mark.full
def test_extract_leaves_what_the_takedown_left(spark: Any, crawl: Path, tmp_path: Path) -> None:
    lakes_ = {name: str(tmp_path / name) for name in ("after", "before")}
    truth = [json.loads(line) for line in (crawl / "truth.jsonl").read_text().splitlines()]
    hosts = sorted({row["url"].split("/")[2] for row in truth if row["snapshot"] == NEW and row.get("url")})
    names = (hosts[0], hosts[len(hosts) // 2])
    table.create_all(lakes_["before"])
    orders.add(lakes_["before"], order(*names))
    for lake in lakes_.values():
        lakes.run(spark, lake, "extract", NEW, source=str(crawl))
    removed = delete(spark, lakes_["after"], *names)
    assert removed[NEW] > 0
    for name in ("documents", "rejects", "crawl_files"):
        assert lakes.contents(spark, lakes_["after"], name) == lakes.contents(spark, lakes_["before"], name), name
    before, after = (ledger.released(lake, "extract", NEW) for lake in (lakes_["before"], lakes_["after"]))
    assert before and after and sorted(map(str, before.counts)) == sorted(map(str, after.counts))
    lakes.run(spark, lakes_["after"], "extract", NEW, source=str(crawl), shards=[0])  # goes on from what is there
    again = lakes.run(spark, lakes_["after"], "extract", NEW, source=str(crawl), shards=[0], force=True)
    assert again.verdict in ("passed", "warned")
    assert lakes.contents(spark, lakes_["after"], "rejects") == lakes.contents(spark, lakes_["before"], "rejects")
