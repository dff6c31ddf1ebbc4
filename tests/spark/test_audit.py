"""Expectations: what passes, what fails with which words, and what must not slip through."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from crawlmill.contracts import audit, contract

SNAPSHOT = "CC-MAIN-2026-43"
GOOD = {
    "snapshot": SNAPSHOT, "shard": 0, "url": "https://example.org/", "host": "example.org", "file_path": "f.warc.gz", "offset": 1,
    "length": 2, "charset": "utf-8", "charset_source": "http", "title": "t", "text": "words",
}  # fmt: skip
SAME = {"baseline_written": 20}


@pytest.fixture
def documents(spark: Any) -> Callable[..., Any]:
    def build(count: int, **changed: Any) -> Any:
        columns = contract.load("documents").columns
        rows = [{**dict.fromkeys(columns), **GOOD, "id": f"<urn:uuid:{number}>", **changed} for number in range(count)]
        return spark.createDataFrame([tuple(row[name] for name in columns) for row in rows], contract.load("documents").struct())

    return build


def judge(frame: Any, parameters: dict[str, Any] | None = None, table: str = "documents") -> dict[str, audit.ExpectationResult]:
    results = audit.audit(frame, contract.load(table), SAME if parameters is None else parameters)
    assert [result.expectation for result in results] == [rule["name"] for rule in contract.load(table).expectations]
    json.dumps([dataclasses.asdict(result) for result in results], allow_nan=False)
    return {result.expectation: result for result in results}


def failed(results: dict[str, audit.ExpectationResult]) -> set[str]:
    return {name for name, result in results.items() if not result.success}


def test_good_rows_pass_with_few_spark_jobs(spark: Any, documents: Any) -> None:
    rows = documents(20).localCheckpoint()
    spark.sparkContext.setJobGroup("audit", "documents")
    results = judge(rows)
    jobs = spark.sparkContext.statusTracker().getJobIdsForGroup("audit")
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    assert failed(results) == set()
    assert audit.verdict(list(results.values())) == "passed"
    assert results["at_least_one_row"].observed == 20
    assert results["rows_near_baseline"].limit == {"min_value": 10, "max_value": 40}
    assert results["charsets_declared"].column == "charset_source"
    assert len(jobs) <= 10


def test_an_empty_frame_fails(documents: Any) -> None:
    results = judge(documents(0))
    assert results["at_least_one_row"].severity == "critical"
    assert failed(results) == {"at_least_one_row", "rows_near_baseline"}
    assert audit.verdict(list(results.values())) == "failed"


def test_a_column_of_nulls_was_not_judged(documents: Any) -> None:
    results = judge(documents(20, charset_source=None, title=None))
    assert failed(results) == {"charsets_declared", "titles_found"}
    assert results["charsets_declared"].error == "every value of charset_source is null: nothing was judged"
    assert audit.verdict(list(results.values())) == "warned"


def test_failures_show_three_masked_rows(documents: Any) -> None:
    secret = "length; write to jane.doe@example.org or +49 170 1234567 from 192.0.2.17 " + "x" * 200
    results = judge(documents(20, truncated=secret, charset_source="detector"))
    assert failed(results) == {"payloads_whole", "charsets_declared"}
    result = results["payloads_whole"]
    assert result.observed == {"unexpected": 20, "rows": 20}
    assert len(result.samples) == 3
    sample = result.samples[0]
    assert sample["id"].startswith("<urn:uuid:")
    assert (sample["file_path"], sample["offset"]) == ("f.warc.gz", 1)
    assert "jane" not in str(sample)
    assert "170" not in str(sample)
    assert "192.0" not in str(sample)
    assert len(sample["truncated"]) == 80
    assert {row["charset_source"] for row in results["charsets_declared"].samples} == {"detector"}


def test_nulls_are_shown_with_what_finds_them(documents: Any) -> None:
    results = judge(documents(20, title=None))
    assert failed(results) == {"titles_found"}
    assert results["titles_found"].samples[0]["title"] is None
    assert results["titles_found"].samples[0]["id"].startswith("<urn:uuid:")
    assert audit.verdict(list(results.values())) == "passed"  # info is recorded


def test_a_missing_column_is_a_failure_with_its_name(documents: Any) -> None:
    results = judge(documents(20).drop("title", "truncated"))
    assert failed(results) == {"payloads_whole", "titles_found"}
    assert '"truncated"' in str(results["payloads_whole"].error)
    assert results["payloads_whole"].samples == []


def test_no_baseline_is_information(documents: Any) -> None:
    results = judge(documents(20), {})
    assert results["rows_near_baseline"].success
    assert results["rows_near_baseline"].severity == "info"
    assert "no baseline_written to compare with" in results["rows_near_baseline"].observed


def test_baseline_far_away_warns(documents: Any) -> None:
    results = judge(documents(20), {"baseline_written": 5})
    assert failed(results) == {"rows_near_baseline"}
    assert (results["rows_near_baseline"].observed, results["rows_near_baseline"].limit) == (
        20,
        {"min_value": 2, "max_value": 10},
    )
    assert audit.verdict(list(results.values())) == "warned"


@pytest.mark.parametrize(
    ("kind", "kwargs", "words"),
    [
        ("expect_nonsense", {}, "expect_nonsense not found"),
        ("expect_table_row_count_to_be_between", {"wrong": 1}, "validation error"),
        ("expect_column_mean_to_be_between", {"column": "text", "min_value": 1}, "StringType"),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT nope FROM {batch}"}, "nope"),
        ("expect_table_row_count_to_equal", {"value": {"$PARAMETER": "absent"}}, "parameter absent was not given"),
    ],
)
def test_an_expectation_that_raises_fails_alone(documents: Any, kind: str, kwargs: dict[str, Any], words: str) -> None:
    written = contract.load("documents")
    wrong = {**written.expectations[0], "name": "wrong", "type": kind, "kwargs": kwargs}
    results = audit.audit(documents(20), dataclasses.replace(written, expectations=(*written.expectations, wrong)), SAME)
    assert [result.expectation for result in results if not result.success] == ["wrong"]
    assert words in str(results[-1].error)
    assert audit.verdict(results) == "failed"


def test_clusters_keep_exactly_one(spark: Any) -> None:
    content, other = "9e107d9d372bb6826bd81d3542a419d6", "e4d909c290d0fb1ca068ffaddf22cbd0"
    kept = (SNAPSHOT, 0, "<urn:uuid:1>", content, content, "<urn:uuid:1>", "survivor", 1.0)
    orphan = (SNAPSHOT, 0, "<urn:uuid:2>", other, other, "<urn:uuid:3>", "exact", 1.0)
    struct = contract.load("clusters").struct()
    assert failed(judge(spark.createDataFrame([kept], struct), {}, "clusters")) == set()
    results = judge(spark.createDataFrame([kept, orphan], struct), {}, "clusters")
    assert failed(results) == {"one_survivor_each"}
    assert results["one_survivor_each"].samples == [{"survivor": other}]


def test_unknown_reasons_stop_the_run(spark: Any) -> None:
    row = (SNAPSHOT, 0, "extract", "f.warc.gz", 0, 1, None, None, "cosmic_rays", None)
    results = judge(spark.createDataFrame([row], contract.load("rejects").struct()), {}, "rejects")
    assert failed(results) == {"reasons_known"}
    assert results["reasons_known"].samples[0]["reason"] == "cosmic_rays"
    assert failed(judge(spark.createDataFrame([], contract.load("rejects").struct()), {}, "rejects")) == set()


@pytest.mark.parametrize(
    ("failed_files", "damaged", "broken"),
    [
        (1, 0, set()),
        (2, 0, {"files_covered"}),
        (3, 0, {"files_covered", "responses_covered"}),
        (0, 250, {"responses_covered"}),
        (110, 0, {"files_covered", "files_mostly_covered", "responses_covered"}),
    ],
)
def test_coverage_decides(spark: Any, failed_files: int, damaged: int, broken: set[str]) -> None:
    """Two hundred files of a hundred responses each."""
    columns = contract.load("crawl_files").columns
    rows = []
    for number in range(200):
        lost = number < failed_files
        read = 0 if lost else 100
        row = dict.fromkeys(columns, 0) | {
            "snapshot": SNAPSHOT, "file_path": f"{number}.warc.gz", "kind": "warc", "state": "failed" if lost else "done", "responses": read,
            "documents": read, "records": 400, "damaged": damaged if number == 199 else 0, "rejects": damaged, "error": "HTTP 503" if lost else None,
        }  # fmt: skip
        rows.append(tuple(row[name] for name in columns))
    assert failed(judge(spark.createDataFrame(rows, contract.load("crawl_files").struct()), {}, "crawl_files")) == broken


def test_every_expectation_of_every_table_can_be_evaluated(spark: Any) -> None:
    """A misspelt type or argument would fail the first run of the pipeline."""
    for table in contract.all_tables():
        written = contract.load(table)
        results = audit.audit(
            spark.createDataFrame([], written.struct()), written, {"written": 0, "baseline_written": 0, "listed_files": 0}
        )
        assert [result.expectation for result in results if result.error] == []


def test_masking() -> None:
    assert audit.mask("call +1 (555) 010-9999 now") == "call *** now"
    assert audit.mask("from 2001:db8::8a2e:370:7334.") == "from ***."
    assert audit.mask({"a": ["x@y.example", 3, None]}) == {"a": ["***", 3, None]}
    assert audit.mask("1234 words, 99 %") == "1234 words, 99 %"
    assert audit.mask(b"ab") == "b'ab'"
    assert len(audit.mask("y" * 500)) == 80
