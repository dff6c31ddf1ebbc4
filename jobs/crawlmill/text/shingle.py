"""What dedup compares: a text as a sequence of tokens, and the set of its shingles.

The same for every language, and independent of what the language identifier says, so a new model changes no content hash:

* the text is case-folded and brought to NFKC; soft hyphens and zero-width characters vanish;
* a token is a run of letters, marks and digits, punctuation is dropped, digits and accents stay as they are: two pages that
  differ in a number or an accent are two contents, and their shingles say how near they are;
* scripts written without spaces (Han, kana; Thai, Lao, Khmer, Burmese and the other scripts of Unicode's line-breaking class
  SA) give one token a character;
* a shingle is the shortest run of tokens that weighs 1. A word weighs 1/ngram, a Han or kana character 1/char_ngram, a
  character of class SA half of that. So 5 words, 8 Han characters and 16 Thai characters are a shingle each, and a page that
  mixes scripts needs no rule of its own. An edited word breaks about as many shingles in all of them: words take some 1, 1.6
  and 4 tokens there;
* a shingle is known by 24 bits. Above `max_shingles` distinct ones the smallest are kept, which is a uniform sample.

All of it runs over a whole batch in numpy: code points are classified by a table, hashed by polynomials modulo 2^64.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import regex
import xxhash

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Sketch

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]
Words = npt.NDArray[np.uint64]

HASH_BITS = 24

_WORD, _IDEOGRAPH, _COMPLEX = 1, 2, 3
_CHUNK = 1 << 18  # characters worked on at once: the arrays stay in the processor's cache
_CHARACTER_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd; 2^64 divided by the golden ratio
_TOKEN_BASE = np.uint64(0xD1B54A32D192ED03)  # odd; from L'Ecuyer's tables of multipliers modulo 2^64
_INVISIBLE = ("\u00ad", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff")


@dataclass(frozen=True)
class Shingled:
    """A batch of n texts: contents (n hex strings), tokens (n), and the distinct shingles of all of them, text after text.

    Text i owns `hashes[bounds[i]:bounds[i + 1]]` (ascending, below 2**24); `distinct[i]` counts them before the cap.
    """

    contents: list[str]
    tokens: Ints
    distinct: Ints
    hashes: Hashes
    bounds: Ints

    def sets(self) -> list[Hashes]:
        """The shingle set of each text."""
        return [self.hashes[start:end] for start, end in pairwise(self.bounds.tolist())]


@dataclass(frozen=True)
class Ngrams:
    """All runs of tokens of a batch of n texts, in order: hash, text, first token and token after the last; `tokens` of each text."""

    hashes: Words
    owners: Ints
    starts: Ints
    ends: Ints
    tokens: Ints


@dataclass(frozen=True)
class _Tokens:
    characters: Words  # the code points of all tokens, without what lay between them
    starts: Ints  # where each token starts in `characters`; one entry more than tokens
    classes: npt.NDArray[np.uint8]
    bounds: Ints  # text i owns tokens bounds[i]:bounds[i + 1]


def normalise(text: str) -> str:
    """The form in which texts are compared: case-folded, NFKC, without soft hyphens and zero-width characters."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text.casefold())
    for character in _INVISIBLE:
        folded = folded.replace(character, "")
    return folded


def tokens(text: str) -> list[str]:
    """The tokens of one text, in order: words, and single characters of scripts that are written without spaces."""
    found = _tokenise([normalise(text)])
    letters = "".join(map(chr, found.characters.tolist()))
    return [letters[start:end] for start, end in pairwise(found.starts.tolist())]


def content_hash(text: str) -> str:
    """32 hex digits (xxh3, 128 bits) of the token sequence; a text without any token stands for itself."""
    folded = normalise(text)
    return _contents(_tokenise([folded]), [folded])[0]


def shingle(texts: Sequence[str], options: Sketch) -> Shingled:
    """Content hashes and shingle sets of n texts, in any script; lone surrogates are tolerated.

    A text of fewer than `options.min_tokens` tokens, or that weighs less than one shingle, has no shingle at all.
    """
    parts = [_shingle(chunk, options) for chunk in _chunks([normalise(text) for text in texts])]
    counts = np.concatenate([np.diff(part.bounds) for part in parts]) if parts else np.zeros(0, np.int64)
    return Shingled(
        contents=[content for part in parts for content in part.contents],
        tokens=np.concatenate([part.tokens for part in parts]) if parts else counts,
        distinct=np.concatenate([part.distinct for part in parts]) if parts else counts,
        hashes=np.concatenate([part.hashes for part in parts]) if parts else np.zeros(0, np.uint32),
        bounds=offsets(counts),
    )


def ngrams(texts: Sequence[str], ngram: int, char_ngram: int) -> Ngrams:
    """Every run of `ngram` words (of Han and kana `char_ngram` characters, of class SA twice as many) of n texts, hashed to 64 bits."""
    found = _tokenise([normalise(text) for text in texts])
    hashes, owners, starts, ends = _runs(found, ngram, char_ngram, 1)
    first = found.bounds[owners]
    return Ngrams(hashes, owners, starts - first, ends - first, np.diff(found.bounds))


def offsets(counts: Ints) -> Ints:
    """n counts as n + 1 bounds."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def within(counts: Ints) -> Ints:
    """0, 1, 2 ... for each of n segments of the given lengths, one after the other."""
    bounds = offsets(counts)
    return np.arange(bounds[-1], dtype=np.int64) - np.repeat(bounds[:-1], counts)


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        if chunk and size + len(text) > _CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield chunk


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """The class of every code point: 0 (between tokens), word, ideograph or complex context."""
    everything = "".join(map(chr, range(0x110000)))
    table = np.zeros(0x110000, dtype=np.uint8)
    for kind, pattern in (
        (_WORD, r"[\p{L}\p{M}\p{N}]+"),
        # Script extensions, for the marks and the length sign that kana share; below U+2E80 they are marks of other scripts.
        (_IDEOGRAPH, r"[[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}]&&[\p{L}\p{M}\p{N}]&&[\u2E80-\U0010FFFF]]+"),
        (_COMPLEX, r"[\p{Line_Break=Complex_Context}&&[\p{L}\p{M}]]+"),
    ):
        for found in regex.finditer(pattern, everything, flags=regex.V1):
            table[found.start() : found.end()] = kind
    return table


def _tokenise(texts: list[str]) -> _Tokens:
    # A space after every text keeps the last word of one and the first of the next apart.
    points = np.frombuffer(" ".join([*texts, ""]).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    classes = _classes()[points]
    previous = np.concatenate([np.zeros(1, np.uint8), classes[:-1]])
    kept = classes != 0
    first = kept & ((classes != _WORD) | (previous != _WORD))
    after_text = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)
    starts_seen = np.cumsum(first)
    return _Tokens(
        characters=points[kept].astype(np.uint64),
        starts=np.append(np.flatnonzero(first[kept]), np.count_nonzero(kept)).astype(np.int64),
        classes=classes[first],
        bounds=np.concatenate([np.zeros(1, np.int64), starts_seen[after_text - 1]]),
    )


def _shingle(texts: list[str], options: Sketch) -> Shingled:
    """One chunk, already normalised."""
    found = _tokenise(texts)
    hashes, owners = _windows(found, options)
    # A stable sort takes half the time of the default one here, and a tenth of numpy's unique.
    keys = np.sort((owners.astype(np.uint64) << np.uint64(HASH_BITS)) | hashes, kind="stable")
    keys = keys[np.concatenate([keys[:1] == keys[:1], keys[1:] != keys[:-1]])]
    owner = (keys >> np.uint64(HASH_BITS)).astype(np.int64)
    distinct = np.bincount(owner, minlength=len(texts)).astype(np.int64)
    kept = keys[within(distinct) < options.max_shingles] & np.uint64((1 << HASH_BITS) - 1)
    return Shingled(
        contents=_contents(found, texts),
        tokens=np.diff(found.bounds),
        distinct=distinct,
        hashes=kept.astype(np.uint32),
        bounds=offsets(np.minimum(distinct, options.max_shingles)),
    )


def _contents(found: _Tokens, texts: list[str]) -> list[str]:
    lengths = np.diff(found.starts)
    spaced = np.full(len(found.characters) + len(lengths), ord(" "), dtype="<u4")
    spaced[np.arange(len(found.characters)) + np.repeat(np.arange(len(lengths)), lengths)] = found.characters
    stream = memoryview(spaced.tobytes())
    bounds = (4 * (found.starts[found.bounds] + found.bounds)).tolist()
    return [
        xxhash.xxh3_128_hexdigest(stream[start:end] if end > start else text.encode("utf-8", "surrogatepass"))
        for text, (start, end) in zip(texts, pairwise(bounds), strict=True)
    ]


def _windows(found: _Tokens, options: Sketch) -> tuple[Words, Ints]:
    """The 24-bit hash of every shingle of the chunk, repeats included, and the text it lies in."""
    hashes, owners, _, _ = _runs(found, options.ngram, options.char_ngram, options.min_tokens)
    return hashes >> np.uint64(64 - HASH_BITS), owners


def _runs(found: _Tokens, ngram: int, char_ngram: int, min_tokens: int) -> tuple[Words, Ints, Ints, Ints]:
    """Every shortest run of tokens that weighs 1: 64-bit hash, text, first token, token after the last."""
    words = _token_hashes(found)
    # By class, as whole numbers: the common denominator of 1/ngram, 1/char_ngram and half of that is 2 * ngram * char_ngram.
    by_class = np.array([0, 2 * char_ngram, 2 * ngram, ngram], dtype=np.int64)
    weight = offsets(by_class[found.classes])
    counts = np.diff(found.bounds)
    text_end = np.repeat(np.where(counts < min_tokens, -1, found.bounds[1:]), counts)
    end = np.searchsorted(weight, weight[:-1] + 2 * ngram * char_ngram)
    start = np.flatnonzero(end <= text_end)
    length = (end - np.arange(len(end)))[start]
    mixed = np.zeros(len(start), dtype=np.uint64)
    for step in range(int(length.max(initial=0))):
        inside = step < length
        rows = slice(None) if inside.all() else inside
        mixed[rows] = mixed[rows] * _TOKEN_BASE + words[start[rows] + step]
    return _mix(mixed), np.repeat(np.arange(len(counts)), counts)[start], start, end[start]


def _token_hashes(found: _Tokens) -> Words:
    """64 bits for each token: a polynomial of its code points, mixed."""
    if len(found.classes) == 0:
        return np.zeros(0, dtype=np.uint64)
    lengths = np.diff(found.starts)
    terms = (found.characters + np.uint64(1)) * _powers(int(lengths.max()))[within(lengths)]
    return _mix(np.add.reduceat(terms, found.starts[:-1]))


def _powers(count: int) -> Words:
    factors = np.full(count, _CHARACTER_BASE, dtype=np.uint64)
    factors[0] = 1
    return np.multiply.accumulate(factors)


def _mix(values: Words) -> Words:
    """The 64-bit finaliser of MurmurHash3 (Appleby, public domain): every bit of the input reaches every bit of the output."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
