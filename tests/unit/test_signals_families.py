"""Single signals, worked out by hand: where definitions have corners, and where files are needed."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Classifier, Importance, Measure, Resource
from crawlmill.text import page, reference
from crawlmill.text.ngrams import covered, repeats, scanned
from crawlmill.text.signals import DEFINITION, SIGNALS, Values, measure
from crawlmill.text.signals_difficulty import FLESCH, mtld
from crawlmill.text.words import plain_words, tokenize


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Lorem  Ipsum dolor, lorem,\nipsum", "rps_doc_lorem_ipsum", 2 / 29),  # over "lorem ipsum dolor lorem ipsum"
        ("dolor", "rps_doc_lorem_ipsum", 0),
        ("{ab}", "rps_doc_curly_bracket", 0.5),
        ("# a ## b", "rps_doc_symbol_to_word_ratio", 3 / 4),
        ("a.... b......", "rps_doc_symbol_to_word_ratio", 3 / 4),
        ("# a ## b", "gopher_hash_to_word_ratio", 3 / 4),
        ("a.... b… c", "gopher_ellipsis_to_word_ratio", 2 / 5),
        ("Pi is 3.14. ПРИВЕТ!", "rps_doc_num_sentences", 3),  # RedPajama-V2 ends a sentence within 3.14
        ("NASA ПРИВЕТ Mixed 123 ΑΒΓ", "rps_doc_frac_all_caps_words", 3 / 5),
        ("one 2 три 四 . five", "rps_doc_frac_no_alph_words", 2 / 6),
        ("the The of", "rps_doc_stop_word_fraction", 2 / 3),  # as written
        ("the The of the", "gopher_stop_words", 2),
        ("a" * 30 + "\n" + "b" * 31, "fineweb_short_line_ratio", 0.5),
        (
            "Yes.\n\nनमस्ते।\nno\nև այո։\n“quoted.”",
            "fineweb_line_punct_ratio",
            3 / 5,
        ),  # a quote after it hides the mark, as in FineWeb
        ("ab\n\nab\n \nc\n ", "fineweb_char_dup_ratio", 2 / 7),  # blank lines are no lines to FineWeb
        ("a\nb c", "fineweb_list_ratio", 1 / 3),
        ("• a\n* b\n- c\n\nd", "gopher_bullet_line_frac", 2 / 5),
        ("• a\n* b\n– c\nd", "rps_lines_start_with_bulletpoint", 2 / 4),
        ("a...\nb…\nc\n", "rps_doc_frac_lines_end_with_ellipsis", 2 / 3),
        ("ab\ncd\nab\n\n\nab", "gopher_dup_line_frac", 2 / 4),
        ("ab\ncd\nab\n\n\nab", "gopher_dup_line_char_frac", 4 / 13),
        ("ab\n\ncd\nef\n\n\nab\n\nab", "gopher_dup_para_frac", 2 / 4),
        ("ab\n\ncd\nef\n\n\nab\n\nab", "gopher_dup_para_char_frac", 4 / 18),
        ("Enable JavaScript\nWe use cookies here\nA real line", "c4_boilerplate_line_frac", 2 / 3),
        # C4: lines of three words or more that end in a mark; `...` is none, a citation is not there.
        ("Two words.\nThree words here.\nNo mark at all\nThree words more...\nAs was said. And so.[3]", "c4_num_sentences", 3),
        (
            "Two words.\nThree words here.\nNo mark at all\nThree words more...\nAs was said. And so.[3]",
            "fineweb_c4_num_sentences",
            5,
        ),
        ("Please turn on JavaScript.\nRead our Privacy Policy now.\nThis line is kept.", "c4_num_sentences", 1),
        ("这 是 汉字。 很 好！", "fineweb_c4_num_sentences", 2),
        ("Here is lorem ipsum dolor.\nlorem ipsum", "c4_lorem_ipsum_lines", 1),
        ("Here is lorem ipsum dolor.\nso lorem ipsum it is", "fineweb_c4_lorem_ipsum_lines", 2),
        ("if x { return y }.\nuse javascript { here }.", "c4_curly_bracket_lines", 1),
        ("x " + "y" * 1001 + " z { here.\nThis one is fine.", "fineweb_c4_curly_bracket_lines", 0),
        # RefinedWeb: 3 + 1 + 2 + 1 + 2 words go of 15.
        (
            "THIS IS LOUD\nword\n3 likes\n1234\nThis short line has nothing bad Read more...",
            "refinedweb_removed_word_frac",
            9 / 15,
        ),
        ("items in cart", "refinedweb_removed_word_frac", 1),
        ("A line that is long enough to be left as it is, though it says read more...", "refinedweb_removed_word_frac", 0),
        ("The cat sat on the mat.", "difficulty_flesch", 116.145),
        ("ab\n\nabcd\n", "difficulty_line_length_mean", 3),
        ("ab\n\nabcd\n", "difficulty_line_length_variance", 1),
        ("abc абвгд", "difficulty_script_share", 5 / 8),
        ("日本語のテキスト", "difficulty_script_share", 1),
    ],
)
def test_corners(text: str, name: str, value: float) -> None:
    assert measure(text, "eng")[name] == pytest.approx(value)


def test_repetition_by_hand() -> None:
    found = measure("a b c d e a b c d e f", "und")
    assert found["rps_doc_frac_chars_dupe_5grams"] == pytest.approx(10 / 11)
    assert found["gopher_dup_5gram_char_frac"] == pytest.approx(5 / 21)  # spaces are characters of the text
    assert found["rps_doc_frac_chars_dupe_6grams"] == 0
    assert found["rps_doc_frac_chars_top_4gram"] == pytest.approx(8 / 11)
    assert found["gopher_top_4gram_char_frac"] == pytest.approx(14 / 21)


def test_symbols_and_case_are_of_gophers_ngrams_only() -> None:
    found = measure("So, what? so what", "und")
    assert found["rps_doc_frac_chars_top_2gram"] == 1
    assert found["gopher_top_2gram_char_frac"] == pytest.approx(len("So ,") / 17)  # none repeats: the first one


@pytest.mark.parametrize(("copies", "chars"), [(2, 5), (3, 10), (4, 15)])
def test_a_scan_steps_over_what_it_has_met(copies: int, chars: int) -> None:
    assert measure("v w x y z " * copies, "und")["gopher_dup_5gram_char_frac"] == pytest.approx(chars / (10 * copies))


WORDS = st.lists(st.sampled_from(["a", "bb", "ccc", "d", "E"]), max_size=60)


@given(WORDS, st.integers(2, 10))
def test_repeats_equal_their_definition(words: list[str], n: int) -> None:
    tokens = tokenize(" ".join(words))
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    found = list(repeats(tokens.hashes, 10))[n - 2]
    twice = [start for start, gram in enumerate(grams) if grams.count(gram) > 1]
    assert found.starts.tolist() == twice
    best = max(grams, key=grams.count, default=())
    assert found.count == (grams.count(best) if grams else 0)
    assert not twice or found.top == grams.index(best)
    inside = {start + offset for start in twice for offset in range(n)}
    assert covered(found, tokens.lengths) == sum(len(words[at]) for at in inside)
    met: set[tuple[str, ...]] = set()
    at = chars = 0
    while at < len(grams):
        if grams[at] in met:
            chars += sum(map(len, grams[at]))
            at += n
        else:
            met.add(grams[at])
            at += 1
    assert scanned(found, np.append(0, np.cumsum(tokens.lengths))) == chars


@given(WORDS)
def test_diversity_equals_its_definition(words: list[str]) -> None:
    def factors(sequence: list[str]) -> float:
        full, seen, count = 0, set(), 0
        for word in sequence:
            seen.add(word)
            count += 1
            if len(seen) / count < 0.72:
                full, seen, count = full + 1, set(), 0
        return full + ((1 - len(seen) / count) / 0.28 if count else 0)

    words = [word.lower() for word in words]
    both = factors(words), factors(words[::-1])
    expected = None if not words or 0 in both else (len(words) / both[0] + len(words) / both[1]) / 2
    found = mtld(plain_words(tokenize(" ".join(words))).types[0])
    assert found == (None if expected is None else pytest.approx(expected))


def test_diversity_of_long_factors() -> None:
    # 1,000 words and the same again: the ratio falls below .72 with word 1,389, and 611 words that are all different are left.
    assert mtld(np.tile(np.arange(1000), 2)) == 2000
    assert mtld(np.arange(5000)) is None


def test_repeated_text_compresses_better_than_varied_text() -> None:
    varied = " ".join(hashlib.sha256(bytes([number])).hexdigest()[:6] for number in range(100))
    ratio = "difficulty_compression_ratio"
    assert (measure("river " * 100, "eng")[ratio] or 1) < (measure(varied, "eng")[ratio] or 0) / 3


@pytest.mark.parametrize(
    ("language", "text", "sentences", "words", "syllables"),
    [
        ("eng", "People make a little table. We agree!", 2, 7, 2 + 1 + 1 + 2 + 2 + 1 + 2),
        ("deu", "Die Häuser sind schön.", 1, 4, 1 + 2 + 1 + 1),
        ("spa", "El río corre. ¿Y tú?", 2, 5, 1 + 1 + 2 + 1 + 1),
        ("rus", "Её мама читает книги.", 1, 4, 2 + 2 + 3 + 2),
    ],
)
def test_reading_ease(language: str, text: str, sentences: int, words: int, syllables: int) -> None:
    formula = FLESCH[language]
    expected = formula.base - formula.sentence * words / sentences - formula.syllable * syllables / words
    assert measure(text, language)["difficulty_flesch"] == pytest.approx(expected)


def test_reading_ease_is_for_its_languages_only() -> None:
    assert measure("我们走了。", "cmn")["difficulty_flesch"] is None
    assert measure("12 34.", "eng")["difficulty_flesch"] is None


def resource(path: Path, raw: bytes) -> Resource:
    path.write_bytes(raw)
    return Resource(path=str(path), sha256=hashlib.sha256(raw).hexdigest())


def test_without_files_what_needs_them_is_null() -> None:
    found = measure("The river is wide.", "eng", Measure(definition=DEFINITION), "host.example")
    null = {name for name, value in found.items() if value is None}
    assert {name for name in SIGNALS if "importance" in name or "_ml_" in name} < null
    assert {"rps_doc_ldnoobw_words", "rps_doc_ut1_blacklist"} < null


def with_files(folder: Path) -> Measure:
    good = reference.count(["rivers are wide", "rivers are deep and wide"], 64)
    return Measure(
        definition=DEFINITION,
        stop_words={"eng": resource(folder / "stop", b"river\nis\n")},
        bad_words={"eng": resource(folder / "bad", "wide\nclick here\nwell-known\n我们 学习\n".encode())},
        bad_domains=resource(folder / "domains", json.dumps({"bad.example": 3, "a.worse.example": 4}).encode()),
        importance={
            "eng": Importance(
                source=resource(folder / "all.npz", reference.count(["cars are fast"], 64)),
                books=resource(folder / "good.npz", good),
            )
        },
    )


@pytest.mark.parametrize(
    ("text", "host", "expected"),
    [
        ("Wide river, click here! Well-known: click, here", None, {"rps_doc_ldnoobw_words": 3}),
        ("我们学习汉字", None, {"rps_doc_ldnoobw_words": 1}),
        ("x", "www.bad.example", {"rps_doc_ut1_blacklist": 3}),
        ("x", "worse.example", {"rps_doc_ut1_blacklist": None}),
        ("x", "B.A.worse.example.", {"rps_doc_ut1_blacklist": 4}),
        ("river is it", None, {"rps_doc_stop_word_fraction": 2 / 3, "gopher_stop_words": 2}),
    ],
)
def test_lists(tmp_path: Path, text: str, host: str | None, expected: Values) -> None:
    found = measure(text, "eng", with_files(tmp_path), host)
    assert {name: found[name] for name in expected} == expected
    assert measure(text, "deu", with_files(tmp_path), host)["rps_doc_ldnoobw_words"] is None


def test_importance_by_hand(tmp_path: Path) -> None:
    options, text = with_files(tmp_path), "rivers are wide"
    reference.check(options)
    read = page.read(text)
    source, good = (reference.counts(getattr(options.importance["eng"], name)) for name in ("source", "books"))
    expected = sum(
        math.log(good.shares[at] + 1e-8) - math.log(source.shares[at] + 1e-8) for at in reference.features(read.tokens, 64)
    )
    found = measure(text, "eng", options)
    assert found["rps_doc_books_importance"] == pytest.approx(expected)
    assert expected > 0 > (measure("cars are fast", "eng", options)["rps_doc_books_importance"] or 0)
    assert (good.length, source.length) == (19.5, 13)
    likely = [mean**15 * math.exp(-mean) / math.factorial(15) + 1e-8 for mean in (19.5, 13)]
    corrected = expected + math.log(likely[0]) - math.log(likely[1])
    assert found["rps_doc_books_importance_length_correction"] == pytest.approx(corrected)
    assert found["rps_doc_wikipedia_importance"] is None
    assert reference.count(["a b", "c"], 8) == reference.count(iter(["a b", "c"]), 8)


def test_a_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    class Model:
        def predict(self, line: str, *_: object) -> list[tuple[float, str]]:
            assert line.count("\n") == 1
            return [(0.8, "__label__wiki" if "river" in line else "__label__cc")] if line.strip() else []

    monkeypatch.setattr(reference, "classifier", lambda file: Model())
    file = Resource(path="model.bin", sha256="0" * 64)
    options = Measure(definition=DEFINITION, classifiers={"palm": Classifier(file=file, languages=("eng",))})
    name = "rps_doc_ml_palm_score"
    assert [measure(text, "eng", options)[name] for text in ("rivers\nare wide", "cheap\ncars", "\n", "")] == [
        0.8,
        pytest.approx(0.2),
        None,
        None,
    ]
    assert measure("rivers are wide", "deu", options)[name] is None


def test_a_model_of_fasttext() -> None:
    file = Resource(path="lid.176.ftz", sha256=recipe.load().identify.sha256)
    options = Measure(definition=DEFINITION, classifiers={"wikipedia": Classifier(file=file)})
    score = measure("Die Flüsse sind hier sehr breit.", "deu", options)["rps_doc_ml_wikipedia_score"]
    assert score is not None
    assert 0.9 < score <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b"[]"), "the recipe wants"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: object, message: str) -> None:
    options = Measure(definition=DEFINITION, bad_domains=resource(tmp_path / f"domains-{message}", b'{"a": 1}'))
    change(tmp_path / f"domains-{message}")  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        reference.check(options)
    with pytest.raises(UserError, match=message):
        measure("x", "eng", options, "a")


@pytest.mark.parametrize("raw", [b"[1]", b'{"a": "b"}', b"no"])
def test_a_malformed_list_is_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(UserError, match="JSON object"):
        reference.domain_list(resource(tmp_path / "domains", raw))


def test_lists_and_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    words = resource(tmp_path / "words", "mot\nété\n".encode("latin1"))
    with pytest.raises(UserError, match="words is not UTF-8"):
        reference.check(Measure(definition=DEFINITION, stop_words={"fra": words}))
    model = resource(tmp_path / "model.bin", b"no model at all")
    options = Measure(definition=DEFINITION, classifiers={"palm": Classifier(file=model)})
    with pytest.raises(UserError, match=r"model\.bin is no fastText model"):
        measure("rivers are wide", "eng", options)


@pytest.mark.parametrize("raw", [b"", b"no counts", b"PK"])
def test_malformed_counts_are_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(UserError, match="count-ngrams"):
        reference.counts(resource(tmp_path / "counts.npz", raw))
    with pytest.raises(UserError, match="buckets"):
        reference.log_ratio(
            resource(tmp_path / "a.npz", reference.count(["a"], 4)), resource(tmp_path / "b.npz", reference.count(["a"], 8))
        )


def test_where_a_file_lies_does_not_decide() -> None:
    first, second = (Resource(path=path, sha256="0" * 64) for path in ("/a", "/b"))
    assert first.model_dump() == second.model_dump()
