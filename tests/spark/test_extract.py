"""Extract on the sample crawl: groups of shards give what one job gives, and only a complete set is released."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from crawlmill.lake import ledger, table
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW as S

TABLES = ("documents", "rejects", "crawl_files")


@pytest.fixture(scope="module")
def whole(spark: Any, crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The three tables as one job writes them."""
    lake = str(tmp_path_factory.mktemp("lakes") / "whole")
    row = lakes.run(spark, lake, "extract", S, source=str(crawl))
    assert row.verdict == "passed", row.message
    return tables(spark, lake)


def tables(spark: Any, lake: str) -> dict[str, list[str]]:
    return {name: lakes.contents(spark, lake, name) for name in TABLES}


def test_every_page_of_the_truth_is_a_document_or_a_reject(spark: Any, crawl: Path, whole: dict[str, list[str]]) -> None:
    truth = [json.loads(line) for line in (crawl / "truth.jsonl").read_text().splitlines()]
    due = {row["id"] for row in truth if row["snapshot"] == S and row["kind"] == "article"}
    documents = "\n".join(whole["documents"])
    assert due and all(name in documents for name in due)
    assert len(whole["documents"]) + len(whole["rejects"]) > len([row for row in truth if row["snapshot"] == S]) - 5


@pytest.mark.full
def test_groups_of_shards_and_changes_of_recipe(
    spark: Any, crawl: Path, lake: str, whole: dict[str, list[str]], tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    (tmp_path / "blocked.txt").write_text("nobody.example\n")
    blocked = "{blocklist: [{kind: domains, path: blocked.txt}]}"
    other.write_text(
        f"extends: default\nextract: {{mime: [text/html], outlinks: true, guard_seconds: null, select: {blocked}}}\n"
    )

    def extract(shard: int, recipe_file: Path | None = None) -> str:
        return lakes.run(spark, lake, "extract", S, recipe_file, source=str(crawl), shards=[shard]).verdict

    assert [extract(0), extract(1)] == ["committed", "passed"]
    assert tables(spark, lake) == whole
    first = ledger.released(lake, "extract", S)
    assert [extract(0, other), extract(1, other)][0] == "committed"
    links = table.read(spark, lake, "links", table.version(lake, "links")).collect()
    ids = table.read(spark, lake, "documents", table.version(lake, "documents")).select("shard", "id").collect()
    commit = json.loads(DeltaTable(f"{lake}/documents").history(1)[0]["userMetadata"])
    assert commit["lists"] == {"blocklist domains blocked.txt": hashlib.sha256(b"nobody.example\n").hexdigest()}
    assert len(links) > 100 and {(row["shard"], row["id"]) for row in links} <= {tuple(row) for row in ids}
    # Back to the first recipe: its rows of shard 1 were overwritten, so its own earlier attempt on it no longer counts.
    assert extract(0) == "committed"
    assert extract(1) == "passed"
    assert tables(spark, lake) == whole and lakes.contents(spark, lake, "links") == []
    again = ledger.released(lake, "extract", S)
    assert first and again and first.stage_key == again.stage_key and again.fence > first.fence


def test_a_file_that_could_not_be_fetched_is_told_and_tried_again(
    spark: Any, crawl: Path, lake: str, whole: dict[str, list[str]], tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(crawl, mirror)
    lost = sorted(mirror.glob(f"crawl-data/{S}/segments/*/warc/*.warc.gz"))[0]
    kept = lost.rename(lost.with_suffix(".away"))
    row = lakes.run(spark, lake, "extract", S, source=str(mirror))
    assert row.verdict == "warned" and "could be fetched" in (row.message or "")
    files = table.read(spark, lake, "crawl_files", table.version(lake, "crawl_files")).where("state = 'failed'").collect()
    assert [file["file_path"] for file in files] == [str(lost.relative_to(mirror))] and lost.name in files[0]["error"]
    kept.rename(lost)
    row = lakes.run(spark, lake, "extract", S, source=str(mirror))
    assert row.verdict == "passed" and tables(spark, lake) == whole
