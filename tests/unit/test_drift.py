"""Comparisons: what never fires, what always does, strange labels, and what moved since the last snapshot that passed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.contracts.facts import Facts
from crawlmill.lake import ledger
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import drift
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Recipe

OLD, MID, NEW = "CC-MAIN-2026-30", "CC-MAIN-2026-38", "CC-MAIN-2026-43"


@pytest.fixture(scope="module")
def rules() -> Recipe:
    """Two rules, one of which has no limit in German."""
    values = recipe.load().slice(["extract", "identify", "measure"])
    short = {"signal": "rps_doc_word_count", "op": "min", "limit": 50}
    lists = {"signal": "fineweb_list_ratio", "op": "max", "limit": 0.3}
    gate = {"rules": {"short": short, "lists": lists}, "limits": {"deu": {"lists": None}}}
    return recipe.from_mapping({**values, "gate": gate}, base=None)


def rule(table: str, name: str, **kwargs: Any) -> dict[str, Any]:
    """A comparison of a contract, with other numbers."""
    found = next(entry for entry in contract.load(table).comparisons if entry["name"] == name)
    return {**found, "kwargs": {**found["kwargs"], **kwargs}}


def verdicts(**changes: Any) -> Facts:
    documents = {("eng", "Latn"): 6000, ("deu", "Latn"): 4000}
    given: dict[str, Any] = {
        "documents": documents,
        "eligible": {("eng", "Latn"): 3000, ("deu", "Latn"): 1000},
        "fires": {"short": {("eng", "Latn"): 600, ("deu", "Latn"): 10}, "lists": {("eng", "Latn"): 3}},
    }
    return Facts(10_000, **{**given, **changes})


def test_a_rule_that_never_fires_on_many_documents(rules: Recipe) -> None:
    seen = rule("verdicts", "rules_fire", min_documents=6000)
    assert drift.result(seen, verdicts(), rules, None).observed == {"short": 0.061, "lists": 0.0005}
    assert drift.result(seen, verdicts(), rules, None).success
    silent = drift.result(seen, verdicts(fires={"short": {("eng", "Latn"): 1}}), rules, None)
    assert (silent.success, silent.severity, silent.samples) == (False, "warning", ["lists"])
    few = rule("verdicts", "rules_fire", min_documents=6001)  # lists has a limit for 6,000 documents only
    assert drift.result(few, verdicts(fires={"short": {("eng", "Latn"): 1}}), rules, None).success


def test_a_rule_that_nearly_always_fires_in_a_language(rules: Recipe) -> None:
    seen = rule("verdicts", "rules_spare", min_documents=4000, max_share=0.9)
    assert drift.result(seen, verdicts(), rules, None).success
    fires = {"short": {("eng", "Latn"): 10, ("deu", "Latn"): 3999}, "inverse": {("eng", "Latn"): 6000}}
    found = drift.result(seen, verdicts(fires=fires), rules, None)
    assert not found.success
    assert found.samples == [{"rule": "short", "label": "deu_Latn", "share": 0.99975}]
    assert drift.result(rule("verdicts", "rules_spare", min_documents=4001), verdicts(fires=fires), rules, None).success


def test_names_outside_their_vocabulary_are_critical(rules: Recipe) -> None:
    known = {"short": {("eng", "Latn"): 1}, "language_selected": {("deu", "Latn"): 1}, "hook_proposal": {("deu", "Latn"): 1}}
    assert drift.result(rule("verdicts", "rules_known"), verdicts(fires=known), rules, None).success
    found = drift.result(rule("verdicts", "rules_known"), verdicts(fires={**known, "shrot": {("eng", "Latn"): 1}}), rules, None)
    assert (found.success, found.severity, found.samples) == (False, "critical", ["shrot"])
    labels = rule("languages", "labels_known")
    assert drift.result(labels, Facts(2, documents={("deu", "Latn"): 1, ("und", "Zyyy"): 1}), rules, None).success
    strange = drift.result(labels, Facts(2, documents={("deu", "Latn"): 1, ("xyz", "Latn"): 1}), rules, None)
    assert (strange.success, strange.severity, strange.samples) == (False, "critical", ["xyz"])


def test_the_keep_rate_of_a_language_moves(rules: Recipe) -> None:
    seen = rule("verdicts", "keep_rate_near_baseline")
    alone = drift.result(seen, verdicts(), rules, None)
    assert (alone.success, alone.severity, alone.observed) == (True, "info", {"all": 0.4, "deu": 0.25, "eng": 0.5})
    near = drift.result(seen, verdicts(), rules, {"all": 0.45, "deu": 0.2, "eng": 0.59}, MID)
    assert (near.success, near.severity, near.limit["baseline"]) == (True, "warning", MID)
    far = drift.result(seen, verdicts(), rules, {"all": 0.45, "deu": 0.5, "eng": 0.61, "fra": 0.1}, MID)
    assert not far.success
    assert far.samples == [{"what": "deu", "was": 0.5, "is": 0.25}, {"what": "eng", "was": 0.61, "is": 0.5}]


def test_the_mix_of_languages_moves(rules: Recipe) -> None:
    def facts(**shares: int) -> Facts:
        return Facts(sum(shares.values()), documents={(name, "Latn"): n for name, n in shares.items()})

    seen = rule("languages", "language_mix_near_baseline")
    before = drift.result(seen, facts(eng=8000, deu=2000), rules, None).observed
    assert before == {"documents": 10_000, "shares": {"deu": 0.2, "eng": 0.8}}
    assert drift.result(seen, facts(eng=14_200, deu=5000, fra=800), rules, before).success
    moved = drift.result(seen, facts(eng=7000, deu=2000, fra=1100), rules, before)
    assert not moved.success
    assert moved.observed["distance"] == 0.108911
    assert moved.samples[0]["language"] == "fra"
    few = drift.result(seen, facts(eng=9, deu=9000), rules, before)
    assert (few.success, few.severity) == (True, "info")


def test_null_rates(rules: Recipe) -> None:
    defined = rule("signals", "signals_defined")
    assert drift.result(defined, Facts(5000, nulls={"rps_doc_word_count": 100, "rps_doc_curly_bracket": 0}), rules, None).success
    gone = drift.result(defined, Facts(5000, nulls={"rps_doc_word_count": 101, "gopher_stop_words": 5000}), rules, None)
    assert gone.samples == [{"column": "rps_doc_word_count", "share": 0.0202}]
    moving = rule("signals", "null_rates_near_baseline")
    before = {"gopher_stop_words": 0.1, "rps_doc_word_count": 0.0}
    assert drift.result(moving, Facts(5000, nulls={"gopher_stop_words": 700, "rps_doc_word_count": 0}), rules, before).success
    moved = drift.result(moving, Facts(5000, nulls={"gopher_stop_words": 900, "new_signal": 5000}), rules, before)
    assert moved.samples == [{"what": "gopher_stop_words", "was": 0.1, "is": 0.18}]
    assert drift.result(moving, Facts(999, nulls={"gopher_stop_words": 900}), rules, before).severity == "info"


def test_the_yield_of_a_crawl_file(rules: Recipe) -> None:
    seen = rule("crawl_files", "yield_near_baseline")
    first = drift.result(seen, Facts(20, files={"files": 20, "bytes": 2000, "responses": 100, "documents": 60}), rules, None)
    assert (first.severity, first.observed) == ("info", {"files": 20, "bytes": 100.0, "responses": 5.0, "documents": 3.0})
    less = Facts(50, files={"files": 50, "bytes": 5000, "responses": 250, "documents": 70})
    found = drift.result(seen, less, rules, first.observed, OLD)
    assert not found.success
    assert found.samples == [{"what": "documents", "times": 0.467}]
    assert drift.result(
        seen, Facts(9, files={"files": 9, "bytes": 1, "responses": 1, "documents": 1}), rules, first.observed
    ).success


def test_every_comparison_of_the_contracts_is_known_and_readable(rules: Recipe) -> None:
    for table in contract.all_tables():
        for entry in contract.load(table).comparisons:
            assert entry["type"] in drift.CHECKS
            empty = Facts(0, files=dict.fromkeys(("files", "bytes", "responses", "documents"), 0))
            assert drift.result(entry, empty, rules, None).success
    assert {entry["type"] for table in contract.all_tables() for entry in contract.load(table).comparisons} == drift.CHECKS.keys()


def put(lake: str, snapshot: str, verdict: str, run_id: str, failed: bool = False, answered: bool = False) -> None:
    """A run of the gate with one result in `quality`."""
    now = datetime.now(UTC)
    ledger.append_run(lake, RunRow(run_id, "gate", snapshot, "k", verdict, outputs=[{"table": "verdicts", "version": 1}]))
    row = {
        "snapshot": snapshot, "stage": "gate", "table": "verdicts", "version": 1, "run_id": run_id, "expectation": "keep_rate_near_baseline",
        "column": None, "severity": "warning", "description": "d", "success": not failed, "observed": f'{{"all": 0.{run_id[1:]}}}', "limit": "{}",
        "samples": "[]", "error": None, "answer": None, "checked_at": now,
    }  # fmt: skip
    ledger.append_quality(lake, [row])
    if answered:
        ledger.answer(lake, [row], "publish: it is a test")


def test_the_baseline_is_the_nearest_older_snapshot_that_passed(lake: str, rules: Recipe) -> None:
    for name in ("runs", "quality"):
        contract.create(lake, name)
    assert drift.baseline(lake, "gate", NEW) is None
    put(lake, NEW, "passed", "r1")
    put(lake, OLD, "passed", "r2")
    assert drift.baseline(lake, "gate", OLD) is None
    put(lake, MID, "warned", "r3", failed=True)
    found = drift.baseline(lake, "gate", NEW)
    assert found is not None and found.snapshot == OLD  # the warning waits for an answer
    put(lake, MID, "warned", "r4", failed=True, answered=True)
    found = drift.baseline(lake, "gate", NEW)
    assert found is not None and found.run_id == "r4"
    row = RunRow("r5", "gate", NEW, "k", "committed")
    results = {result.expectation: result for result in drift.judge(lake, row, contract.load("verdicts"), rules, verdicts())}
    assert results["keep_rate_near_baseline"].limit["baseline"] == MID
    assert results["keep_rate_near_baseline"].success  # .4 now and then
