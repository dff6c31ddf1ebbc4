"""What the tasks of a stage do around its Spark job: plan, the question whether it is needed, the verdict, the wait for quiet."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.orchestrate import coalesce, freshness, releases, stages, submit
from crawlmill.protocol import crawl, stage

SNAPSHOT = "CC-MAIN-2026-43"
NOWHERE = {"lake": "", "source": "", "recipe": "", "snapshot": None}


def record(
    lake: str, name: str, verdict: str = "passed", snapshot: str = SNAPSHOT, inputs: pins.Pins | None = None, version: int = 1
) -> None:
    """A ledger row as a stage writes it."""
    outputs = [{"table": entry, "version": version} for entry in stages.TABLES[name]]
    row = RunRow(
        run_id=f"{name}-{version}", stage=name, snapshot=snapshot, stage_key=f"key of {name}", verdict=verdict, outputs=outputs,
        inputs=pins.rows(inputs or {}), counts=[{"shard": 0, "read": 9, "written": 7, "rejected": 2}], fence=version,
        message="the text is never empty (observed 3)" if verdict != "passed" else None,
    )  # fmt: skip
    ledger.append_run(lake, row)


@pytest.fixture
def written(lake: str) -> str:
    """A lake with empty tables."""
    table.create_all(lake)
    return lake


class Events(defaultdict[Asset, Any]):
    """Stands in for Airflow's outlet events: what was announced, with which keys."""

    def __init__(self) -> None:
        super().__init__(lambda: SimpleNamespace(extra={}, keys=[]))

    def __missing__(self, asset: Asset) -> Any:
        event = super().__missing__(asset)
        event.add_partitions = event.keys.append
        return event


def check(dags: dict[str, Any], name: str) -> Any:
    dag = dags["ingest_snapshot" if name in stage.PER_SNAPSHOT else "publish_corpus"]
    return dag.get_task(f"{name}.check").python_callable


def test_plan_names_each_group_of_shards(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [{"name": "shards 0-1, 90 files", "shards": "0-1"}, {"name": "shard 2, 45 files", "shards": "2"}]
    monkeypatch.setattr(crawl, "plan_shards", lambda source, snapshot, recipe: groups)
    jobs = stages.plan.function(NOWHERE | {"source": "/mirror"}, "backfill__x", SNAPSHOT)
    assert [job["name"] for job in jobs] == [f"{SNAPSHOT} shards 0-1, 90 files", f"{SNAPSHOT} shard 2, 45 files"]
    given = dict(zip(jobs[1]["application_args"][::2], jobs[1]["application_args"][1::2], strict=True))
    assert given["--snapshot"] == SNAPSHOT and given["--shards"] == "2" and given["--source"] == "/mirror"


def test_plan_gives_a_single_group_the_whole_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl, "plan_shards", lambda source, snapshot, recipe: [{"name": "shards 0-1, 4 files", "shards": "0-1"}])
    (job,) = stages.plan.function(NOWHERE, "run", SNAPSHOT)
    assert job["application_args"][job["application_args"].index("--shards") + 1] == ""


@pytest.mark.parametrize("said", ["unknown snapshot", "no such recipe"])
def test_wrong_input_ends_the_plan_without_retries(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    def refuse(source: str, snapshot: str, recipe: Any) -> Any:
        raise UserError(said)

    monkeypatch.setattr(crawl, "plan_shards", refuse)
    with pytest.raises(AirflowFailException, match=said):
        stages.plan.function(NOWHERE, "run", SNAPSHOT)


def test_a_source_that_does_not_answer_is_left_to_the_retries(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*args: object) -> Any:
        raise SourceUnavailable("cannot be read after 4 attempts")

    monkeypatch.setattr(crawl, "plan_shards", silent)
    with pytest.raises(SourceUnavailable):
        stages.plan.function(NOWHERE, "run", SNAPSHOT)
    monkeypatch.setattr(submit, "up_to_date", silent)
    task = submit.StageSubmit(stage="extract", task_id="extract", application_args=arguments(written, "extract"))
    with pytest.raises(SourceUnavailable):
        task.execute({})


def test_a_run_without_a_snapshot_says_how_to_give_one() -> None:
    with pytest.raises(AirflowFailException, match="partition key"):
        stages.plan.function(NOWHERE, "run", None)


def test_check_announces_the_tables_of_a_stage_that_passed(dags: dict[str, Any], written: str) -> None:
    record(written, "extract", version=4)
    events = Events()
    said = check(dags, "extract")(SNAPSHOT, written, events)
    assert said == {"verdict": "passed", "run": "extract-4", "seconds": 0.0, "read": 9, "written": 7, "rejected": 2}
    assert {asset.name: (event.extra["version"], event.keys) for asset, event in events.items()} == {
        name: (4, [SNAPSHOT]) for name in ("crawl_files", "documents", "rejects")
    }


def test_check_of_a_stage_across_snapshots_announces_no_snapshot(dags: dict[str, Any], written: str) -> None:
    record(written, "publish", snapshot=pins.EVERY)
    events = Events()
    check(dags, "publish")(pins.EVERY, written, events)
    assert [event.keys for event in events.values()] == [[]]


@pytest.mark.parametrize("verdict", ["failed", None])
def test_check_fails_for_good_where_nothing_was_released(dags: dict[str, Any], written: str, verdict: str | None) -> None:
    if verdict:
        record(written, "identify", verdict)
    said = "the text is never empty" if verdict else "left no verdict in the ledger"
    with pytest.raises(AirflowFailException, match=said):
        check(dags, "identify")(SNAPSHOT, written, Events())


def test_a_warning_does_not_stop_ingestion(dags: dict[str, Any], written: str) -> None:
    record(written, "measure", "warned")
    assert check(dags, "measure")(SNAPSHOT, written, Events())["verdict"] == "warned"


def arguments(lake: str, name: str) -> list[str]:
    own = ["--snapshot", SNAPSHOT] if name in stage.PER_SNAPSHOT else []
    return [*own, "--lake", lake, "--source", "", "--recipe", "", "--run-id", "run/try1"]


def test_a_job_is_needless_only_while_inputs_and_key_are_those_that_passed(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record(written, "extract", version=1)
    assert submit.up_to_date("identify", arguments(written, "identify")) is None
    monkeypatch.setattr(stage, "key", lambda declared, recipe, upstream: f"key of {declared.name}")
    record(written, "identify", inputs=pins.of(ledger.released(written, "extract", SNAPSHOT)))  # type: ignore[arg-type]
    assert submit.up_to_date("identify", arguments(written, "identify")) is None, "version 1 of its table is not there"
    monkeypatch.setattr("crawlmill.lake.intact.of_run", lambda lake, run: [])
    done = submit.up_to_date("identify", arguments(written, "identify"))
    assert done is not None and done.run_id == "identify-1"
    monkeypatch.setattr(stage, "key", lambda declared, recipe, upstream: "another recipe")
    assert submit.up_to_date("identify", arguments(written, "identify")) is None
    monkeypatch.setattr(stage, "key", lambda declared, recipe, upstream: f"key of {declared.name}")
    record(written, "extract", version=2)
    assert submit.up_to_date("identify", arguments(written, "identify")) is None


def test_a_stage_that_lost_its_input_fails_for_good(written: str) -> None:
    record(written, "identify")
    task = submit.StageSubmit(stage="identify", task_id="identify", application_args=arguments(written, "identify"))
    with pytest.raises(AirflowFailException, match="run extract first"):
        task.execute({})


def test_publication_waits_for_ingestion_but_not_for_ever() -> None:
    wait = coalesce.wait_for_ingestion.function
    counts = iter([2, 1, 0])
    ti = SimpleNamespace(get_dr_count=lambda dag_id, states: next(counts))
    now = SimpleNamespace(start_date=datetime.now(UTC))
    assert [wait("360", ti, now) for _ in range(3)] == [False, False, True]
    busy = SimpleNamespace(get_dr_count=lambda dag_id, states: 1)
    assert wait("60", busy, SimpleNamespace(start_date=datetime.now(UTC) - timedelta(minutes=61))) is True
    assert wait("0", busy, now) is True


def test_a_release_waits_for_all_of_its_snapshots_but_not_for_ever(written: str) -> None:
    wait, older = releases.wait_for_snapshots.function, "CC-MAIN-2026-38"
    now, long_ago = (SimpleNamespace(start_date=datetime.now(UTC) - timedelta(hours=hours)) for hours in (0, 73))
    for name in ("gate", "sketch"):
        record(written, name)
    assert wait(SNAPSHOT, written, "72", now) is False, "ingested, not deduplicated"
    record(written, "dedup", snapshot=pins.EVERY, inputs=pins.ingested(written)[0])
    assert wait(SNAPSHOT, written, "72", now) is True
    assert wait(f"{older}, {SNAPSHOT}", written, "72", now) is False
    with pytest.raises(AirflowFailException, match=f"^{older} not ingested"):
        wait(f"{older}, {SNAPSHOT}", written, "72", long_ago)


def test_news_are_what_was_ingested_and_is_not_yet_published(written: str) -> None:
    assert freshness.news(written) is None
    for name in ("gate", "sketch"):
        record(written, name)
    assert freshness.news(written) == f"dedup has not yet seen the present state of {SNAPSHOT}"
    record(written, "dedup", snapshot=pins.EVERY, inputs=pins.ingested(written)[0])
    assert freshness.news(written) == "run dedup-1 of dedup is not yet published"
    settled = ledger.released(written, "dedup", pins.EVERY)
    assert settled is not None
    record(written, "publish", snapshot=pins.EVERY, inputs=pins.of(settled))
    assert freshness.news(written) is None
    record(written, "gate", version=2)
    assert freshness.news(written) is not None
