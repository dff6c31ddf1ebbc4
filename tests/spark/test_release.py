"""A release: survivors within a set of snapshots, a manifest that says what they are made of, written once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crawlmill import release
from crawlmill.errors import UserError
from tests.fixtures import lakes, prose
from tests.fixtures.lakes import NEW, OLD

SHARED = {f"both{n}": prose.article(n) for n in range(3)}
PAGES = {OLD: SHARED | {"old": prose.article(5)}, NEW: SHARED | {"new": prose.article(6)}}


@pytest.fixture(scope="module")
def lake(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two snapshots that share pages, settled: the older copies are those that stay."""
    root = str(tmp_path_factory.mktemp("release") / "lake")
    for snapshot, pages in PAGES.items():
        lakes.put_documents(spark, root, snapshot, pages, 1)
        lakes.ingest(spark, root, snapshot)
    lakes.run(spark, root, "dedup")
    return root


def build(spark: Any, lake: str, name: str, *snapshots: str, **options: Any) -> dict[str, Any]:
    return release.build(spark, lakes.job(lake), name, snapshots, say=lambda line: None, **options)


def held(spark: Any, lake: str, name: str) -> dict[str, Any]:
    rows = spark.read.format("delta").load(f"{release.folder(lake, name)}/corpus").collect()
    return {row["url"].split("/")[2].split(".")[0] + "@" + row["snapshot"]: row for row in rows}


def test_survivors_are_resolved_within_the_set(spark: Any, lake: str) -> None:
    both = build(spark, lake, "both", NEW, OLD)
    assert held(spark, lake, "both").keys() == {*(f"{page}@{OLD}" for page in PAGES[OLD]), f"new@{NEW}"}
    alone = build(spark, lake, "new-only", NEW)
    rows = held(spark, lake, "new-only")
    assert rows.keys() == {f"{page}@{NEW}" for page in PAGES[NEW]}, "no text is lost to a copy outside the set"
    assert alone["total"]["documents"] == len(PAGES[NEW]) and both["total"]["stands_for"] == 8
    assert (
        held(spark, lake, "both")[f"both0@{OLD}"]["minhash_cluster_size"] == 2
        and rows[f"both0@{NEW}"]["minhash_cluster_size"] == 1
    )
    assert all(row["rehydration_weight"] >= 1 for row in rows.values())


def test_a_release_is_written_once_and_the_same_again(spark: Any, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release.release_card, "card", lambda manifest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(spark, lake, "twice", NEW)
    assert release.manifest(lake, "twice") is None and "twice" not in release.names(lake), "half a release is none"
    monkeypatch.undo()
    first = build(spark, lake, "twice", NEW)
    assert build(spark, lake, "twice", NEW) == first
    digests = [row["digest"] for row in first["languages"]]
    assert digests == [row["digest"] for row in build(spark, lake, "thrice", NEW)["languages"]]
    with pytest.raises(UserError, match="release twice exists and holds something else"):
        build(spark, lake, "twice", OLD)
    card = (Path(release.folder(lake, "twice")) / "README.md").read_text()
    assert "| eng_Latn | 4 |" in card and "minhash_cluster_size" in card
    assert json.loads((release.folder(lake, "twice") / "manifest.json").read_text())["snapshots"] == [NEW]


@pytest.mark.parametrize(
    ("name", "snapshots", "said"),
    [
        ("../up", [NEW], "no name for a release"),
        ("x", [], "needs snapshots"),
        ("x", ["CC-MAIN-2026-30", NEW], "CC-MAIN-2026-30 is not ingested and deduplicated yet"),
        ("x", ["x' OR 1=1"], "CC-MAIN"),
    ],
)
def test_wrong_input_is_told_before_anything_runs(lake: str, name: str, snapshots: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        release.prepare(None, lakes.job(lake), name, snapshots, 10)
