"""A release: survivors within a set of snapshots, a manifest that says what they are made of, written once."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.lake import table
from crawlmill.releases import export, export_shape, release
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW, OLD
from tests.fixtures.pages import NEWER


@pytest.fixture(scope="module")
def lake(both: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the lake with two snapshots that share pages; the older copies are those that stay."""
    return str(shutil.copytree(both, tmp_path_factory.mktemp("release") / "lake"))


def build(spark: Any, lake: str, name: str, *snapshots: str, **options: Any) -> dict[str, Any]:
    return release.build(spark, lakes.job(lake), name, snapshots, say=lambda line: None, **options)


def held(spark: Any, lake: str, name: str) -> dict[str, Any]:
    rows = spark.read.format("delta").load(f"{release.root(lake, name)}/corpus").collect()
    return {row["url"].split("/")[2].split(".")[0] + "@" + row["snapshot"]: row for row in rows}


@pytest.mark.full
def test_survivors_are_resolved_within_the_set(spark: Any, lake: str) -> None:
    whole = build(spark, lake, "both", NEW, OLD)
    rows = held(spark, lake, "both")
    corpus = table.read(spark, lake, "corpus", table.version(lake, "corpus")).collect()
    assert sorted(row["id"] for row in rows.values()) == sorted(row["id"] for row in corpus)
    assert {row["id"]: row["text"] for row in rows.values()} == {row["id"]: row["text"] for row in corpus}
    clusters = table.read(spark, lake, "clusters", table.version(lake, "clusters"))
    assert whole["total"]["stands_for"] == clusters.count()
    alone = build(spark, lake, "new-only", NEW)
    own = held(spark, lake, "new-only")
    assert own.keys() == {f"{page}@{NEW}" for page in NEWER}, "no text is lost to a copy outside the set"
    assert alone["total"]["documents"] == len(NEWER)
    assert rows[f"p0@{OLD}"]["minhash_cluster_size"] == 2 and own[f"p0@{NEW}"]["minhash_cluster_size"] == 1
    assert all(row["rehydration_weight"] >= 1 for row in rows.values())


@pytest.mark.full
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
    card = (Path(release.root(lake, "twice")) / "README.md").read_text()
    assert f"| eng_Latn | {len(NEWER)} |" in card and "minhash_cluster_size" in card
    assert json.loads((Path(release.root(lake, "twice")) / "manifest.json").read_text())["snapshots"] == [NEW]


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


@pytest.mark.full
@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz"])
def test_an_export_is_shuffled_by_its_seed_and_whole(spark: Any, lake: str, tmp_path: Path, kind: str) -> None:
    build(spark, lake, "out", NEW)

    def written(folder: str, seed: int, shard_mb: int = 1) -> tuple[list[dict[str, Any]], list[str]]:
        files = export.export(spark, lake, "out", tmp_path / folder, kind, shard_mb, seed)
        return files, [row["id"] for file in files for row in rowfile.read(str(tmp_path / folder / file["file"]))]

    files, ids = written("a", 1)
    assert sorted(ids) == sorted(row["id"] for row in held(spark, lake, "out").values()) and len(files) == 1
    assert [row["sha256"] for row in files] == [row["sha256"] for row in written("b", 1)[0]]
    assert any(written(str(seed), seed)[1] != ids for seed in (2, 3))
    assert json.loads((tmp_path / "a" / "index.json").read_text())["files"] == files
    with pytest.raises(UserError, match="is not empty"):
        written("a", 1)


@pytest.mark.full
def test_tokens_are_counted_by_the_tokenizer_that_is_named(spark: Any, lake: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(tmp_path / "words.json"))
    build(spark, lake, "out", NEW)
    (file,) = export.export(spark, lake, "out", tmp_path / "t", tokenizer=tmp_path / "words.json")
    rows = list(rowfile.read(str(tmp_path / "t" / file["file"])))
    assert all(row["token_count"] == len(row["text"].split()) for row in rows)
    assert file["tokens"] == sum(row["token_count"] for row in rows)
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(UserError, match=r"no\.json is no tokenizer"):
        export.check(lake, "out", tmp_path / "u", tmp_path / "no.json")


@pytest.mark.full
def test_an_export_has_a_form_and_a_share(spark: Any, lake: str, tmp_path: Path) -> None:
    build(spark, lake, "out", NEW)

    def written(folder: str, shape: export_shape.Shape) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        files = export.export(spark, lake, "out", tmp_path / folder, "jsonl.gz", shape=shape)
        return files, [row for file in files for row in rowfile.read(str(tmp_path / folder / file["file"]))]

    files, rows = written("tagged", export_shape.shape(1.0, "source-aware", ("copies=1",)))
    assert sum(file["rows"] for file in files) == len(rows) == 2 * len(NEWER) == 2 * sum(file["documents"] for file in files)
    assert all(f"<url>{row['doc_tag']}</url>" in row["text"] for row in rows)
    index = json.loads((tmp_path / "tagged" / "index.json").read_text())
    assert (index["form"], index["options"]["copies"]) == ("source-aware", 1)
    shares = [{row["id"] for row in written(f"{share}", export_shape.Shape(share))[1]} for share in (0.25, 0.5, 0.9, 1.0)]
    assert all(less <= more for less, more in itertools.pairwise(shares)), "nested"
    assert len(shares[0]) < len(shares[3]) == len(NEWER)


def test_what_cannot_be_exported_is_told(lake: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no release nope"):
        export.check(lake, "nope", tmp_path / "x")
    (tmp_path / "a.parquet").touch()
    with pytest.raises(UserError, match=r"1 of 2 files are not in .*, but on other machines: give a folder that all share"):
        export._require_all(str(tmp_path), ["a.parquet", "b.parquet"])
