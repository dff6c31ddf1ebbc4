"""All signals: in eight scripts against plain counts over words cut by hand, and what holds for any text."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill import layout
from crawlmill.contracts import contract
from crawlmill.recipes.recipe import Measure
from crawlmill.text import signals
from crawlmill.text.signals import LINE_SIGNALS, SIGNALS, Values, measure, measure_lines

ENGLISH = "The river is wide.\nThe river is wide.\n- We cross it…\n"


@dataclass(frozen=True)
class Sample:
    """A sentence, twice, and a third line with a bullet and an ellipsis; their words by hand, and the stop words of ours among them."""

    language: str
    sentence: str
    words: tuple[str, ...]
    third: str
    others: tuple[str, ...]
    ended: bool
    stops: int

    @property
    def text(self) -> str:
        return f"{self.sentence}\n{self.sentence}\n- {self.third}…\n"


SAMPLES = [
    Sample(
        "eng", "The river is wide.", ("The", "river", "is", "wide"), "And we cross that", ("And", "we", "cross", "that"), True, 1
    ),
    Sample(
        "rus",
        "Река не очень широка!",
        ("Река", "не", "очень", "широка"),
        "Мы перейдём на лодке",
        ("Мы", "перейдём", "на", "лодке"),
        True,
        2,
    ),
    Sample(
        "ell",
        "Το ποτάμι είναι πλατύ.",
        ("Το", "ποτάμι", "είναι", "πλατύ"),
        "Περνάμε με βάρκα",
        ("Περνάμε", "με", "βάρκα"),
        True,
        2,
    ),
    Sample("arb", "هل هذا النهر واسع؟", ("هل", "هذا", "النهر", "واسع"), "نحن على ضفته", ("نحن", "على", "ضفته"), True, 2),
    Sample("hin", "नदी बहुत चौड़ी है।", ("नदी", "बहुत", "चौड़ी", "है"), "हम उसे पार करेंगे", ("हम", "उसे", "पार", "करेंगे"), True, 1),
    Sample("cmn", "我们在学习汉字。", ("我们", "在", "学习", "汉字"), "他们喜欢中国", ("他们", "喜欢", "中国"), True, 2),
    Sample(
        "jpn", "日本語のテキストです。", ("日本語", "の", "テキスト", "です"), "カメラを買う", ("カメラ", "を", "買う"), True, 3
    ),
    Sample("tha", "แม่น้ำนี้กว้างมาก", ("แม่น้ำ", "นี้", "กว้าง", "มาก"), "เราข้ามไป", ("เรา", "ข้าม", "ไป"), False, 1),
    Sample("kor", "이 강은 넓습니다.", ("이", "강은", "넓습니다"), "우리 배로 건넌다", ("우리", "배로", "건넌다"), True, 2),
]


def plain(sample: Sample) -> Values:
    """The signals of a sample that can be counted by hand, from its words alone."""
    text = sample.text
    cased = [*sample.words, *sample.words, *sample.others]
    words = [word.lower() for word in cased]
    marks = 1 if sample.ended else 0  # the sentence's end mark is a token
    tokens = [*(sample.words + ("end",) * marks) * 2, "-", *sample.others, "…"]
    first = len(sample.sentence)
    chars = sum(map(len, words))
    twice = 2 * sum(map(len, sample.words))
    filled = 2 * first + 2 + len(sample.third) + 1
    counts = Counter(words).values()
    found: Values = {
        "ccnet_length": len(text),
        "ccnet_nlines": 3,
        "rps_doc_word_count": len(words),
        "rps_doc_mean_word_length": chars / len(words),
        "rps_doc_frac_unique_words": len(set(words)) / len(words),
        "rps_doc_unigram_entropy": -sum(count / len(words) * math.log(count / len(words)) for count in counts),
        "rps_doc_num_sentences": 3 if sample.ended else 1,
        "rps_doc_frac_no_alph_words": (2 * marks + 2) / len(tokens),
        "rps_doc_symbol_to_word_ratio": 1 / len(tokens),
        "rps_doc_frac_lines_end_with_ellipsis": 1 / 3,
        "rps_doc_curly_bracket": 0,
        "rps_doc_lorem_ipsum": 0,
        "rps_doc_frac_chars_dupe_5grams": 0,
        "rps_lines_ending_with_terminal_punctution_mark": 2 * marks / 3,
        "rps_lines_num_words": len(words) / 3,
        "rps_lines_javascript_counts": 0,
        "rps_lines_numerical_chars_fraction": 0,
        "rps_lines_start_with_bulletpoint": 0,  # a hyphen is none to RedPajama-V2
        "gopher_word_count": len(words),
        "gopher_mean_word_length": chars / len(words),
        "gopher_hash_to_word_ratio": 0,
        "gopher_ellipsis_to_word_ratio": 1 / len(tokens),
        "gopher_no_alpha_word_frac": (2 * marks + 2) / len(tokens),
        "gopher_stop_words": sample.stops,
        "gopher_bullet_line_frac": 1 / 3,
        "gopher_dup_line_frac": 1 / 3,
        "gopher_dup_line_char_frac": first / len(text),
        "gopher_dup_para_frac": 0,
        "fineweb_line_punct_ratio": 2 * marks / 3,
        "fineweb_short_line_ratio": 1,
        "fineweb_char_dup_ratio": first / (len(text) - 3),
        "fineweb_list_ratio": 3 / len(tokens),
        "c4_boilerplate_line_frac": 0,
        "difficulty_line_length_mean": (2 * first + len(sample.third) + 3) / 3,
        "difficulty_script_share": 1,
    }
    assert filled <= len(text)
    if len(sample.words) > 3:
        # The sentence's first n words and those that follow are as common as one another: the first ones count.
        for n in (2, 3, 4):
            found[f"rps_doc_frac_chars_top_{n}gram"] = 2 * sum(map(len, sample.words[:n])) / chars
            found[f"gopher_top_{n}gram_char_frac"] = 2 * len(" ".join(sample.words[:n])) / len(text)
        again = (twice // 2 + marks) / len(text) if marks else 0
        found["gopher_dup_5gram_char_frac"] = again
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.language)
def test_by_hand_in_every_script(sample: Sample) -> None:
    found = measure(sample.text, sample.language)
    for name, value in plain(sample).items():
        assert found[name] == pytest.approx(value), name


def test_what_is_undefined_is_none() -> None:
    empty = measure("", "und")
    defined = {name for name, value in empty.items() if value is not None}
    assert {name for name in defined if empty[name]} == set()
    assert defined >= {"rps_doc_word_count", "gopher_word_count", "rps_doc_num_sentences", "rps_doc_curly_bracket"}
    assert not defined & {"rps_doc_mean_word_length", "gopher_stop_words", "difficulty_mtld", "fineweb_line_punct_ratio"}
    assert measure("hello there", "xyz")["gopher_stop_words"] is None
    assert measure("...", "eng")["rps_doc_mean_word_length"] is None
    assert measure(" \n\n ", "eng")["gopher_dup_line_frac"] is None


def test_every_signal_says_what_it_is() -> None:
    columns = {column.name: column for column in contract.load("signals").fields}
    for name, signal in SIGNALS.items():
        assert signal.description.endswith("."), name
        assert signal.unit in {"count", "code points", "fraction", "ratio", "nats", "score", "category"}
        note = f"; {signal.note}" if signal.note else ""
        assert columns[name].description == f"{signal.description[:-1]} ({signal.unit}{note}).".replace("`", ""), name
        assert f"value: {signal.definition(name)}}}" in (layout.schemas_dir() / "signals.yaml").read_text(encoding="utf-8")
    assert list(measure("a", "eng")) == list(SIGNALS)


def test_batches_and_rows_are_the_same_as_texts() -> None:
    rows = [{"snapshot": "s", "shard": 3, "id": "x", "text": ENGLISH, "language": "eng", "language_script": "Latn"}]
    batch = signals.measure_batch(pa.RecordBatch.from_pylist(rows)).to_pylist()
    keys = {"snapshot": "s", "shard": 3, "id": "x", "language": "eng", "definition": signals.DEFINITION}
    assert batch == [{**keys, **measure(ENGLISH, "eng"), "line_signals": None, "scores": None}]
    assert tuple(batch[0]) == contract.load("signals").columns
    assert list(signals.measure_rows([{"text": ENGLISH, "language": "eng"}]))[0]["rps_doc_word_count"] == 11
    assert list(signals.measure_rows([{"text": None}]))[0]["rps_doc_word_count"] == 0
    empty = signals.measure_batch(pa.RecordBatch.from_pylist(rows).slice(0, 0))
    assert (empty.num_rows, empty.num_columns) == (0, 7 + len(SIGNALS))


def test_lines_on_request() -> None:
    rows = [{"snapshot": "s", "shard": 3, "id": "x", "text": "Über 10 JavaScript.\n\n• Ja", "language": "deu"}]
    options = Measure(definition=signals.DEFINITION, lines=True)
    lines = signals.measure_batch(pa.RecordBatch.from_pylist(rows), options).to_pylist()[0]["line_signals"]
    assert [[line[key] for key in ("start", "end", *LINE_SIGNALS)] for line in lines] == [
        [0, 20, 1.0, 1.0, 3.0, 2 / 18, 0.0, 3 / 20],
        [20, 21, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [21, 25, 0.0, 0.0, 1.0, 0.0, 1.0, 1 / 4],
    ]


def test_the_same_in_another_process() -> None:
    text = ENGLISH + "我们走了。 नमस्ते ภาษาไทย Straße\n" * 3
    code = f"import json; from crawlmill.text.signals import measure; print(json.dumps(measure({text!r}, 'eng')))"
    environment = {**os.environ, "PYTHONHASHSEED": "11", "PYTHONPATH": str(layout.jobs_dir())}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == measure(text, "eng")


TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)
LANGUAGES = st.sampled_from(["eng", "rus", "cmn", "tha", "und", "xyz", ""])


@given(TEXTS, LANGUAGES)
def test_any_text_gives_finite_numbers_or_none(text: str, language: str) -> None:
    found = measure(text, language)
    for name, value in found.items():
        if value is not None:
            assert math.isfinite(value), name
            assert value >= 0 or SIGNALS[name].unit in {"score"}, name
            if SIGNALS[name].unit == "fraction":
                assert value <= 1 + 1e-9, name


@given(TEXTS)
def test_lines_span_the_text_and_average_to_the_document(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    lines, found = measure_lines(text), measure(text, "eng")
    assert "".join(text[line["start"] : line["end"]] for line in lines) == text
    for name in LINE_SIGNALS:
        assert found[name] == (pytest.approx(sum(line[name] for line in lines) / len(lines)) if lines else None)


def alike(first: Values, second: Values, names: set[str]) -> None:
    for name in names:
        assert first[name] == (None if second[name] is None else pytest.approx(second[name], abs=1e-12)), name


CHARACTERS = {
    "ccnet_length",
    "rps_doc_curly_bracket",
    "difficulty_compression_ratio",
    "rps_lines_uppercase_letter_fraction",
    "fineweb_list_ratio",
}
OVER_LENGTH = CHARACTERS | {name for name in SIGNALS if name.startswith("gopher_") and name.endswith("_char_frac")}
PROSE = st.lists(
    st.sampled_from(["The river is wide.", "Река широка!", "我们在学习汉字。", "แม่น้ำกว้าง", "- Item one…", "CAPS {here}", "Café"]),
    max_size=8,
)


@given(PROSE)
def test_a_line_feed_at_the_end_changes_only_what_counts_characters(lines: list[str]) -> None:
    text = "\n".join(lines)
    alike(measure(text, "eng"), measure(text + "\n", "eng"), set(SIGNALS) - OVER_LENGTH if text else {"rps_doc_word_count"})


@given(PROSE)
def test_composed_or_not_is_the_same(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert measure(unicodedata.normalize("NFD", text), "fra") == measure(text, "fra")


SEQUENCE = ("_top_", "_dupe_", "gram_char", "mtld", "compression")


@given(PROSE, st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_only_what_looks_at_sequences(lines: list[str], random: object) -> None:
    shuffled = lines.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    names = {name for name in SIGNALS if not any(part in name for part in SEQUENCE) and name != "rps_doc_num_sentences"}
    names -= {"rps_lines_uppercase_letter_fraction"}  # the last line has no line feed
    alike(measure("\n".join(lines), "eng"), measure("\n".join(shuffled), "eng"), names)


@given(PROSE)
def test_a_text_twice_has_the_same_shares_of_tokens(lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    names = {
        "gopher_no_alpha_word_frac",
        "gopher_mean_word_length",
        "rps_doc_mean_word_length",
        "rps_doc_unigram_entropy",
        "fineweb_list_ratio",
    }
    names |= {
        "rps_doc_frac_all_caps_words",
        "gopher_stop_words",
        "difficulty_line_length_variance",
        "difficulty_script_share",
        *LINE_SIGNALS,
    }
    alike(measure(text, "eng"), measure(text * 2, "eng"), names)
