"""What every stage run must hold: the same rows whatever happened before, in whatever order, and nothing released that failed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from crawlmill import layout
from crawlmill.contracts import contract
from crawlmill.errors import AnswerNeeded, CriticalFailure, UserError
from crawlmill.lake import fence, ledger, pins, table
from crawlmill.protocol import answers, local_run, stage
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW, OLD
from tests.fixtures.pages import NEWER, OLDER
from tests.fixtures.plans import exchanged

TABLES = [name for name in pins.WRITTEN_BY if pins.WRITTEN_BY[name] != "extract"]


def everything(spark: Any, lake: str, names: Iterable[str] = TABLES) -> dict[str, list[str]]:
    return {name: lakes.contents(spark, lake, name) for name in names}


@pytest.fixture
def unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """No expectations: they have tests of their own, and cost a second a stage."""
    monkeypatch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])


def corpus(spark: Any, lake: str) -> dict[str, str]:
    rows = table.read(spark, lake, "corpus", table.version(lake, "corpus")).collect()
    return {row["id"]: row["text"] for row in rows}


def test_the_older_copy_stays_unless_it_fails_a_rule(spark: Any, both: str) -> None:
    kept = corpus(spark, both)
    assert lakes.record_id(f"{OLD}/p1") in kept or lakes.record_id(f"{OLD}/copy") in kept
    assert lakes.record_id(f"{NEW}/p1") not in kept
    assert lakes.record_id(f"{OLD}/river") not in kept and lakes.record_id(f"{NEW}/river") in kept
    assert lakes.record_id(f"{NEW}/p6") not in kept  # a near copy of an older page
    assert len(kept) == 12 + 1 + 1 + 4


def test_every_removed_document_names_one_that_stays(spark: Any, both: str) -> None:
    rows = table.read(spark, both, "clusters", table.version(both, "clusters")).collect()
    survivors = {row["id"] for row in rows if row["kind"] == "survivor"}
    assert {row["survivor_id"] for row in rows} == survivors == set(corpus(spark, both))
    assert all(row["similarity"] >= 0.8 for row in rows)


@pytest.mark.full
def test_the_order_of_snapshots_does_not_matter(spark: Any, both: str, tmp_path: Path, unjudged: None) -> None:
    lake = str(tmp_path / "lake")
    for snapshot, pages in ((NEW, NEWER), (OLD, OLDER)):
        lakes.put_documents(lake, snapshot, pages)
        lakes.ingest(spark, lake, snapshot)
        lakes.run(spark, lake, "dedup")
        lakes.run(spark, lake, "publish")
    assert everything(spark, lake) == everything(spark, both)


# Stages that only read and replace partitions are alike here, the driver that is killed below runs one of them, and dedup dies in its own test;
# test_boundaries.py takes each of them through all its boundaries.
ALIKE = ("identify", "rewrite", "measure", "gate", "dedup")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.full) if name in ALIKE else name
    for name in stage.NAMES[1:] if name != "recycle"  # tests/spark/test_recycle.py
])  # fmt: skip
def test_a_stage_that_died_after_its_commit_leaves_the_same_rows(
    spark: Any, both: str, copy: str, name: str, monkeypatch: pytest.MonkeyPatch, unjudged: None
) -> None:
    snapshot = NEW if name in stage.PER_SNAPSHOT else pins.EVERY
    monkeypatch.setenv("CRAWLMILL_FAILPOINT", f"{name}:before_ledger=fail")
    with pytest.raises(RuntimeError, match="failpoint"):
        lakes.run(spark, copy, name, snapshot, force=True)
    monkeypatch.delenv("CRAWLMILL_FAILPOINT")
    lakes.run(spark, copy, name, snapshot, force=True)
    written = stage.load(name).writes
    assert everything(spark, copy, written) == everything(spark, both, written)


def test_a_driver_killed_between_commit_and_ledger_is_simply_run_again(spark: Any, both: str, lake: str) -> None:
    lakes.put_documents(lake, NEW, NEWER)
    command = [sys.executable, str(layout.jobs_dir() / "identify.py"), "--snapshot", NEW, "--lake", lake]
    killed = subprocess.run(
        command, env={**os.environ, "CRAWLMILL_FAILPOINT": "identify:before_ledger=kill"}, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert ledger.released(lake, "identify", NEW) is None
    with pytest.raises(UserError, match="run identify first"):
        lakes.run(spark, lake, "rewrite", NEW)
    row = lakes.run(spark, lake, "identify", NEW)
    assert row.verdict == "passed"
    assert lakes.contents(spark, lake, "languages") == lakes.contents(spark, both, "languages", NEW)


def test_a_stage_whose_key_did_not_change_is_skipped(spark: Any, both: str) -> None:
    said: list[str] = []
    version = table.version(both, "languages")
    stage.run(stage.load("identify"), lakes.job(both, OLD), spark, said.append)
    assert table.version(both, "languages") == version and "up to date" in said[-1]


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """A recipe with a further threshold of the gate."""
    rule = "gate:\n  rules:\n    short_words:\n      signal: rps_doc_mean_word_length\n      op: max\n      limit: 4.1\n"
    recipe = tmp_path / "stricter.yaml"
    recipe.write_text("extends: default\n" + rule)
    return recipe


def test_a_changed_threshold_asks_for_gate_and_what_follows(both: str, stricter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = ledger.released(both, "extract", NEW)
    assert extract
    resolve = stage.resolve
    monkeypatch.setattr(
        stage, "resolve", lambda s, job: ({}, extract.stage_key, None) if s.name == "extract" else resolve(s, job)
    )
    assert [step.stage for step in local_run.plan(lakes.job(both, NEW)) if step.runs] == []
    steps = list(local_run.plan(lakes.job(both, NEW, stricter)))
    assert [step.stage for step in steps if step.runs] == ["gate", "dedup", "publish"]
    assert "recipe (gate)" in next(step.why for step in steps if step.stage == "gate")


@pytest.mark.full
def test_a_changed_threshold_runs_gate_and_what_follows(spark: Any, copy: str, stricter: Path) -> None:
    languages = table.version(copy, "languages")
    for snapshot in (OLD, NEW):
        lakes.ingest(spark, copy, snapshot, stricter)
    lakes.run(spark, copy, "dedup", recipe_file=stricter)
    orphan(spark, copy)
    lakes.run(spark, copy, "publish", recipe_file=stricter)
    assert "orphan" not in corpus(spark, copy).values()
    assert table.version(copy, "languages") == languages
    assert 0 < len(corpus(spark, copy)) < 18


@pytest.mark.parametrize("name", ["identify", "rewrite", "measure", "sketch", "publish"])
def test_no_exchange_carries_a_text(spark: Any, both: str, name: str) -> None:
    declared = stage.load(name)
    work = lakes.job(both, NEW if declared.per_snapshot else pins.EVERY, force=True)
    found, _, _ = stage.resolve(declared, work)
    outputs = declared.transform(stage.Context(spark, work, found))
    carried = set().union(*(exchanged(rows) for rows in outputs.values()))
    assert not carried & {"text", "shingles", "document"}
    assert name == "identify" or "id" in carried
    spark.catalog.clearCache()


def orphan(spark: Any, lake: str) -> None:
    """A corpus commit that was never released: its attempt died before the ledger."""
    rows = (
        table.read(spark, lake, "corpus", table.version(lake, "corpus"))
        .where(f"snapshot = '{OLD}'")
        .withColumn("text", F.lit("orphan"))
    )
    token = fence.draw(lake, "publish", pins.EVERY, None, "orphan")
    commit = table.Commit(lake, "publish", pins.EVERY, None, token, {"run_id": "orphan"})
    commit.replace("corpus", rows, OLD, sorted(table.shards_of(lake, "corpus", OLD)))


def test_rows_that_break_a_contract_are_not_released(spark: Any, lake: str) -> None:
    lakes.put_documents(lake, NEW, NEWER)
    bad = stage.Stage(
        name="identify", reads=("documents",), writes=("languages",), recipe=("identify",), version=1,
        transform=lambda context: {"languages": context.spark.createDataFrame([], contract.load("languages").struct())},
        reconcile=stage.load("identify").reconcile,
    )  # fmt: skip
    with pytest.raises(CriticalFailure, match="rows were lost between documents and languages"):
        stage.run(bad, lakes.job(lake, NEW), spark)
    assert ledger.released(lake, "identify", NEW) is None
    verdict = ledger.verdict(lake, "identify", NEW)
    assert verdict and verdict.verdict == "failed" and "rows were lost" in (verdict.message or "")


def test_publish_waits_for_an_answer(spark: Any, copy: str) -> None:
    run = ledger.released(copy, "gate", NEW)
    assert run
    warning = {
        "snapshot": NEW, "stage": "gate", "table": "verdicts", "version": 1, "run_id": run.run_id, "expectation": "e", "column": None,
        "severity": "warning", "description": "a usual share is eligible", "success": False, "observed": "0", "limit": "{}", "samples": "[]",
        "error": None, "answer": None, "checked_at": run.finished_at,
    }  # fmt: skip
    ledger.append_quality(copy, [warning])
    with pytest.raises(AnswerNeeded, match="a usual share is eligible"):
        lakes.run(spark, copy, "publish")
    answers.give(copy, NEW, "it is a test")
    assert lakes.run(spark, copy, "publish").verdict == "passed"
