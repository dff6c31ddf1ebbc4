"""n-gram models: Kneser-Ney by hand, ARPA there and back, KenLM's scores, and perplexity."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from crawlmill.errors import UserError
from crawlmill.text import arpa, kneser_ney
from tests.fixtures import prose


def model_of(texts: list[str], n: int = 3, min_count: int = 1) -> arpa.Model:
    lines = [line for text in texts for line in arpa.words_of(text)]
    words = [*kneser_ney.SPECIAL, *sorted({word for line in lines for word in line})]
    numbers = {word: number for number, word in enumerate(words)}
    rows = kneser_ney.windows([[numbers[word] for word in line] for line in lines], n)
    return kneser_ney.estimate(words, *kneser_ney.distinct(rows, np.ones(len(rows), dtype=np.int64)), min_count)


def written(model: arpa.Model) -> str:
    out = io.StringIO()
    arpa.write(model, out)
    return out.getvalue()


PROSE = [prose.article(n) for n in range(6)]


@pytest.mark.parametrize(("n", "min_count"), [(1, 1), (2, 1), (3, 1), (5, 1), (3, 2)])
def test_probabilities_after_any_words_sum_to_one(n: int, min_count: int) -> None:
    model = model_of(PROSE, n, min_count)
    words = [word for word in model.words if word != arpa.START]
    for before in ([], ["the"], words[7:9], words[30:33], ["zebra"]):
        lines = [[*before, word] for word in words]
        start = model.numbers[arpa.START]
        ids = np.array([[start, *(model.numbers.get(word, 0) for word in line)] for line in lines])
        last = model.words_log10(ids.ravel(), start).reshape(ids.shape)[:, -1]
        assert (10**last).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("n", [1, 3, 4, 6])
@pytest.mark.parametrize("words", [3, 1 << 18, 200_000])
def test_packed_ngrams_sort_and_add_up_as_they_are(n: int, words: int) -> None:
    draw = np.random.default_rng(n)
    rows = draw.choice(np.array([0, 1, 2, words - 1]), size=(500, n))
    keys = kneser_ney.packed(rows, words)
    assert keys.shape[1] <= -(-n // 3) and np.array_equal(kneser_ney.unpacked(keys, words, n), rows)
    expected, seen = np.unique(rows, axis=0, return_counts=True)
    for given in (None, np.ones(len(rows), dtype=np.int64)):
        found, counts = kneser_ney.distinct(keys, given)
        assert np.array_equal(kneser_ney.unpacked(found, words, n), expected) and np.array_equal(counts, seen)
    weighted = kneser_ney.distinct(keys, np.full(len(rows), 3))[1]
    assert np.array_equal(weighted, 3 * seen)


def test_kneser_ney_by_hand() -> None:
    """Two lines, `a b` and `a c`: three kinds of pairs end in a, b or c and one of each; discounts are the fallback's."""
    model = model_of(["a b\na c"], 2)
    # Words before: a 1 (<s>), b 1, c 1, </s> 2 (b, c): 5 in all; .5 is taken of each 1 and 1 of the 2; 2.5 / 5 to share among 5 words.
    unigram = {"a": 0.1 + 0.1, "</s>": 0.2 + 0.1, "<unk>": 0.1}
    for word, probability in unigram.items():
        assert 10 ** float(model.orders[0].probability[model.numbers[word]]) == pytest.approx(probability, rel=1e-5)
    # After a: b and c once each, .5 taken of both, so half goes to the 1-grams: .25 + .5 * .2.
    assert 10 ** model.log10([["a", "b"]])[0] == pytest.approx(
        ((2 - 1) / 2 + 0.5 * 0.2) * (0.25 + 0.5 * 0.2) * (0.5 + 0.5 * 0.3), rel=1e-4
    )


def test_arpa_there_and_back() -> None:
    model = model_of(PROSE)
    text = written(model)
    again = arpa.read(io.StringIO(text))
    assert written(again) == text == written(model_of(PROSE[::-1]))
    lines = [line for number in range(20, 24) for line in arpa.words_of(prose.article(number))]
    assert model.log10(lines) == pytest.approx(again.log10(lines), abs=1e-4)
    alone = [again.log10([line])[0] for line in lines]
    assert again.log10(lines).tolist() == alone


@pytest.mark.parametrize(("n", "min_count"), [(2, 1), (3, 1), (5, 1), (3, 2)])
def test_the_same_scores_from_kenlm(tmp_path: Path, n: int, min_count: int) -> None:
    kenlm = pytest.importorskip("kenlm", reason="KenLM's Python package is not installed")
    path = tmp_path / "model.arpa"
    path.write_text(written(model_of(PROSE, n, min_count)), encoding="utf-8")
    own, theirs = arpa.load(path, ""), kenlm.Model(str(path))
    lines = [
        *([line] for line in ("zebra", "the zebra")),
        *(list(arpa.words_of(prose.article(number)))[0] for number in range(30)),
    ]
    lines = [line.split() if isinstance(line, str) else " ".join(line).split() for line in lines]
    assert own.log10(lines) == pytest.approx([theirs.score(" ".join(line)) for line in lines], abs=1e-4)


def test_scores_that_kenlm_gave() -> None:
    """KenLM 0.3.0's for the files that these models make, so that a machine without it holds them, too."""
    lines = [
        ["the", "river"],
        ["in", "february", "the", "river", "rose", "by", "635", "centimetres", "and", "the", "cellar", "of"],
        ["zebra", "the", "of"],
        [],
    ]
    gave = {3: [-3.9170232, -12.0765209, -8.1555643, -1.9449832], 5: [-4.3125572, -12.1470938, -8.1555643, -1.9449832]}
    for n, scores in gave.items():
        assert arpa.read(written(model_of(PROSE, n)).splitlines()).log10(lines) == pytest.approx(scores, abs=1e-5)


def test_perplexity() -> None:
    model = model_of(PROSE)
    text = prose.article(3)
    lines = list(arpa.words_of(text))
    expected = 10 ** (-model.log10(lines).sum() / sum(len(line) + 1 for line in lines))
    assert model.perplexity(text) == pytest.approx(expected)
    assert model.perplexities([text, " \n!", "zebra"])[1] is None and model.perplexity("zebra " * 30) > 3 * expected  # type: ignore[operator]
    assert [arpa.bucket(value, 340, 900) for value in (339.9, 340, 900, None)] == ["head", "middle", "tail", None]


def test_words() -> None:
    assert list(arpa.words_of("It's 42 – naïve!\n\n漢字 ok\n")) == [["it", "s", "00", "naïve"], ["漢", "字", "ok"]]


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no n-gram model in ARPA form"):
        arpa.read(["hello"])
    with pytest.raises(UserError, match="line 3 is no n-gram"):
        arpa.read(["\\data\\", "\\1-grams:", "x y"])
    with pytest.raises(UserError, match="has no <s>"):
        arpa.read(["\\1-grams:", "-1\t<unk>", "\\end\\"])
    with pytest.raises(UserError, match="lacks the first words"):
        arpa.read(
            [
                "\\1-grams:",
                "-1\t<unk>",
                "-1\t<s>",
                "-1\t</s>",
                "-1\ta",
                "\\2-grams:",
                "-1\t<s> a",
                "\\3-grams:",
                "-1\ta a a",
                "\\end\\",
            ]
        )
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not KenLM's binary"):
        arpa.load(tmp_path / "binary", "")


def test_words_of_every_script() -> None:
    """As by the definition, character by character: NFC, small letters, letters and marks as they are, digits 0, the rest a blank."""

    def plain(text: str) -> str:
        kinds = [(sign, unicodedata.category(sign)) for sign in unicodedata.normalize("NFC", text).lower()]
        return "".join(
            sign if kind[0] in "LM" or sign == "\n" or kind in ("Nl", "No") else "0" if kind == "Nd" else " "
            for sign, kind in kinds
        )

    every = ["".join(map(chr, range(first, first + 256))) for first in range(0, 0x30000, 256)]
    for text in [*every, "İSTANBUL ΣΑΣ. Σ", "a\ud800b", "l’État ‘x’ 3½ ①"]:
        alone = arpa._ALONE.sub(r" \1 ", plain(text))
        assert list(arpa.words_of(text)) == [line.split() for line in alone.split("\n") if line.split()], hex(ord(text[0]))
