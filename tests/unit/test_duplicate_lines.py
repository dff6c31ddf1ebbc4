"""Duplicate lines: what is equal, which is the first, the filter's rate, the hook, recipes, the shell verb, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill import cli
from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import HookSpec, Lines, Rewrite
from crawlmill.text.duplicate_lines import bloom, duplicates, first_in_order, lines_batch, parts, rows_without, without
from crawlmill.text.hooks import rewrite_batch

LINE, PARAGRAPH = Lines(), Lines(unit="paragraph")
MENU = "Home | About | Contact"


def kept(texts: list[str], options: Lines = LINE) -> list[str]:
    return [row["text"] for row in rows_without(({"text": text} for text in texts), options, {})]


@pytest.mark.parametrize(
    ("one", "two", "equal"),
    [
        ("Read more…", "read  MORE", True),
        ("Page 12 of 40", "page 99 of 40", True),
        ("Page 1", "page 12", False),
        ("été", "ete", False),
        ("किताब", "कताब", False),
        ("Copyright © 2026", "copyright 2025!", True),
        ("٢٠٢٦ حقوق", "٢٠٢٥ حقوق", True),
    ],
)
def test_what_is_equal(one: str, two: str, equal: bool) -> None:
    assert (parts(one, LINE)[0].hash == parts(two, LINE)[0].hash) is equal


def test_lines_without_letters_are_never_duplicates() -> None:
    assert parts("---\n\n***\n", LINE) == []
    assert kept(["one\n---\nend", "two\n---\nfin"]) == ["one\n---\nend", "two\n---\nfin"]


def test_the_first_keeps_its_line_and_a_whole_copy_stays() -> None:
    texts = [f"{MENU}\nA story.", f"{MENU}\nAnother one.", "A story.", f"Third.\n{MENU}\nThird."]
    assert kept(texts) == [f"{MENU}\nA story.", "Another one.", "A story.", "Third."]


def test_short_lines_are_left_alone_where_asked() -> None:
    assert kept(["menu\nfirst story", "menu\nsecond story"], Lines(min_chars=5)) == ["menu\nfirst story", "menu\nsecond story"]


def test_paragraphs_are_what_empty_lines_part() -> None:
    one, two = "a b\nc d\n\ne f\n \n\ng h", "x y\n\na b\nc d\n\nz"
    assert [text for part in parts(one, PARAGRAPH) for text in [one[slice(*part.span)].strip()]] == ["a b\nc d", "e f", "g h"]
    assert kept([one, two], PARAGRAPH) == [one, "x y\n\nz"]
    assert kept(["a b\n\nc", "c d\na b\n\nd"], PARAGRAPH) == ["a b\n\nc", "c d\na b\n\nd"]


@given(st.text(st.sampled_from("ab1 \n."), max_size=40), st.sampled_from([LINE, PARAGRAPH]))
def test_spans_cover_a_text_in_order_and_taking_none_out_changes_nothing(text: str, options: Lines) -> None:
    spans = [part.span for part in parts(text, options)]
    assert all(start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))
    assert without(text, ()) == text.rstrip()
    left = without(text, duplicates(parts(text, options), ()))
    assert duplicates(parts(left, options), ()) == []


# The filter


def test_a_filter_never_forgets_and_its_rate_is_the_one_it_tells() -> None:
    filled = bloom(0.05, 1e-3)
    assert filled.bits <= 0.05 * 8e6 * 1.01
    values = [hash(("some", n)) >> 1 for n in range(40_000)]
    for value in values:
        filled.meet(value)
    assert all(filled.meet(value) for value in values)
    fresh = [hash(("other", n)) >> 1 for n in range(40_000)]
    told = filled.false_positives
    wrong = sum(value in filled.held for value in fresh) / len(fresh)
    assert told > 1e-3  # it holds more than it was laid out for, and says so
    assert told / 2 < wrong < told * 2


def test_a_filter_within_its_capacity_keeps_its_rate() -> None:
    filled = bloom(0.1, 1e-4)
    for n in range(30_000):
        filled.meet(n * 2_654_435_761 - (1 << 40))
    assert filled.false_positives < 1e-4
    assert sum(n * 2_654_435_761 + 7 in filled.held for n in range(20_000)) < 20


def test_by_filter_and_by_set_agree_where_the_filter_is_large() -> None:
    texts = [f"{MENU}\nstory {'x' * n}\ncommon tail" for n in range(50)]
    assert kept(texts) == kept(texts, Lines(mode="bloom", memory_mb=1))


def test_filters_start_anew_with_each_shard() -> None:
    texts = [(0, MENU), (0, MENU + "\nnew"), (1, MENU), (1, "other\nother")]
    rows = [{"snapshot": "S", "shard": shard, "key": n, "text": text} for n, (shard, text) in enumerate(texts)]
    lines = lines_batch(pa.RecordBatch.from_pylist(rows), LINE).to_pylist()
    documents = []
    for row in rows:
        own = [line for line in lines if line["key"] == row["key"]]
        listed = {f"{name}s" if name == "hash" else name: [line[name] for line in own] for name in ("hash", "times", "chars")}
        listed["hashes"] = listed.pop("hashs")
        documents.append(
            {**{k: row[k] for k in ("snapshot", "shard", "key")}, **listed, "lines": own[0]["lines"], "total": own[0]["total"]}
        )
    batch = pa.RecordBatch.from_pylist(documents)
    [found] = [part.to_pylist() for part in first_in_order([batch], Lines(mode="bloom", memory_mb=0.1))]
    assert [(row["key"], row["duplicates"], row["lines"], len(row["hashes"])) for row in found] == [(1, 1, 2, 1), (3, 1, 2, 0)]
    assert all(0 < row["false_positives"] < 1e-3 for row in found)


# The hook and its recipe


def test_the_hook_takes_out_what_stands_elsewhere_or_before() -> None:
    options = Rewrite(lines=LINE, hooks=(HookSpec(name="drop_duplicate_lines"),))
    known = [part.hash for part in parts(MENU, LINE)]
    texts = [f"{MENU}\nstory", "again\nstory\nagain", MENU, ""]
    columns: dict[str, Any] = {
        "snapshot": ["S"] * 4, "shard": [0] * 4, "id": list("abcd"), "url": ["u"] * 4, "text": texts, "language": ["eng"] * 4,
        "language_script": ["Latn"] * 4, "duplicate_hashes": [known, None, known, None],
    }  # fmt: skip
    found = rewrite_batch(pa.RecordBatch.from_pydict(columns), options).to_pylist()
    assert [row["text"] for row in found] == ["story", "again\nstory", None, None]
    assert [row["steps"][0]["outcome"] for row in found] == ["changed", "changed", "rejected", "unchanged"]
    assert found[0]["steps"][0]["edits"] == 1


@pytest.mark.parametrize(
    ("rewrite", "words"),
    [
        ({"hooks": [{"name": "drop_duplicate_lines"}]}, "needs the duplicate lines: write `lines: {}` under rewrite"),
        ({"lines": {}, "hooks": [{"name": "mask_pii"}, {"name": "drop_duplicate_lines"}]}, "put it first"),
        ({"lines": {"unit": "sentence"}}, "rewrite.lines.unit"),
        ({"lines": {"mode": "bloom", "memory_mb": 0}}, "memory_mb"),
        ({"lines": {"mode": "bloom", "false_positives": 1}}, "false_positives"),
    ],
)
def test_recipes_that_cannot_be_meant(rewrite: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        recipe.from_mapping({"rewrite": rewrite})


def test_lines_are_not_looked_for_by_default() -> None:
    assert recipe.from_mapping({}).rewrite.lines is None
    assert recipe.from_mapping({"rewrite": {"lines": {}, "hooks": [{"name": "drop_duplicate_lines"}]}}).rewrite.lines == LINE


# The shell verb


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", "dedup-lines", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_verb_writes_shorter_rows_and_tells_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages, out = tmp_path / "pages.jsonl", tmp_path / "out.jsonl"
    pages.write_text("".join(json.dumps({"id": n, "text": f"{MENU}\nstory {n * 'x'}"}) + "\n" for n in range(5)))
    assert call(monkeypatch, str(pages), "-o", str(out)) == 0
    assert capsys.readouterr().err.strip() == "4 of 10 lines taken out of 4 rows"
    exact = out.read_text()
    assert [json.loads(line)["text"] for line in exact.splitlines()][4] == "story xxxx"
    assert call(monkeypatch, str(pages), "--bloom-mb", "1", "-o", str(out)) == 0
    assert out.read_text() == exact
    assert "a new line is taken for a duplicate with a probability of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere.jsonl",), "nowhere.jsonl cannot be read"),
        (("pages.jsonl", "--bloom-mb", "0"), "memory_mb is 0"),
        (("pages.jsonl", "--bloom-mb", "1", "--false-positives", "1"), "false_positives is 1"),
        (("textless.jsonl",), "textless.jsonl row 1 has no text"),
    ],
)
def test_bad_input_of_the_verb(
    tmp_path: Path, arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "textless.jsonl").write_text('{"id": 1}\n')
    assert call(monkeypatch, *arguments, "-o", "out.jsonl") == 2
    err = capsys.readouterr().err.strip()
    assert words in err and err.count("\n") == 0
