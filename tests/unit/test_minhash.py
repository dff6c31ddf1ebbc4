"""Sketches: tokens in many scripts, stored sets, signatures equal to datasketch's."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlmill.recipes.recipe import Sketch
from crawlmill.text.minhash import band_keys, scheme, signatures, sketch_batch, sketches
from crawlmill.text.shingle import content_hash, normalise, shingle, tokens
from crawlmill.text.shingle_set import compare, containment, decode, decode_all, encode, encode_all, jaccard

OPTIONS = Sketch()
SETS = st.sets(st.integers(0, (1 << 24) - 1), max_size=60)
ALPHABET = "ab Z9ÄéſßİĳΣς\u0301\u00ad\u200b日本ーｱ゙々กำิ์ກខមက 가.,!_-\n😀नमस्ते\ud800مُ٣"
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=60) | st.text(max_size=40)
SPLITTER = regex.compile(
    r"[[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}]&&[\p{L}\p{M}\p{N}]&&[\u2E80-\U0010FFFF]]"
    r"|[\p{Line_Break=Complex_Context}&&[\p{L}\p{M}]]"
    r"|[[\p{L}\p{M}\p{N}]--[\p{Line_Break=Complex_Context}]--[[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}]&&[\u2E80-\U0010FFFF]]]+",
    regex.V1,
)


def words(count: int, seed: int = 0) -> list[str]:
    rnd = random.Random(seed)
    return ["".join(rnd.choices("abcdefghij", k=6)) for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, WORLD — it’s 3.14!", ["hello", "world", "it", "s", "3", "14"]),
        ("नमस्ते दुनिया, यह हिन्दी है।", ["नमस्ते", "दुनिया", "यह", "हिन्दी", "है"]),
        ("مُحَمَّد كِتَاب", ["مُحَمَّد", "كِتَاب"]),
        ("今天 天气。", ["今", "天", "天", "气"]),
        ("ｶﾞラスー", ["ガ", "ラ", "ス", "ー"]),
        ("ไทย๙", ["ไ", "ท", "ย", "๙"]),
        ("Spark 4東京", ["spark", "4", "東", "京"]),
        ("대한민국 만세", ["대한민국", "만세"]),
        ("co\u00adop \ufb01ne", ["coop", "fine"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("!!! …", []),
    ],
)
def test_tokens_of_many_scripts(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@settings(deadline=None)
@given(TEXTS)
def test_tokens_equal_a_regular_expression(text: str) -> None:
    assert tokens(text) == SPLITTER.findall(normalise(text))


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_a_batch_equals_its_texts_one_by_one(texts: list[str]) -> None:
    options = Sketch(min_tokens=1, ngram=2, char_ngram=3, max_shingles=8)
    together = shingle(texts, options)
    alone = [shingle([text], options) for text in texts]
    assert together.contents == [one.contents[0] for one in alone] == [content_hash(text) for text in texts]
    assert [members.tolist() for members in together.sets()] == [one.hashes.tolist() for one in alone]
    assert together.tokens.tolist() == [len(tokens(text)) for text in texts]
    assert together.distinct.tolist() == [int(one.distinct[0]) for one in alone]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefg"), max_size=30), st.integers(1, 6))
def test_shingles_are_the_distinct_runs_of_words(letters: list[str], ngram: int) -> None:
    found = shingle([" ".join(letters)], Sketch(ngram=ngram, min_tokens=1))
    runs = {tuple(letters[i : i + ngram]) for i in range(len(letters) - ngram + 1)}
    assert int(found.distinct[0]) == len(runs) == len(found.hashes)
    members = found.hashes.tolist()
    assert members == sorted(set(members))
    assert all(0 <= member < 1 << 24 for member in members)


def test_a_shingle_weighs_the_same_in_every_script() -> None:
    """5 words, 8 Han characters, 16 Thai characters; a mixed run adds up."""
    for unit, least in (("word{} ", 5), ("\u4e00", 8), ("\u0e01", 16)):
        for count, expected in ((least - 1, 0), (least, 1)):
            text = "".join(unit.format(i) for i in range(count))
            assert int(shingle([text], Sketch(min_tokens=1)).distinct[0]) == expected
    assert int(shingle(["a b 日本語学 a"], Sketch(min_tokens=1)).distinct[0]) == 1  # 2/5 + 4/8 + 1/5 >= 1
    assert int(shingle(["a b 日本語学"], Sketch(min_tokens=1)).distinct[0]) == 0


@pytest.mark.parametrize(
    "unit",
    [
        "今天天气很好我们去公园玩吧他说不知道",
        "สวัสดีครับผมชื่อสมชายยินดีที่ได้รู้จัก",
        "यह एक छोटा सा वाक्य है और यह दूसरा ",
        "هذا نص عربي قصير للغاية جدا ",
    ],
)
def test_one_edit_leaves_a_near_duplicate_in_every_script(unit: str) -> None:
    rnd = random.Random(7)
    pieces = tokens(unit)
    long = [rnd.choice(pieces) for _ in range(800)]
    edited = [*long[:400], *(["新"] if "今" in unit else ["ฮ"] if "ส" in unit else ["x"]), *long[401:]]
    glue = "" if len(pieces[0]) == 1 else " "
    a, b = sketches([glue.join(long), glue.join(edited)], OPTIONS)
    assert a.content != b.content
    assert jaccard(a.shingles, b.shingles) > 0.9
    assert set(enumerate(a.keys)) & set(enumerate(b.keys))


def test_case_punctuation_and_form_do_not_change_a_content() -> None:
    assert content_hash("Caf\u00e9, one TWO!") == content_hash("cafe\u0301 one - two")
    assert content_hash("one two") != content_hash("onetwo") != content_hash("one tow")
    assert content_hash("page 1 of 2") != content_hash("page 2 of 2")  # digits stay
    assert content_hash("日本") == content_hash("日 本")  # spaces mean nothing where a script has none


def test_short_texts_have_no_bands_and_do_not_meet() -> None:
    """All-maximum signatures would put every short page into one bucket."""
    short = sketches(["", "one two three four", "!!!", "😀", "短い"], OPTIONS)
    assert all(not row.keys and not row.shingles and row.shingle_count == 0 for row in short)
    assert len({row.content for row in short}) == 5
    assert [row.tokens for row in short] == [0, 4, 0, 0, 2]
    assert sketches(["one two three four five"], Sketch(min_tokens=6))[0].keys == []


def test_a_long_text_keeps_its_smallest_shingles() -> None:
    text = " ".join(words(3_000))
    whole, cut = sketches([text], OPTIONS)[0], sketches([text], Sketch(max_shingles=256))[0]
    assert not whole.sampled
    assert cut.sampled
    assert cut.shingle_count == whole.shingle_count == 2_996
    assert decode(cut.shingles).tolist() == decode(whole.shingles).tolist()[:256]


def test_a_sample_is_compared_over_the_range_it_covers() -> None:
    """A text and its first half: the samples' own Jaccard index would be a third."""
    long = words(8_000, 1)
    exact = sketches([" ".join(long), " ".join(long[:4_000])], OPTIONS)
    cut = sketches([" ".join(long), " ".join(long[:4_000])], Sketch(max_shingles=1_024))
    truth = jaccard(exact[0].shingles, exact[1].shingles)
    assert jaccard(cut[0].shingles, cut[1].shingles, 1_024) == pytest.approx(truth, abs=0.05)
    assert containment(cut[1].shingles, cut[0].shingles, 1_024) == 1.0


@settings(deadline=None)
@given(st.lists(SETS, max_size=8))
def test_sets_survive_storage(sets: list[set[int]]) -> None:
    members = np.array([member for one in sets for member in sorted(one)], dtype=np.uint32)
    counts = np.array([len(one) for one in sets], dtype=np.int64)
    stored = encode_all(members, counts)
    assert stored == [encode(one) for one in sets]
    back, sizes = decode_all(stored)
    assert back.tolist() == members.tolist()
    assert sizes.tolist() == counts.tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(SETS, SETS), min_size=1, max_size=8))
def test_similarities_are_those_of_the_sets(pairs: list[tuple[set[int], set[int]]]) -> None:
    pairs = [(a, b | set(list(a)[: len(a) // 2])) for a, b in pairs]
    found = compare([encode(a) for a, _ in pairs], [encode(b) for _, b in pairs])
    for (a, b), similarity, in_b, in_a in zip(pairs, *(column.tolist() for column in found), strict=True):
        assert similarity == (len(a & b) / len(a | b) if a | b else 0.0)
        assert in_b == (len(a & b) / len(a) if a else 0.0)
        assert in_a == (len(a & b) / len(b) if b else 0.0)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sets(st.integers(0, (1 << 24) - 1), min_size=1, max_size=60), min_size=1, max_size=5), st.integers(1, 3))
def test_signatures_are_datasketch_s(sets: list[set[int]], seed: int) -> None:
    from datasketch import MinHash

    options = Sketch(seed=seed)
    members = np.array([member for one in sets for member in sorted(one)], dtype=np.uint32)
    found = signatures(members, np.array([len(one) for one in sets], dtype=np.int64), options)
    for one, row in zip(sets, found, strict=True):
        reference = MinHash(num_perm=112, seed=seed, scheme="affine32", hashfunc=int)
        reference.update_batch(sorted(one))
        assert row.dtype == reference.hashvalues.dtype
        assert row.tolist() == reference.hashvalues.tolist()


def test_signatures_do_not_depend_on_the_batch() -> None:
    texts = [" ".join(words(3 + 400 * (i % 7), i)) for i in range(60)]
    together = sketches(texts, OPTIONS)
    assert together == [sketches([text], OPTIONS)[0] for text in texts]
    whole = shingle(texts, OPTIONS)
    filled = [i for i, (start, end) in enumerate(pairwise(whole.bounds.tolist())) if end > start]
    again, counts = decode_all([together[i].shingles for i in filled])  # bands can be had from what is stored
    assert band_keys(signatures(again, counts, OPTIONS), OPTIONS).tolist() == [together[i].keys for i in filled]


def test_bands_meet_as_their_probability_says() -> None:
    """1 - (1 - s^8)^14 at s = .8 is .92, at .5 it is .05; 300 pairs of random sets each."""
    rnd = random.Random(3)
    for similarity, low, high in ((0.8, 0.86, 0.97), (0.5, 0.01, 0.11)):
        size = 300
        shared = round(2 * size * similarity / (1 + similarity))
        sets = []
        for _ in range(300):
            pool = rnd.sample(range(1 << 24), 2 * size - shared)
            sets += [sorted(pool[:size]), sorted(pool[size - shared :])]
        members = np.array([member for one in sets for member in one], dtype=np.uint32)
        keys = band_keys(signatures(members, np.full(600, size), OPTIONS), OPTIONS)
        met = float((keys[::2] == keys[1::2]).any(axis=1).mean())
        assert low < met < high


def test_keys_and_contents_never_change() -> None:
    """Golden values: a change here is a new scheme and needs a new name."""
    one = sketches(["The quick brown fox jumps over the lazy dog. 敏捷的棕色狐狸跳过懒狗。"], OPTIONS)[0]
    assert scheme(OPTIONS) == "affine32-s1-14x8-w5-c8-m5-h24-k16384-v1"
    assert (one.content, one.tokens, one.shingle_count) == GOLDEN[:3]
    assert one.shingles.hex() == GOLDEN[3]
    assert one.keys[:2] == GOLDEN[4]


GOLDEN = (
    "d892cb0d47d0079f978540df10938ff8",
    20,
    13,
    "a9a008e2d83f94a34989c7fd02d88064f6923df5d01cf1f229decb669499099a8651aff234a36b",
    [6445701419293010639, 3594619269736029455],
)


def test_an_arrow_batch_keeps_its_order() -> None:
    import pyarrow as pa

    texts = [" ".join(words(40, i)) for i in range(3)] + ["short"]
    batch = pa.RecordBatch.from_pydict(
        {
            "snapshot": ["s"] * 4,
            "shard": [1, 1, 2, 2],
            "id": list("abcd"),
            "text": texts,
            "language": ["deu", "fra", "eng", "und"],
        }
    )
    rows = sketch_batch(batch, OPTIONS).to_pylist()
    expected = sketches(texts, OPTIONS)
    assert [(row["id"], row["content"], row["keys"]) for row in rows] == [
        (i, e.content, e.keys) for i, e in zip("abcd", expected, strict=True)
    ]
    assert rows[3]["shingles"] is None
    assert {row["scope"] for row in rows} == {"all"}
    assert [row["scope"] for row in sketch_batch(batch, Sketch(scope="language")).to_pylist()] == ["deu", "fra", "eng", "und"]
