"""The rule workbench: expressions are parsed and never run, patterns cannot hang, answers are the gate's, drafts are recipes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.errors import UserError
from crawlmill.explain import trial
from crawlmill.recipes import recipe
from crawlmill.text import rules
from crawlmill.workbench import draft, expression, sample, trying
from tests.fixtures import seen
from tests.fixtures.lakes import NEW

KNOWN = ("a", "b", "score.q")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("workbench") / "lake"))


def hits(text: str, **columns: list[float | None]) -> list[bool]:
    rows = len(next(iter(columns.values())))
    arrays = {name.replace("__", "."): np.array(values, dtype=float) for name, values in columns.items()}
    found: list[bool] = expression.parse(text, KNOWN).hits(arrays, rows).tolist()
    return found


def test_expressions_say_what_they_say() -> None:
    assert hits("a < 3", a=[1, 3, None]) == [True, False, False]
    assert hits("not a < 3", a=[1, 3, None]) == [False, True, False], "what is null is neither"
    assert hits("a < 3 or b > 1", a=[None, None, 5], b=[2, 0, 0]) == [True, False, False]
    assert hits("not (a < 3 and b > 1)", a=[None, None, 1], b=[2, 0, 2]) == [False, True, False]
    assert hits("1 <= a < 3", a=[0, 1, 2, 3]) == [False, True, True, False]
    assert hits("max(a, b) - min(a, b) >= 2 * abs(-1)", a=[1, 1], b=[3, 2]) == [True, False]
    assert hits("score.q / a > 1", a=[0, 1, 1], score__q=[1, 1, 2]) == [True, False, True]
    assert hits("log(a) < 0", a=[-1, 0.5, 2]) == [False, True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("__import__('os').system('x') > 1", "not allowed"), ("a.__class__ > 1", "no signal"), ("(lambda: a)() > 1", "not allowed"),
        ("a if b else a", "not allowed"), ("[a] > 1", "not allowed"), ("a ** 9 ** 9 > 1", "not allowed"), ("a", "a number"),
        ("a > 'x'", "not allowed"), ("a > True", "not allowed"), ("1 < 2", "reads no signal"), ("aa > 1", "did you mean"),
        ("a > 1 and b", "needed"), ("(a > 1) + 1 > 1", "brackets"), ("a >", "no expression"), ("a > 1e999", "not allowed"),
        ("min(a) > 1", "not allowed"), ("a < b < (a > 1)", "brackets"), ("(" * 400 + "a" + ")" * 90, "no expression"),
        ("+".join(["a"] * 120) + " > 1", "parts"), ("a > 1 or " * 80 + "a > 2", "characters"), ("a > 1 # b", ""), ("a in b", "not allowed"),
        ("a > 1" + "0" * 400, "not allowed"), ("a := 1", "no expression"), ("a\x00 > 1", "no expression"), ("f'{a}' > 1", "not allowed"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_a_word(text: str, says: str) -> None:
    if not says:
        assert expression.parse(text, KNOWN).text == text
        return
    with pytest.raises(UserError, match=says):
        expression.parse(text, KNOWN)


@given(st.text(alphabet="ab<>=()+-*/ .1andornotmilx'[]{}:_\"\\\n", max_size=60))
def test_any_text_is_an_expression_or_a_user_error(text: str) -> None:
    try:
        found = expression.parse(text, KNOWN)
    except UserError:
        return
    assert len(found.hits({name: np.array([1.0, np.nan]) for name in KNOWN}, 2)) == 2


def test_an_expression_as_rules() -> None:
    terms = expression.parse("a < 3 or 0.5 < score.q or b > -1", KNOWN).terms()
    assert terms == [("a", "min", 3.0), ("score.q", "max", 0.5), ("b", "max", -1.0)]
    for text in ("a < 3 and b > 1", "a < b", "a <= 3", "a + 1 > 3", "not a < 3", "a > 1 / b"):
        with pytest.raises(UserError, match="no rule of a recipe"):
            expression.parse(text, KNOWN).terms()


def test_the_sample_is_the_snapshot_where_that_is_small(lake: str) -> None:
    drawn, rows = sample.draw(lake, NEW), {row["id"]: row for row in seen.documents(NEW)}
    ids = drawn.verdicts["id"].to_pylist()
    assert set(ids) == rows.keys() and drawn.urls == [rows[one]["url"] for one in ids]
    assert drawn.before == [rows[one]["text"] for one in ids]
    words = [rows[one]["gopher_word_count"] for one in ids]
    assert np.array_equal(drawn.column("gopher_word_count"), np.array(words, dtype=float), equal_nan=True)
    english = [n for n, one in enumerate(ids) if rows[one]["language"] == "eng" and "nobody@" in rows[one]["text"]]
    assert english and all("someone" in drawn.after[n] and "nobody@" not in drawn.after[n] for n in english)
    few = sample.draw(lake, NEW, "deu", 10)
    assert len(few) == 10 and set(few.verdicts["language"].to_pylist()) == {"deu"}
    assert few.urls[:5] == sample.draw(lake, NEW, "deu", 10).urls[:5]
    with pytest.raises(UserError, match="no documents in fra"):
        sample.draw(lake, NEW, "fra")


def test_a_limit_says_what_the_gate_would(lake: str) -> None:
    gate, drawn = recipe.load().gate, sample.draw(lake, NEW, "eng")
    found = trying.limit(drawn, gate, "gopher_short_doc", "60")
    after = rules.judge(trial.gate(gate, "gopher_short_doc", "60", ("eng",)))(_with_keys(drawn))
    assert found.after == sum(after.column("eligible").to_pylist()) < found.before
    fails = [any(rule["rule"] == "gopher_short_doc" for rule in row) for row in after.column("failed").to_pylist()]
    assert found.hits == sum(fails) and found.n == len(drawn)
    assert len(found.hit_pages) == trying.PAGES and all(one["told"]["gopher_word_count"] < 60 for one in found.hit_pages)
    assert [one["id"] for one in trying.limit(drawn, gate, "gopher_short_doc", "60", 1).hit_pages] != [
        one["id"] for one in found.hit_pages
    ]
    with pytest.raises(UserError, match="did you mean"):
        trying.limit(drawn, gate, "gopher_short_dok", "60")


def _with_keys(drawn: sample.Sample) -> Any:
    import pyarrow as pa

    columns = {name: drawn.batch.column(name) for name in drawn.batch.schema.names}
    return pa.RecordBatch.from_pydict({**columns, "snapshot": columns["id"], "shard": columns["id"]})


def test_a_condition_and_the_same_limit_agree(lake: str) -> None:
    gate, drawn = recipe.load().gate, sample.draw(lake, NEW, "eng")
    stricter = trying.limit(drawn, gate, "gopher_short_doc", "60")
    wanted = expression.parse("gopher_word_count < 60", drawn.measured)
    found = trying.condition(drawn, wanted)
    assert (found.hits, found.before, found.after) == (stricter.hits, stricter.before, stricter.after)
    assert found.after == found.before - found.alone


def test_a_pattern_is_searched_and_cannot_hang(lake: str) -> None:
    drawn = sample.draw(lake, NEW)
    found = trying.pattern(drawn, "(?i)someone|nobody@")
    assert found.hits == sum("someone" in text for text in drawn.after) > 0, "the text after hooks is searched"
    assert all("***" not in one["after"] for one in found.missed_pages)
    for text, says in ((r"(", "no regular expression"), ("x" * 501, "characters"), (r"(?:a|aa|a?)+$(?<=b)(x+x+)+y", None)):
        began = time.monotonic()
        try:
            trying.pattern(drawn, text)
            assert says is None
        except UserError as error:
            assert says is None or says in str(error)
        assert time.monotonic() - began < 5
    slow = sample.Sample(**{**vars(drawn), "after": ["a" * 5000 + "!"] * len(drawn)})
    with pytest.raises(UserError, match="nested repetitions"):
        trying.pattern(slow, r"(a|a|aa)+$")


def test_recipes_side_by_side(lake: str) -> None:
    drawn, gate = sample.draw(lake, NEW), recipe.load().gate
    same = trying.compare(drawn, gate, gate)
    assert same.a == same.b and same.only_a == same.only_b == 0 and not same.a_pages
    assert same.a == sum(row["eligible"] for row in seen.verdicts(seen.documents(NEW)))
    stricter = trial.gate(gate, "gopher_short_doc", "70", everywhere=True)
    found = trying.compare(drawn, gate, stricter)
    assert found.only_a == found.a - found.b > 0 and found.only_b == 0
    assert found.rules[0]["rule"] == "gopher_short_doc" and found.rules[0]["b"] > found.rules[0]["a"]
    assert all("gopher_short_doc" in one["why"] for one in found.a_pages)


def test_a_draft_is_a_recipe_and_never_written_over(lake: str) -> None:
    path = draft.save(lake, "shorter", draft.of_limit("gopher_short_doc", 60.0, "deu"), "somebody\nextends: evil")
    assert path.parent == Path(lake) / "_control" / "drafts"
    assert recipe.load(path).gate.limits["deu"]["gopher_short_doc"] == 60
    with pytest.raises(UserError, match="is there already"):
        draft.save(lake, "shorter", draft.of_limit("gopher_short_doc", 1.0, "deu"), "again")
    assert recipe.load(path).gate.limits["deu"]["gopher_short_doc"] == 60
    two = draft.save(
        lake, "two", draft.of_terms("two", [("gopher_word_count", "min", 3.0), ("script_share", "max", 0.9)], None), "x"
    )
    assert {"two_1", "two_2"} <= recipe.load(two).gate.rules.keys()
    found = recipe.load(draft.save(lake, "lorem", draft.of_pattern("lorem", "eng"), "x", r"(?i)lorem\s+ipsum"))
    assert found.gate.rules["lorem"].signal == "score.lorem" and found.measure.scorers["lorem"].languages == ("eng",)
    assert {"in force", "default", "draft shorter", "draft lorem"} <= draft.offered(lake).keys()
    for name in ("../evil", "Evil", "", "a/b", "a" * 42, "x\n"):
        with pytest.raises(UserError, match="no name"):
            draft.save(lake, name, {}, "x")
    with pytest.raises(UserError):
        draft.save(lake, "broken", {"gate": {"rules": {"x": {"signal": "nothing"}}}}, "x")
    left = sorted(one.name for one in draft.folder(lake).iterdir())
    assert left == ["lorem.patterns.txt", "lorem.yaml", "shorter.yaml", "two.yaml"], "nothing of what was refused"
