"""The demo from end to end: the real Airflow, its scheduler, a native backfill, Spark, and the corpus at the end of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from crawlmill.lake import ledger, pins
from crawlmill.orchestrate import freshness, processes


@pytest.mark.e2e
def test_the_snapshots_are_in_the_corpus(state: Path, snapshots: list[str]) -> None:
    lake = str(state / "lake")
    for stage in ("extract", "identify", "rewrite", "measure", "sketch", "gate"):
        assert list(ledger.released_snapshots(lake, stage)) == snapshots, stage
    published = ledger.released(lake, "publish", pins.EVERY)
    assert published is not None and sum(count["written"] for count in published.counts) > 50 * len(snapshots)
    assert pins.snapshots(pins.of(published)) == snapshots
    assert freshness.news(lake) is None


@pytest.mark.e2e
def test_every_task_is_green_and_runs_are_named_by_their_snapshot(state: Path, snapshots: list[str]) -> None:
    with sqlite3.connect(f"file:{state / 'airflow' / 'airflow.db'}?mode=ro", uri=True) as database:
        runs = database.execute("select dag_id, partition_key, run_id, run_type, state from dag_run").fetchall()
        tasks = database.execute("select dag_id, task_id, map_index, state, try_number from task_instance").fetchall()
        events = database.execute("select count(*) from asset_event").fetchone()[0]
    assert {state for *_, state in runs} == {"success"}
    assert {(task, state) for _, task, _, state, _ in tasks if state != "success"} == set()
    ingest = sorted((key, run_type) for dag, key, _, run_type, _ in runs if dag == "ingest_snapshot")
    assert ingest == [(snapshot, "backfill") for snapshot in snapshots], "a native backfill, and nothing scheduled by surprise"
    assert all(run_id.startswith(f"backfill__{key}__") for dag, key, run_id, _, _ in runs if dag == "ingest_snapshot")
    published = [run_type for dag, _, _, run_type, _ in runs if dag == "publish_corpus"]
    assert set(published) == {"asset_triggered"} and len(published) <= len(snapshots)
    assert events >= 10 * len(snapshots), "ten tables of each snapshot, announced"


@pytest.mark.e2e
def test_without_a_terminal_nothing_is_left_running(state: Path) -> None:
    assert processes.running(state / "airflow" / "run") == {} and processes.running(state / "run") == {}
