"""Recycling without Spark: which pages, which bucket, which ids, what the loader refuses, which versions dedup reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins, snapshot
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import stage
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Bucket, Recipe
from crawlmill.text import overlap, recycle, rules, signals
from crawlmill.text.hooks import Hook, interface
from crawlmill.text.hooks.chat import Response
from crawlmill.text.hooks.interface import UNCHANGED

S = "CC-MAIN-2026-43"
PAGE = "The mill on the river was built in 1871 and burned down twice. It was rebuilt by the town each time."
BETTER = "In 1871 the town built a mill on the river; it burned down twice, and each time the town built it again."


def loaded(hooks: list[dict[str, Any]], **more: Any) -> Recipe:
    return recipe.from_mapping({"recycle": {"hooks": hooks, **more}})


REWIRE = {"name": "rewire", "options": {"model": "tiny", "min_overlap": 0.0, "max_copy": 1.0}}


def test_rules_on_safety_and_language_bar_a_page_and_unknown_ones_do_too() -> None:
    assert {recycle.family(name) for name in rules.ANNOTATIONS} == {"language"}
    assert {recycle.family(name) for name in overlap.ANNOTATIONS} == {"safety"}
    assert [name for name in signals.SIGNALS if recycle.family(name) == "safety"] == [
        "rps_doc_ldnoobw_words",
        "rps_doc_ut1_blacklist",
    ]
    assert recycle.family("toxicity_by_somebody") == "other"
    given = recipe.from_mapping(
        {
            "gate": {"rules": {"bad_words": {"signal": "rps_doc_ldnoobw_words", "op": "max", "limit": 3, "severity": "flag"}}},
            "recycle": {"never": ["curly_*"]},
        }
    )
    open_to, barred = recycle.open_to(given.gate, given.recycle), recycle.barring(given.gate, given.recycle)
    assert "gopher_short_doc" in open_to and barred == {"language_score", "bad_words", "curly_bracket"}
    assert not {rules.HOOK, rules.SELECTED, rules.INVERSE} & set(open_to)


def test_the_default_buckets_put_dropped_pages_below_the_best() -> None:
    found = [recycle.bucket({recycle.RULES_FAILED: float(n)}, Bucket()) for n in (0, 1, 2, 11, 12, 30)]
    assert found == [19, 11, 10, 1, 0, 0]
    assert recipe.load().recycle.bucket == Bucket()


def test_a_bucket_is_a_linear_score_cut_at_edges() -> None:
    own = Bucket(weights={"language_score": 10.0, "fineweb_list_ratio": -5.0}, intercept=1.0, edges=(0.0, 5.0, 10.0))
    assert recycle.bucket({"language_score": 0.9}, own) == 3  # what a page lacks counts as nothing
    assert recycle.bucket({"language_score": 0.9, "fineweb_list_ratio": 0.5}, own) == 2
    assert recycle.bucket({}, own) == 1 and recycle.bucket({"fineweb_list_ratio": 1.0}, own) == 0


SCORED = {
    "measure": {"scorers": {"dclm": {"kind": "external"}, "adult": {"kind": "external"}}},
    "gate": {
        "rules": {
            "dclm": {"signal": "score.dclm", "op": "min", "limit": 0.02},
            "adult": {"signal": "score.adult", "op": "max", "limit": 0.5},
        }
    },
}


def test_a_rule_on_a_score_bars_unless_the_recipe_says_that_it_is_about_quality() -> None:
    given = recipe.from_mapping(SCORED)
    assert {"dclm", "adult"} <= recycle.barring(given.gate, given.recycle)
    given = recipe.from_mapping({**SCORED, "recycle": {"quality": ["dc*"]}})
    assert "dclm" in recycle.open_to(given.gate, given.recycle) and "adult" in recycle.barring(given.gate, given.recycle)
    given = recipe.from_mapping({**SCORED, "recycle": {"quality": ["dclm"], "never": ["dclm"]}})
    assert "dclm" in recycle.barring(given.gate, given.recycle)
    for pattern, words in (("dlcm", "did you mean"), ("language_*", "reads no score")):
        with pytest.raises(UserError, match=words):
            recipe.from_mapping({**SCORED, "recycle": {"quality": [pattern]}})


def test_hooks_route_by_a_trained_score() -> None:
    by_score = {"weights": {"score.dclm": 1.0}, "edges": [1.0, 2.0, 3.0]}
    given = recipe.from_mapping({**SCORED, "recycle": {"bucket": by_score}})
    for scores in ([("dclm", 2.0), ("adult", None)], {"dclm": 2.0}):  # as Arrow gives a map, as a struct
        page = recycle.read({"text": PAGE, "failed": [], "scores": scores}, given.recycle)
        assert page.signals["score.dclm"] == 2.0 and page.signals["quality_bucket"] == 2.0
        assert "score.adult" not in page.signals
    with pytest.raises(UserError, match=r"cannot weigh 'score.dlcm'.*did you mean"):
        recipe.from_mapping({**SCORED, "recycle": {"bucket": {"weights": {"score.dlcm": 1.0}}}})


def test_ids_of_derived_documents_hang_on_parent_hook_and_number_alone() -> None:
    first = recycle.derived_id("<urn:uuid:1>", "rewire@1", 0)
    assert first == recycle.derived_id("<urn:uuid:1>", "rewire@1", 0) and len(first) == 47 and first[24] == "8"
    others = [("<urn:uuid:2>", "rewire@1", 0), ("<urn:uuid:1>", "rewire@2", 0), ("<urn:uuid:1>", "rewire@1", 1)]
    assert len({first, *(recycle.derived_id(*other) for other in others)}) == 4
    assert {snapshot.reserved(shard) for shard in range(900)} == set(range(900, 1000))


def batch(**more: Any) -> pa.RecordBatch:
    page = {"snapshot": S, "shard": 3, "id": "<urn:uuid:1>", "text": PAGE, "language": "eng", "language_script": "Latn"}
    return pa.RecordBatch.from_pylist(
        [page | {"failed": ["gopher_short_doc"], "language_score": 0.9, "fineweb_list_ratio": 0.1} | more]
    )


def answer(text: str) -> Any:
    return lambda _hook, request: Response(request.hash, text, model="served", prompt_tokens=9, completion_tokens=5, cost=0.5)


def test_a_page_waits_for_its_answers_and_then_has_documents_with_their_makers() -> None:
    options = loaded([REWIRE]).recycle
    (waits,) = recycle.recycle_batch(batch(), options, lambda _hook, _request: None).to_pylist()
    assert len(waits["pending"]) == 1 and not waits["steps"] and not waits["made"]
    (done,) = recycle.recycle_batch(batch(), options, answer(f"<improved>{BETTER}</improved>")).to_pylist()
    (step,), (made,) = done["steps"], done["made"]
    assert not done["pending"] and made["text"] == BETTER and step["derived"] == [made["id"]]
    assert made["id"] == recycle.derived_id("<urn:uuid:1>", f"rewire@{step['version']}", 0)
    assert (step["outcome"], step["bucket"], step["model"], step["cost"]) == ("changed", 11, "served", 0.5)
    assert made["step"]["requests"] == step["requests"] and len(step["requests"]) == 1


def test_a_text_that_a_guard_refuses_makes_no_document() -> None:
    (done,) = recycle.recycle_batch(
        batch(), loaded([REWIRE]).recycle, answer("I'm sorry, but I can't help with that.")
    ).to_pylist()
    assert not done["made"] and done["steps"][0]["outcome"] == "rejected" and done["steps"][0]["derived"] == []


def test_hooks_work_on_the_page_itself_and_route_by_bucket() -> None:
    tasks = [{"name": f"nemotron_{name}", "options": {"model": "tiny"}} for name in ("wikipedia", "distill")]
    options = loaded([REWIRE, *tasks]).recycle
    long = {"text": "\n".join(f"{PAGE} Line {n}." for n in range(20))}

    def pending(**more: Any) -> list[str]:
        (row,) = recycle.recycle_batch(batch(**long, **more), options, lambda _hook, _request: None).to_pylist()
        return row["pending"]  # type: ignore[no-any-return]

    assert len(pending()) > len(pending(failed=[])) >= 2  # the paraphrase is for poorer pages, the condensed text for the best
    assert all("1871" in request for request in pending())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"recycle": {"hooks": [{"name": "mask_pii"}]}}, "'mask_pii' is of phase before_dedup: put it under rewrite"),
        ({"rewrite": {"hooks": [REWIRE]}}, "cannot run before dedup: put it under recycle"),
        ({"rewrite": {"hooks": [{"name": "mask_pii", "options": {"min_bucket": 3}}]}}, "has no option 'min_bucket'"),
        ({"recycle": {"hooks": [REWIRE, REWIRE]}}, "'rewire' stands twice"),
        ({"recycle": {"bucket": {"weights": {"rules_faild": 1.0}}}}, "did you mean 'rules_faild' -> 'rules_failed'"),
        ({"recycle": {"bucket": {"edges": [2.0, 1.0]}}}, "must ascend"),
        ({"recycle": {"bucket": {"edges": [float(n) for n in range(20)]}}}, "edges"),
        ({"recycle": {"never": ["gofer_*"]}}, "no rule is called 'gofer_\\*'"),
        ({"publish": {"mix": {"rewritten": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_what_the_loader_refuses(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        recipe.from_mapping(given)


def test_a_hook_before_dedup_can_neither_read_signals_nor_route() -> None:
    def hook(**more: Any) -> Hook:
        return Hook("mine", "1", apply=lambda document, responses, options: UNCHANGED, **more)

    assert interface.fault(hook()) is None and interface.fault(hook(phase="recycle", options={"min_bucket": 1})) is None
    assert "no quality buckets before dedup" in str(interface.fault(hook(options={"max_bucket": 1})))
    assert "needs signals" in str(interface.fault(hook(needs=("signals",))))


def put(lake: str, name: str, fence: int, inputs: dict[str, int], outputs: dict[str, int]) -> None:
    rows = [{"table": table, "snapshot": S, "version": at} for table, at in inputs.items()]
    written = [{"table": table, "version": at} for table, at in outputs.items()]
    ledger.append_run(
        lake, RunRow(f"{name}-{fence}", name, S, f"key-{name}-{fence}", "passed", inputs=rows, outputs=written, fence=fence)
    )


def test_dedup_reads_derived_documents_where_the_recipe_recycles_and_keeps_the_last_whole_state(lake: str) -> None:
    from crawlmill.lake import table

    table.create_all(lake)
    put(lake, "sketch", 1, {"documents": 1}, {"signatures": 1, "bands": 1})
    put(lake, "gate", 2, {"documents": 1}, {"verdicts": 1})
    assert pins.ingested(lake, recycled=True) == pins.ingested(lake)  # never recycled: the captured pages alone
    put(
        lake,
        "recycle",
        3,
        {"documents": 1, "signatures": 1, "bands": 1, "verdicts": 1},
        {"documents": 2, "verdicts": 2, "recycled": 1},
    )
    found, keys = pins.ingested(lake, recycled=True)
    assert (found["documents", S], found["verdicts", S], found["signatures", S]) == (2, 2, 1) and keys == {
        f"recycle@{S}": "key-recycle-3"
    }
    raw, keys = pins.ingested(lake)
    assert (raw["documents", S], raw["verdicts", S]) == (1, 1) and sorted(keys) == [f"gate@{S}", f"sketch@{S}"]
    put(lake, "gate", 4, {"documents": 1}, {"verdicts": 3})
    assert pins.ingested(lake, recycled=True)[0] == found and pins.ingested(lake)[0]["verdicts", S] == 3


def test_a_recipe_without_hooks_asks_for_no_recycling() -> None:
    assert not stage.wanted("recycle", recipe.load()) and stage.wanted("recycle", loaded([REWIRE]))
    assert all(stage.wanted(name, recipe.load()) for name in stage.NAMES if name != "recycle")


def test_the_scheduler_knows_from_the_file_whether_there_is_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crawlmill import layout
    from crawlmill.recipes.recipe_file import read_keys

    assert not read_keys(layout.recipe_path())["recycle"]["hooks"]
    own = tmp_path / "own.yaml"
    own.write_text("extends: default\nrecycle:\n  hooks: [{name: rewire}]\n")
    below = tmp_path / "below.yaml"
    below.write_text("extends: own.yaml\n")
    assert read_keys(below)["recycle"]["hooks"]
