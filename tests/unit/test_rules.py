"""The gate: what each rule means on real texts, limits by label, every broken rule, null signals, batches, inverse."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.explain import trial
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Gate, Recipe
from crawlmill.text import rules, signals
from crawlmill.text.rules import FailedRule, GateRule, failed, judge, rules_for
from tests.fixtures import rule_texts
from tests.fixtures.prose import article

VERDICT = ["snapshot", "shard", "id", "language", "language_script", "eligible", "failed", "flagged", "recipe_key"]


@pytest.fixture(scope="module")
def default() -> Recipe:
    return recipe.load()


@pytest.fixture(scope="module")
def own() -> Gate:
    """The default rules with their own limits, for every language."""
    every = {name: {"languages": None} for name in recipe.load().gate.rules}
    return recipe.from_mapping({"gate": {"limits_from": [], "rules": every}}).gate


def small(**gate: object) -> Recipe:
    """Three rules and whatever the test needs."""
    base = {
        "rules": {
            "short": {"signal": "rps_doc_word_count", "op": "min", "limit": 50},
            "lists": {"signal": "fineweb_list_ratio", "op": "max", "limit": 0.3},
            "score": {"signal": "language_score", "op": "min", "limit": 0.65},
        }
    }
    values = recipe.load().slice(["extract", "identify", "measure"])
    return recipe.from_mapping({**values, "gate": {**base, **gate}}, base=None)


def broken(gate: Gate, text: str, language: str, script: str = "", score: float = 0.95) -> dict[str, float]:
    """Broken rules of a text with their values."""
    values = {**signals.measure(text, language), "language_score": score}
    return {reason.rule: reason.value for reason in failed(rules_for(gate, language, script), values)}


EXACT = [(rule, language) for rule, (languages, _) in rule_texts.EXACT.items() for language in languages]
LESS_EXACT = [(rule, language) for rule in rule_texts.BROKEN for language in rule_texts.LANGUAGES]


@pytest.mark.parametrize(("rule", "language"), EXACT)
def test_each_rule_on_texts_inside_at_and_beyond_its_limit(own: Gate, rule: str, language: str) -> None:
    case = rule_texts.EXACT[rule][1](language)
    limit = own.rules[rule].limit
    assert rule not in broken(own, case.inside, language)
    assert rule not in broken(own, case.at, language)
    assert signals.measure(case.at, language)[own.rules[rule].signal] == pytest.approx(limit, abs=1e-12)
    assert rule in broken(own, case.beyond, language)


@pytest.mark.parametrize(("rule", "language"), LESS_EXACT)
def test_each_rule_on_shares_of_characters(own: Gate, rule: str, language: str) -> None:
    """Prose keeps it, a text made for it breaks it, and with the text's own value as its limit it is kept, a hair further it is not."""
    text, given = rule_texts.BROKEN[rule](language), own.rules[rule]
    value = signals.measure(text, language)[given.signal]
    assert value is not None
    if rule != "gopher_below_avg_threshold" or language in rule_texts.SPACED:  # three letters are no measure of a Chinese word
        assert rule not in broken(own, rule_texts.prose(language), language)
    assert rule in broken(own, text, language)
    stricter = math.inf if given.op == "min" else -math.inf
    for limit, breaks in ((value, False), (math.nextafter(value, stricter), True), (math.nextafter(value, -stricter), False)):
        assert (rule in broken(trial.gate(own, rule, repr(limit)), text, language)) is breaks


def test_every_default_rule_is_shown_on_texts(default: Recipe) -> None:
    elsewhere = {"language_score", "gopher_long_doc"}
    assert default.gate.rules.keys() == rule_texts.EXACT.keys() | rule_texts.BROKEN.keys() | elsewhere


def test_the_score_and_the_longest_document(own: Gate) -> None:
    text = rule_texts.prose("eng")
    assert "language_score" not in broken(own, text, "eng", score=0.5)
    assert "language_score" in broken(own, text, "eng", score=math.nextafter(0.5, 0))
    words = rule_texts.words("eng", 1000).split()
    assert "gopher_long_doc" not in broken(own, "\n".join([" ".join(words)] * 100), "eng")
    assert broken(own, "\n".join([" ".join(words)] * 100) + "\nmore", "eng")["gopher_long_doc"] == 100_001


@pytest.mark.parametrize(
    "language", ["eng", "rus", "arb", "hin", "ell", "heb", "kor", "kat", "cmn", "tha", "jpn", "deu", "vie", "tur"]
)
def test_prose_passes_in_every_script(default: Recipe, language: str) -> None:
    from crawlmill.sample_crawl import texts

    script = texts.languages()[language].script
    found = [broken(default.gate, rule_texts.prose(language, number), language, script) for number in range(8)]
    assert sum(not reasons for reasons in found) >= 6, found


def test_limits_by_script_by_language_and_the_rule_s_own() -> None:
    gate = small(
        limits={"srp": {"short": 10}, "srp_Latn": {"short": 20, "lists": None}, "Cyrl": {"short": 30, "lists": 0.4}}
    ).gate
    assert rules_for(gate, "deu")[0] == GateRule("short", "rps_doc_word_count", "min", 50)
    assert [(rule.rule, rule.limit) for rule in rules_for(gate, "srp", "Latn")] == [("short", 20), ("score", 0.65)]
    assert [rule.limit for rule in rules_for(gate, "srp", "Cyrl")] == [10, 0.4, 0.65]
    assert [rule.limit for rule in rules_for(gate, "rus", "Cyrl")] == [30, 0.4, 0.65]


def test_own_is_the_limit_of_the_rule_whatever_the_script_has() -> None:
    gate = small(limits={"eng": {"short": "own"}, "Latn": {"short": 30, "lists": None}}).gate
    assert [rule.limit for rule in rules_for(gate, "eng", "Latn")] == [50, 0.65]
    assert [rule.limit for rule in rules_for(gate, "deu", "Latn")] == [30, 0.65]


def test_a_rule_without_a_limit_of_its_own() -> None:
    extra = {"signal": "rps_doc_unigram_entropy", "op": "min", "limit": None}
    gate = recipe.from_mapping({"gate": {"rules": {"entropy": extra}, "limits": {"deu": {"entropy": 3}}}}).gate
    assert "entropy" in {rule.rule for rule in rules_for(gate, "deu", "Latn")}
    assert "entropy" not in {rule.rule for rule in rules_for(gate, "eng", "Latn")}


def test_rules_of_some_languages_only() -> None:
    gate = recipe.from_mapping({"gate": {"rules": {"list_ratio": {"languages": ["deu", "srp_Cyrl", "Grek"]}}}}).gate
    has = [("deu", ""), ("deu", "Latn"), ("srp", "Cyrl"), ("ell", "Grek")]
    has_not = [("srp", "Latn"), ("eng", ""), ("rus", "Cyrl")]
    for labels, expected in ((has, True), (has_not, False)):
        for language, script in labels:
            assert any(rule.rule == "list_ratio" for rule in rules_for(gate, language, script)) is expected


LIMITS = st.dictionaries(
    st.sampled_from(["srp_Latn", "srp_Cyrl", "srp", "rus", "Latn", "Cyrl"]),
    st.dictionaries(st.sampled_from(["short", "lists"]), st.sampled_from([None, "own", 1.0, 2.0, 3.0])),
)


@given(
    LIMITS, st.sampled_from([("srp", "Latn"), ("srp", "Cyrl"), ("rus", "Cyrl"), ("deu", "Latn"), ("srp", ""), ("und", "Zyyy")])
)
def test_the_first_label_of_the_chain_that_has_a_limit_decides(limits: Any, label: tuple[str, str]) -> None:
    gate = SMALL.model_copy(update={"limits": limits})
    found = {rule.rule: rule.limit for rule in rules_for(gate, *label)}
    for name, rule in SMALL.rules.items():
        expected = rule.limit
        for key in (f"{label[0]}_{label[1]}", label[0], label[1]):
            if name in limits.get(key, {}):
                expected = rule.limit if limits[key][name] == "own" else limits[key][name]
                break
        assert found.get(name) == expected


@given(LIMITS, st.sampled_from(["srp", "rus"]), st.sampled_from(["Latn", "Cyrl"]))
def test_a_more_special_label_never_changes_others(limits: Any, language: str, script: str) -> None:
    """Giving one language and script a limit leaves every other pair as it was."""
    before = SMALL.model_copy(update={"limits": limits})
    label = f"{language}_{script}"
    after = before.model_copy(update={"limits": {**limits, label: {**limits.get(label, {}), "short": 7.0}}})
    for other in (("srp", "Latn"), ("srp", "Cyrl"), ("rus", "Cyrl"), ("rus", "Latn"), ("deu", "Latn")):
        if other == (language, script):
            assert rules_for(after, *other)[0].limit == 7.0
        else:
            assert rules_for(after, *other) == rules_for(before, *other)


def test_all_broken_rules_with_value_and_limit() -> None:
    gate = small().gate
    values = {"rps_doc_word_count": 49.0, "fineweb_list_ratio": 0.31, "language_score": 0.65}
    assert failed(rules_for(gate, "eng"), values) == [
        FailedRule("short", "rps_doc_word_count", 49.0, "min", 50.0),
        FailedRule("lists", "fineweb_list_ratio", 0.31, "max", 0.3),
    ]
    assert failed(rules_for(gate, "eng"), {"rps_doc_word_count": 50.0, "fineweb_list_ratio": 0.3, "language_score": 1.0}) == []


def test_null_signals_break_nothing() -> None:
    gate = small().gate
    assert failed(rules_for(gate, "eng"), {"rps_doc_word_count": None}) == []
    assert failed(rules_for(gate, "eng"), {}) == []


def rows(texts: list[str], language: str = "eng", script: str = "Latn") -> list[dict[str, Any]]:
    fixed = {
        "snapshot": "s",
        "shard": 0,
        "language": language,
        "language_script": script,
        "language_score": 0.9,
        "script_share": 1.0,
    }
    return [{**fixed, "id": str(n), **signals.measure(text, language)} for n, text in enumerate(texts)]


def test_batches_are_the_same_as_documents(default: Recipe) -> None:
    given = (
        rows([article(1), "", "Too short."])
        + rows([article(2), "Zu kurz."], "deu")
        + rows([rule_texts.prose("rus")], "rus", "Cyrl")
    )
    found = judge(default.gate)(pa.RecordBatch.from_pylist(given)).to_pylist()
    for row, verdict in zip(given, found, strict=True):
        reasons = failed(rules_for(default.gate, row["language"], row["language_script"]), row)
        assert verdict["failed"] == [vars(reason) for reason in reasons]
        assert verdict["flagged"] == []
        assert verdict["eligible"] == (not reasons)
        assert verdict["language_script"] == row["language_script"]
        assert verdict["recipe_key"] == default.hash(["gate"])
    assert [row["eligible"] for row in found] == [True, False, False, False, False, True]


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "language": st.sampled_from(["eng", "srp", "und", None]),
            "language_script": st.sampled_from(["Latn", "Cyrl", None]),
            "rps_doc_word_count": st.none() | st.sampled_from([9.0, 10.0, 49.0, 50.0, 51.0]),
            "fineweb_list_ratio": st.none() | st.sampled_from([0.0, 0.3, 0.31]),
            "language_score": st.none() | st.sampled_from([0.64, 0.65, 1.0]),
        }
    ),
    max_size=12,
)
GATES = st.fixed_dictionaries(
    {
        "limits": LIMITS,
        "languages": st.sampled_from([None, ("srp",), ("eng", "srp_Cyrl")]),
        "inverse": st.sampled_from([(), ("short",), ("*s*",)]),
    }
)


@given(ROWS, GATES, st.sampled_from(["reject", "flag"]))
def test_verdicts_follow_from_the_broken_rules(given: list[dict[str, Any]], changes: dict[str, Any], severity: str) -> None:
    """What the documentation says, document by document: what rejects, what is flagged, what inverse and a list of languages do."""
    lists = SMALL.rules["lists"].model_copy(update={"severity": severity})
    gate = SMALL.model_copy(update={**changes, "rules": {**SMALL.rules, "lists": lists}})
    fixed = {"snapshot": "s", "shard": 0, "id": "i"}
    empty = pa.RecordBatch.from_pylist([{**fixed, "language": "eng", "language_script": "Latn", "rps_doc_word_count": 1.0,
                                         "fineweb_list_ratio": 1.0, "language_score": 1.0}]).slice(0, 0)  # fmt: skip
    batch = pa.RecordBatch.from_pylist([{**fixed, **row} for row in given], schema=empty.schema)
    for row, verdict in zip(given, judge(gate)(batch).to_pylist(), strict=True):
        language, script = row["language"] or "und", row["language_script"] or ""
        reasons = [reason.rule for reason in failed(rules_for(gate, language, script), row)]
        around = rules.turned(gate)
        rejects = [name for name in reasons if name not in around and gate.rules[name].severity == "reject"]
        if gate.languages is not None and not {f"{language}_{script}", language, script} & set(gate.languages):
            rejects.insert(0, rules.SELECTED)
        if gate.inverse and not around & set(reasons):
            rejects.append(rules.INVERSE)
        assert [reason["rule"] for reason in verdict["failed"]] == rejects
        assert [reason["rule"] for reason in verdict["flagged"]] == [name for name in reasons if name not in rejects]
        assert verdict["eligible"] == (not rejects)


def test_inverse_keeps_what_a_rule_alone_takes_out(default: Recipe) -> None:
    gate = recipe.from_mapping({"gate": {"inverse": ["dup*", "top_*", "char_dup*"]}}).gate
    repeated = "\n".join([*article(1).splitlines(), *article(1).splitlines()])
    given = rows([article(1), repeated, "Too short. " * 4])
    clean, kept, short = judge(gate)(pa.RecordBatch.from_pylist(given)).to_pylist()
    assert clean["failed"] == [{"rule": "inverse", "signal": "rules_broken", "value": 0.0, "op": "min", "limit": 1.0}]
    assert kept["eligible"] and {"dup_line_frac", "duplicated_5_n_grams"} <= {reason["rule"] for reason in kept["flagged"]}
    assert not short["eligible"]
    assert not judge(default.gate)(pa.RecordBatch.from_pylist(given)).to_pylist()[1]["eligible"]


def test_a_list_of_languages_is_a_rule() -> None:
    gate = recipe.from_mapping({"gate": {"languages": ["deu", "Cyrl"]}}).gate
    (verdict,) = judge(gate)(pa.RecordBatch.from_pylist(rows([article(1)]))).to_pylist()
    assert verdict["failed"] == [
        {"rule": "language_selected", "signal": "language_selected", "value": 0.0, "op": "min", "limit": 1.0}
    ]
    assert not verdict["eligible"]


def test_an_empty_batch(default: Recipe) -> None:
    empty = judge(default.gate)(pa.RecordBatch.from_pylist(rows([article(1)])).slice(0, 0))
    assert empty.num_rows == 0
    assert empty.schema.names == VERDICT


NUMBERS = st.none() | st.floats(0, 1e6, allow_nan=False)


@given(st.dictionaries(st.sampled_from(["rps_doc_word_count", "fineweb_list_ratio", "language_score"]), NUMBERS))
def test_a_rule_fails_only_beyond_its_limit(values: dict[str, float | None]) -> None:
    for reason in failed(rules_for(SMALL, "eng"), values):
        assert values[reason.signal] == reason.value
        assert (reason.value < reason.limit) if reason.op == "min" else (reason.value > reason.limit)
        assert math.isfinite(reason.value)
    ok = [
        rule
        for rule in rules_for(SMALL, "eng")
        if rule.rule not in {reason.rule for reason in failed(rules_for(SMALL, "eng"), values)}
    ]
    assert failed(ok, values) == []


SMALL = small().gate
