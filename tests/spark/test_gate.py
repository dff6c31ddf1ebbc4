"""The gate as a stage: verdicts of real rows, what-if against a run of the changed recipe, and what is judged of a snapshot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crawlmill.contracts import facts
from crawlmill.explain import trial, whatif, why
from crawlmill.lake import ledger, table
from crawlmill.recipes import defined_at, recipe
from crawlmill.rows import page_index
from tests.fixtures import lakes
from tests.fixtures.lakes import OLD
from tests.fixtures.pages import OLDER

LISTED = lakes.hash_shard("list", 2)  # the shard of the page that a stricter limit on lists catches


def verdicts(spark: Any, lake: str) -> Any:
    return table.read(spark, lake, "verdicts", table.version(lake, "verdicts"), table.partition(OLD))


def test_a_snapshot_is_judged_and_kept_for_the_next(spark: Any, both: str) -> None:
    run = ledger.released(both, "gate", OLD)
    assert run and run.verdict == "passed"
    results = {row["expectation"]: row for row in ledger.quality(both, OLD) if row["table"] == "verdicts"}
    assert {"rules_known", "rules_fire", "rules_spare", "keep_rate_near_baseline"} <= results.keys()
    fired = json.loads(results["rules_fire"]["observed"])
    assert fired["gopher_short_doc"] == round(1 / len(OLDER), 6)
    assert (
        "no baseline" not in results["keep_rate_near_baseline"]["observed"]
        and results["keep_rate_near_baseline"]["severity"] == "info"
    )
    found = facts.of("verdicts", verdicts(spark, both))
    assert found.documents == {("eng", "Latn"): len(OLDER)}
    assert found.fires["gopher_short_doc"] == {("eng", "Latn"): 1}
    assert found.eligible["eng", "Latn"] == sum(not row["failed"] for row in verdicts(spark, both).collect())


def test_the_index_is_sorted_and_spark_and_python_agree_on_its_keys(spark: Any, both: str) -> None:
    rows = table.read(spark, both, "page_index", table.version(both, "page_index"), table.partition(OLD)).collect()
    assert len(rows) == 2 * len(OLDER)
    for row in rows:
        assert row["hash"] == page_index.digest(row["url"] or row["id"])
        assert row["url_host_name_reversed"] == (page_index.host(row["url"]) if row["url"] else "")
    assert {row["id"] for row in rows if row["outcome"] == "eligible"} == {
        row["id"] for row in verdicts(spark, both).collect() if row["eligible"]
    }
    url = "https://User@WWW.Example.ORG:80/Straße?q=1"
    frame = spark.createDataFrame([(OLD, 0, "<x>", url)], "snapshot string, shard int, id string, url string")
    nobody = spark.createDataFrame([], "shard int, id string, eligible boolean")
    made = {row["url"]: row for row in page_index.rows(frame, nobody, frame.limit(0)).collect()}
    assert (made[url]["url_host_name_reversed"], made[url]["hash"]) == (page_index.host(url), page_index.digest(url))
    assert made[None]["hash"] == page_index.digest("<x>")
    capture = why.explain(both, "https://short.example.org/", defined_at.rulebook())["captures"][0]
    assert capture["verdict"] == "failed rules"
    assert "gopher_short_doc" in {reason["rule"] for reason in capture["gate"]["failed"]}


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    """A recipe that one document fails because of a limit of its language."""
    changed = tmp_path / "changed.yaml"
    changed.write_text("extends: default\ngate: {limits: {eng: {list_ratio: 0.03}}}\n")
    return changed


def test_what_if_equals_a_run_of_the_changed_gate(spark: Any, copy: str, stricter: Path) -> None:
    before = recipe.load().gate
    answer = whatif.compare(copy, OLD, before, trial.gate(before, "list_ratio", "0.03", ("eng",)), samples=20)
    was = {row["id"]: row["eligible"] for row in verdicts(spark, copy).collect()}
    lakes.run(spark, copy, "gate", OLD, stricter)
    rows = verdicts(spark, copy).collect()
    now = {row["id"]: row["eligible"] for row in rows}
    assert answer.total.before == sum(was.values()) and answer.total.after == sum(now.values())
    assert {sample.id for sample in answer.samples} == {id_ for id_ in was if was[id_] != now[id_]} != set()
    reasons = {row["id"]: [reason.asDict() for reason in row["failed"]] for row in rows}
    assert all(sample.why == reasons[sample.id] for sample in answer.samples)
    assert all(sample.excerpt and sample.url for sample in answer.samples)
    assert {f"{OLD}/{row['shard']}" for row in rows if was[row["id"]] != now[row["id"]]} == {f"{OLD}/{LISTED}"}


def test_publish_rewrites_the_shards_of_documents_that_changed_side(spark: Any, copy: str, stricter: Path) -> None:
    lakes.run(spark, copy, "gate", OLD, stricter)
    lakes.run(spark, copy, "dedup", recipe_file=stricter)
    assert lakes.run(spark, copy, "publish", recipe_file=stricter).digests.keys() - {"recipe"} == {f"{OLD}/{LISTED}"}
