"""The shipped recipes: they load, say where they come from, and each of their rules can be kept and broken wherever it has a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawlmill import layout
from crawlmill.recipes import recipe
from crawlmill.recipes.limit_table import read
from crawlmill.text import language, rules, signals
from tests.bench import fineweb2_limits
from tests.fixtures import rule_texts

NAMES = sorted(path.stem for path in layout.recipes_dir().glob("*.yaml"))
NEEDS_A_MODEL_OR_LIST = {"bad_words", "wikipedia_reference"}


def load(name: str) -> recipe.Recipe:
    return recipe.load(layout.recipes_dir() / f"{name}.yaml")


def test_the_recipes_of_the_field_are_there() -> None:
    assert NAMES == ["c4", "default", "fineweb", "fineweb2", "gopher", "redpajama-v2", "refinedweb"]


@pytest.mark.parametrize("name", NAMES)
def test_it_states_its_source_and_deviations(name: str) -> None:
    head = (layout.recipes_dir() / f"{name}.yaml").read_text(encoding="utf-8").split("\nextends:")[0]
    assert name == "default" or ("Deviations:" in head and ("arXiv" in head or "JMLR" in head or "dataset card" in head))


@pytest.mark.parametrize("name", NAMES)
def test_each_limit_can_be_kept_and_broken(name: str) -> None:
    """There is a value of the signal on either side of every limit, for every label."""
    gate = load(name).gate
    seen = set()
    for label in ["eng", *gate.limits]:
        first, _, second = label.partition("_")
        pair = (first, second) if first.islower() else ("und", first)
        seen |= {(rule.rule, rule.signal, rule.op, rule.limit) for rule in rules.rules_for(gate, *pair)}
    for rule, signal, op, limit in seen:
        top = 1.0 if signal in rules.ANNOTATIONS or signals.SIGNALS[signal].unit == "fraction" else float("inf")
        assert (0 < limit <= top) if op == "min" else (0 <= limit < top), (rule, limit)
    for label in gate.limits:
        own = {rule.rule: rule.limit for rule in rules.rules_for(gate, *label.split("_"))}
        if {"gopher_below_avg_threshold", "gopher_above_avg_threshold"} <= own.keys():
            assert own["gopher_below_avg_threshold"] < own["gopher_above_avg_threshold"], label


def everything() -> list[str]:
    cases = [make("eng") for _, make in rule_texts.EXACT.values()]
    whole = [text for case in cases for text in (case.inside, case.at, case.beyond)]
    long = "\n".join([rule_texts.words("eng", 1000)] * 101)
    lines = ["LOUD WORDS IN CAPITALS", "17 likes", "Sign in", *rule_texts.lines("eng", 3)]
    few = "# ".join(rule_texts.vocabulary("eng")[:60])
    points = "\n".join("• " + line for line in rule_texts.lines("eng", 20))
    return [
        *whole,
        *(make("eng") for make in rule_texts.BROKEN.values()),
        long,
        "\n".join(lines),
        few,
        points,
        rule_texts.prose("eng"),
        "Two words",
    ]


@pytest.fixture(scope="module")
def measured() -> list[dict[str, float | None]]:
    return [
        {**signals.measure(text, "eng"), "language_score": score, "model_score": score}
        for text in everything()
        for score in (0.3, 0.9)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_fires_on_some_text_and_not_on_another(name: str, measured: list[dict[str, float | None]]) -> None:
    found = rules.rules_for(load(name).gate, "eng", "Latn")
    broken = [{reason.rule for reason in rules.failed(found, values)} for values in measured]
    fired, kept = set().union(*broken), set().union(*({rule.rule for rule in found} - reasons for reasons in broken))
    assert {rule.rule for rule in found} - fired - NEEDS_A_MODEL_OR_LIST == set()
    assert {rule.rule for rule in found} == kept
    assert any(not reasons for reasons in broken)


def test_the_shipped_tables_are_made_of_what_was_published(shared: Path) -> None:
    published = fineweb2_limits.load(shared / "data/fineweb2/thresholds.jsonl")
    for name, made in (("fineweb2", fineweb2_limits.fineweb2(published)), ("glotlid", fineweb2_limits.glotlid(published))):
        assert (layout.recipes_dir() / f"{name}.tsv").read_text(encoding="utf-8") == made


def test_all_languages_of_fineweb2_are_covered(shared: Path) -> None:
    """Each of its 1,929 languages and scripts has, for each of its figures, the figure, `off`, or a note why not."""
    published = fineweb2_limits.load(shared / "data/fineweb2/thresholds.jsonl")
    assert len(published) == 1929
    gate = load("fineweb2").gate
    lines = {
        line.split("\t")[1]: line
        for line in (layout.recipes_dir() / "fineweb2.tsv").read_text(encoding="utf-8").splitlines()
        if "\t" in line
    }
    taken = cut = 0
    for name, figures in published.items():
        code, _, script = name.partition("_")
        found = {rule.rule: rule.limit for rule in rules.rules_for(gate, code, script)}
        for rule, value in fineweb2_limits.rules_of(figures).items():
            if fineweb2_limits.sensible(rule, value) and "leaves no document" not in lines[name]:
                assert found.get(rule) == (pytest.approx(value, abs=1e-6) if value > 0 else None), (name, rule)
                taken += 1
            else:
                assert f"{rule} {round(value, 3):g} cut to" in lines[name] or "leaves no document" in lines[name], (name, rule)
                cut += 1
    assert taken > 10 * cut


def test_every_language_and_script_of_the_model_has_limits() -> None:
    """None falls to the limits of English for want of a row, English itself keeps them."""
    limits, _ = read(layout.recipes_dir() / "fineweb2.tsv")
    own = {rule.rule: rule.limit for rule in rules.rules_for(load("fineweb").gate, "eng", "Latn")}
    default = {rule.rule: rule.limit for rule in rules.rules_for(load("default").gate, "eng", "Latn")}
    assert own.items() - {("model_score", 0.65)} <= default.items()
    bare = {
        name for name in language.LANGUAGES if name not in limits and not any(label.startswith(f"{name}_") for label in limits)
    }
    assert bare <= {"egl"}  # Emilian, in Latin script: the script's row
    assert {"Latn", "Cyrl", "Arab", "Hani", "Thai", "Deva", "Jpan", "Hang"} <= limits.keys()


def test_least_scores_by_language_under_glotlid(tmp_path: Path) -> None:
    """FineWeb-2 keeps a Maltese page at .35 and drops a Portuguese one at .75."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: fineweb2\ngate: {limits_from: [fineweb2.tsv, glotlid.tsv]}\n", encoding="utf-8")
    gate = recipe.load(mine).gate

    def kept(code: str, script: str, score: float) -> bool:
        return not rules.failed(rules.rules_for(gate, code, script), {"model_score": score})

    assert kept("mlt", "Latn", 0.35) and kept("mlt", "Latn", 0.3) and not kept("mlt", "Latn", 0.29)
    assert not kept("por", "Latn", 0.75) and kept("por", "Latn", 0.8)
    assert not kept("tha", "Thai", 0.89) and kept("tha", "Thai", 0.9)
    assert not kept("qaa", "Latn", 0.64)  # no language of FineWeb-2: the rule's own limit
