"""Overlap with reference sets: n-grams by hand, scripts without spaces, templates, recipes, the shell verb, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlmill import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.text.overlap import SCHEMA, build, overlap_batch, overlaps, report
from crawlmill.text.shingle import ngrams, tokens

QUESTION = "Orla rows the ferry eleven times a day for tourists; on Monday she rowed only forty minutes for them. How often did she cross?"
OTHER = "A shelf holds nine jars of plum jam and a third as many jars of honey, so how many jars of both kinds do four such shelves hold?"
CHINESE = "我們今天在河邊看到一隻很快的棕色狐狸跳過那條懶狗，然後大家一起回家吃了晚飯，真是有趣的一天。"


def benchmark(*texts: str, ngram: int | None = 13, kind: str = "benchmark") -> Any:
    return build("bench", kind, ngram, [{"question": text} for text in texts])


def test_case_and_punctuation_do_not_hide_an_example() -> None:
    held = benchmark(QUESTION, OTHER)
    copied = "Somebody wrote: ORLA rows the ferry, eleven times a day - for tourists. On Monday she rowed... nothing else."
    [[found]] = overlaps([copied], [held])
    assert (found.reference, found.kind, found.ngram, found.examples) == ("bench", "benchmark", 13, [0])
    assert (found.overlaps, found.longest) == (2, 14)
    assert found.share == pytest.approx(14 / len(tokens(copied)))


def test_a_run_one_word_short_is_none() -> None:
    words = QUESTION.split()
    assert overlaps([" ".join(words[:12]), " ".join([*words[:12], "but", *words[12:15]])], [benchmark(QUESTION)]) == [[], []]


def test_stretches_are_counted_in_tokens_and_once() -> None:
    held = benchmark(QUESTION)
    [[found]] = overlaps([f"{QUESTION} and then {QUESTION}"], [held])
    count = len(tokens(QUESTION))
    assert (found.overlaps, found.longest) == (count - 12, count)
    assert found.share == pytest.approx(2 * count / (2 * count + 2))


def test_scripts_without_spaces_weigh_by_characters() -> None:
    held = benchmark(CHINESE)
    [[found]] = overlaps([f"據說{CHINESE[:30]}後來下雨了"], [held])
    assert found.longest == len(tokens(CHINESE[:30]))
    assert overlaps([f"據說{CHINESE[:15]}後來下雨了"], [held]) == [[]]


def test_the_ngram_follows_the_examples_between_8_and_13() -> None:
    def words(count: int, start: int) -> str:
        return " ".join(f"w{start}x{n}" for n in range(count))

    assert benchmark(*(words(40, n) for n in range(9)), ngram=None).ngram == 13
    assert benchmark(*(words(10, n) for n in range(9)), ngram=None).ngram == 10
    short = benchmark(*(words(3, n) for n in range(9)), ngram=None)
    assert (short.ngram, short.short, short.count) == (8, 9, 9)
    assert overlaps([words(3, 0)], [short]) == [[]]


def test_a_template_of_many_examples_is_no_overlap() -> None:
    template = "Read the following passage with care and then choose the one right answer out of the four options below"
    held = benchmark(
        *(f"{template} option{n} is what this question number {n} is about and nothing else at all" for n in range(11))
    )
    assert overlaps([template], [held]) == [[]]
    few = benchmark(*(f"{template} option{n}" for n in range(10)))
    [[found]] = overlaps([template], [few])
    assert found.examples == list(range(10))


def test_texts_are_found_in_lists_and_mappings_or_only_in_named_fields() -> None:
    row = {"id": 7, "choices": {"text": [OTHER, "no"], "label": ["A", "B"]}, "question": QUESTION}
    everywhere, named = build("b", "deny", 13, [row]), build("b", "deny", 13, [row], ("question",))
    assert [len(found) for found in overlaps([OTHER, QUESTION], [everywhere])] == [1, 1]
    assert [len(found) for found in overlaps([OTHER, QUESTION], [named])] == [0, 1]


def test_several_sets_of_several_sizes_keep_their_order() -> None:
    sets = [build(name, "benchmark", size, [{"t": QUESTION}]) for name, size in (("z", 9), ("a", 13), ("m", 8))]
    [found] = overlaps([QUESTION], sets)
    assert [each.reference for each in found] == ["z", "a", "m"]


def test_the_report_counts_examples_met() -> None:
    held = benchmark(QUESTION, OTHER, "too short")
    found = [each for of_text in overlaps([QUESTION, QUESTION, "nothing of it"], [held]) for each in of_text]
    [row] = report(found, [held])
    assert (row["examples"], row["too short"], row["documents"], row["examples met"], row["share met"]) == (3, 1, 2, 1, 0.3333)


def test_nothing_read_is_an_error() -> None:
    with pytest.raises(UserError, match="'bench' holds no text"):
        build("bench", "benchmark", None, [])
    with pytest.raises(UserError, match="holds no text under answer"):
        build("bench", "benchmark", None, [{"question": "q"}], ("answer",))


@settings(max_examples=60)
@given(st.lists(st.text(st.sampled_from("ab c.河น́ "), max_size=60), max_size=5), st.integers(1, 4))
def test_runs_equal_the_tokens_that_they_span(texts: list[str], size: int) -> None:
    """A run's hash is a function of its tokens, and equal runs are exactly equal token sequences (of these short ones)."""
    runs = ngrams(texts, size, size)
    seen: dict[int, tuple[str, ...]] = {}
    for value, owner, start, end in zip(
        *(column.tolist() for column in (runs.hashes, runs.owners, runs.starts, runs.ends)), strict=True
    ):
        span = tuple(tokens(texts[owner])[start:end])
        assert size <= len(span) <= 2 * size
        assert seen.setdefault(value, span) == span
    assert len(set(seen.values())) == len(seen)
    assert runs.tokens.tolist() == [len(tokens(text)) for text in texts]


def test_rows_are_those_of_the_contract() -> None:
    batch = pa.RecordBatch.from_pylist(
        [{"snapshot": "CC-MAIN-2026-38", "shard": n, "id": f"<{n}>", "text": text} for n, text in enumerate((QUESTION, "else"))]
    )
    found = overlap_batch(batch, [benchmark(QUESTION)])
    assert found.schema == SCHEMA and tuple(found.schema.names) == contract.load("contamination").columns
    assert [row["id"] for row in found.to_pylist()] == ["<0>"]


# Recipes


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps({"question": QUESTION}) + "\n")
    return path


def written(tmp_path: Path, measure: str, gate: str = "") -> recipe.Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: default\nmeasure:\n  references:\n{measure}\n{gate}")
    return recipe.load(path)


def test_a_set_is_known_by_its_hash_not_by_its_place(tmp_path: Path, bench: Path) -> None:
    first = written(tmp_path, "  - {name: b, path: bench.jsonl}")
    (tmp_path / "elsewhere").mkdir()
    bench.rename(tmp_path / "elsewhere" / "moved.jsonl")
    second = written(tmp_path, f"  - {{name: b, path: elsewhere/moved.jsonl, sha256: {first.measure.references[0].sha256}}}")
    assert first.hash(["measure"]) == second.hash(["measure"])
    assert str(tmp_path) not in json.dumps(second.slice(["measure"]))
    (tmp_path / "elsewhere" / "moved.jsonl").write_text('{"question": "another"}\n')
    with pytest.raises(UserError, match="line 4.*reference set 'b' has sha256 .* not the one that the recipe states"):
        recipe.load(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    ("measure", "gate", "words"),
    [
        ("  - {name: b, path: nowhere.jsonl}", "", "line 4.*nowhere.jsonl cannot be read"),
        ("  - {name: b, path: bench.jsonl}\n  - {name: b, path: bench.jsonl}", "", "two reference sets are named 'b'"),
        ("  - {name: b, path: bench.jsonl, kind: blocklist}", "", "kind"),
        ("  - {name: a b, path: bench.jsonl}", "", "name"),
        ("  - {path: bench.jsonl}", "", "name' is missing"),
        (
            "  - {name: b, path: bench.jsonl}",
            "gate: {rules: {d: {signal: deny_share, op: max, limit: 0.5}}}",
            "reads 'deny_share', and no reference set of kind 'deny' is named",
        ),
        (
            "  - {name: b, path: bench.jsonl}",
            "gate: {rules: {d: {signal: benchmark_share, op: max, limit: 1}}}",
            "no document can break",
        ),
    ],
)
def test_recipes_that_cannot_be_meant(tmp_path: Path, bench: Path, measure: str, gate: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        written(tmp_path, measure, gate)


def test_a_rule_on_tokens_in_common_is_read(tmp_path: Path, bench: Path) -> None:
    found = written(
        tmp_path, "  - {name: b, path: bench.jsonl}", "gate: {rules: {clean: {signal: benchmark_overlap, op: max, limit: 12}}}"
    )
    assert found.gate.rules["clean"].limit == 12


# The shell verb


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_verb_marks_reports_and_drops(
    tmp_path: Path, bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages, out = tmp_path / "pages.jsonl", tmp_path / "out.jsonl"
    pages.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate((QUESTION, "clean"))))
    assert call(monkeypatch, "decontaminate", str(pages), "--against", f"gsm={bench}", "-o", str(out)) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [bool(row["contamination"]) for row in rows] == [True, False]
    assert rows[0]["contamination"][0]["reference"] == "gsm"
    err = capsys.readouterr().err
    assert "1 of 2 rows overlap" in err and "gsm" in err
    assert call(monkeypatch, "decontaminate", str(pages), "--against", str(bench), "--drop", "-o", str(out)) == 0
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pages.jsonl",), "against"),
        (("pages.jsonl", "--against", "nowhere.jsonl"), "nowhere.jsonl cannot be read"),
        (("pages.jsonl", "--against", "bench.jsonl", "--against", "bench.jsonl"), "two reference sets are named 'bench'"),
        (("textless.jsonl", "--against", "bench.jsonl"), "textless.jsonl row 1 has no text"),
    ],
)
def test_bad_input_of_the_verb(
    tmp_path: Path, bench: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "textless.jsonl").write_text('{"id": 1}\n')
    assert call(monkeypatch, "decontaminate", *arguments) == 2
    err = capsys.readouterr().err.strip()
    assert words in err and err.count("\n") == 0
