"""What every DAG must have, and what no DAG file may do."""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from crawlmill.orchestrate.stages import TABLES
from tests.fixtures.attacks import ATTACKS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
HEAVY = ("pyspark", "delta", "deltalake", "great_expectations", "pandas", "fasttext", "pyarrow", "trafilatura", "datasketch")


def test_there_is_a_dag_a_file_and_its_id_is_the_files_name(dags: dict[str, Any]) -> None:
    assert (
        sorted(dags)
        == [file.stem for file in FILES]
        == ["build_release", "ingest_snapshot", "maintain_tables", "publish_corpus", "takedown", "watch_crawls"]
    )


def test_a_dag_is_documented_owned_and_bounded(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        source = Path(dag.fileloc).read_text()
        assert dag.doc_md == ast.get_docstring(ast.parse(source), clean=False), "the docstring is the DAG's page"
        assert len(source.splitlines()) < 100
        assert dag.description and dag.tags and dag.dag_display_name
        assert dag.max_active_runs < 16 and dag.max_active_tasks <= 16 and dag.dagrun_timeout
        assert dag.catchup is False
        assert all(param.description for param in dag.params.values() if hasattr(param, "description"))


def test_a_task_has_an_owner_retries_a_policy_a_timeout_and_a_pool(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner == "crawlmill"
            assert task.retries == 3 and task.retry_exponential_backoff
            assert type(task.retry_policy).__name__ == "StageRetryPolicy"
            assert task.execution_timeout
            assert task.pool == pool(task.task_id)
            own = task.weight_rule == "absolute" if task.is_mapped else type(task.weight_rule).__name__ == "ScheduledFirst"
            assert own, f"{task.task_id}: a mapped task with a rule of one's own stops every run of its DAG"


def pool(task: str) -> str:
    """Who asks the crawl's server, who writes tables of all snapshots, other Spark jobs, all else."""
    if task in ("dedup.submit", "publish.submit", "find", "delete"):
        return "writers"
    if task == "extract.submit":
        return "source"
    return "spark" if task.endswith(".submit") or task == "build" else "default_pool"


def test_the_pools_that_tasks_ask_for_are_made_by_the_launcher(dags: dict[str, Any]) -> None:
    made = {"default_pool", *json.loads((ROOT / "infra" / "airflow" / "pools.json").read_text())}
    assert {task.pool for dag in dags.values() for task in dag.tasks} <= made


def test_each_stage_announces_the_tables_that_it_writes_and_each_table_has_a_contract(dags: dict[str, Any]) -> None:
    announced: dict[str, set[str]] = {}
    for dag in dags.values():
        for task in dag.tasks:
            for asset in task.outlets if "." in task.task_id else ():
                announced.setdefault(task.task_id.partition(".")[0], set()).add(asset.name)
    assert announced == {stage: set(tables) for stage, tables in TABLES.items() if stage != "recycle"}
    assert {table for tables in TABLES.values() for table in tables} <= {file.stem for file in (ROOT / "schemas").glob("*.yaml")}


def test_task_groups_tables_and_jobs_bear_the_stages_names() -> None:
    from crawlmill.lake import pins
    from crawlmill.protocol import stage

    assert tuple(TABLES) == stage.NAMES
    assert {table: name for name, tables in TABLES.items() for table in tables} == {
        table: by for table, by in pins.WRITTEN_BY.items() if by in stage.NAMES
    }
    assert all((ROOT / "jobs" / f"{name}.py").is_file() for name in TABLES)


def test_recycling_has_tasks_only_where_the_installations_recipe_asks_for_it(
    dags: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.dag_processing.dagbag import DagBag

    assert not any(task.startswith("recycle.") for task in dags["ingest_snapshot"].task_ids)
    recipe = tmp_path / "own.yaml"
    recipe.write_text("extends: default\nrecycle:\n  hooks: [{name: rewire}]\n")
    monkeypatch.setenv("CRAWLMILL_RECIPE", str(recipe))
    dag = DagBag(str(ROOT / "dags" / "ingest_snapshot.py")).dags["ingest_snapshot"]
    assert dag.get_task("recycle.submit").get_flat_relative_ids(upstream=True) >= {"gate.check", "sketch.check"}
    assert {asset.name for asset in dag.get_task("recycle.check").outlets} == {"recycled"}


def test_a_stage_runs_after_those_whose_tables_it_reads(dags: dict[str, Any]) -> None:
    from crawlmill.lake import pins
    from crawlmill.protocol import stage

    for dag in dags.values():
        for task in dag.tasks:
            name, _, step = task.task_id.partition(".")
            if step == "submit":
                before = {upstream.partition(".")[0] for upstream in task.get_flat_relative_ids(upstream=True)}
                needed = {pins.WRITTEN_BY[table] for table in stage.load(name).reads} & {
                    task.partition(".")[0] for task in dag.task_ids
                }
                assert needed - {name} <= before, name


def test_the_snapshot_of_a_run_is_its_partition_key_or_a_parameter(dags: dict[str, Any]) -> None:
    for name in ("identify", "gate"):
        arguments = dags["ingest_snapshot"].get_task(f"{name}.submit").application_args
        assert arguments[arguments.index("--snapshot") + 1] == "{{ partition_key or params.snapshot }}"
    assert "--snapshot" not in dags["publish_corpus"].get_task("dedup.submit").application_args


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("snapshot", "CC-MAIN-2026-43' OR 1=1"),
        ("lake", "relative"),
        ("lake", "/x/{{ 1 }}"),
        ("source", "file:///etc"),
        ("recipe", "/etc/passwd"),
    ],
)
def test_the_form_refuses_what_is_no_id_path_or_address(dags: dict[str, Any], param: str, value: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        copy.deepcopy(dags["ingest_snapshot"].params)[param] = value


PARSED = """
import os, runpy, sys, time
import airflow.sdk, airflow.timetables.base, airflow.plugins_manager
import airflow.providers.apache.spark.operators.spark_submit, airflow.providers.standard.decorators.sensor
heavy, *files = sys.argv[1:]
for file in files:
    if os.fork():  # a process a file, as Airflow parses them, with what Airflow itself has loaded already
        assert os.wait()[1] == 0
    else:
        start = time.process_time()
        runpy.run_path(file)
        print("parsed", file, time.process_time() - start, *(name for name in heavy.split() if name in sys.modules), flush=True)
        os._exit(0)
"""


def test_parsing_a_dag_file_is_fast_and_loads_nothing_heavy() -> None:
    command = [sys.executable, "-c", PARSED, " ".join(HEAVY), *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("parsed ")]
    assert [file for file, *_ in found] == [str(file) for file in FILES]
    assert [(file, heavy) for file, _, *heavy in found if heavy] == []
    assert max(float(took) for _, took, *_ in found) < 2.0, found


def test_every_dag_survives_serialisation(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        restored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert sorted(restored.task_ids) == sorted(dag.task_ids)
        assert all(restored.get_task(task).has_retry_policy for task in dag.task_ids)


def test_parsing_a_dag_again_makes_no_new_version_of_it(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        assert re.findall(r".{60}0x[0-9a-f]{6,}", json.dumps(DagSerialization.to_dict(dag))) == [], (
            "an address is another one each time"
        )


@pytest.mark.parametrize(("now", "first"), [("22T04:30", "29T03:41"), ("22T03:43", "22T03:41"), ("25T12:00", "29T03:41")])
def test_maintenance_waits_for_its_day(dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, now: str, first: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables import trigger
    from airflow.timetables.base import TimeRestriction

    def november(told: str) -> datetime:
        return datetime.fromisoformat(f"2026-11-{told}:00+00:00")

    monkeypatch.setattr(trigger, "utcnow", lambda: november(now))
    schedule = DagSerialization.from_dict(DagSerialization.to_dict(dags["maintain_tables"])).timetable
    found = schedule.next_dagrun_info(last_automated_data_interval=None, restriction=TimeRestriction(None, None, False))
    assert found is not None and found.run_after == november(first)


ROOM = {
    "lake",
    "source",
    "recipe",
    "names",
    "because",
    "by",
}  # paths, addresses and words of people: arguments that no shell sees


@pytest.mark.parametrize(
    "attack", [text for text in ATTACKS.values() if text.strip()], ids=[name for name in ATTACKS if name != "empty"]
)
def test_no_form_takes_a_template_or_an_id_that_is_none(dags: dict[str, Any], attack: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    taken = set()
    for dag in dags.values():
        for name in dag.params:
            params = copy.deepcopy(dag.params)
            with contextlib.suppress(ParamValidationError):
                params[name] = attack
                taken.add(name)
    if attack == ATTACKS["newline at the end"]:
        taken.discard("snapshots")  # white space around a list's entries
    if attack == ATTACKS["lower case"]:
        taken.discard("name")  # of a release
    assert taken <= ROOM
    if any(mark in attack for mark in ("{{", "{%", "\x00")):
        assert not taken
    if "\n" in attack:
        assert taken <= {"names"}, "a name a line"
