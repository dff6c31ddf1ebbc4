"""n-gram language models in ARPA form: read, written, and how likely texts are under one, many words at once.

KenLM gives the same scores for the same file. Probabilities are log10, as in the file. A text is read line by line, each between <s> and </s>;
its perplexity is 10 to the power of minus the mean over words and line ends, BERTIN's formula and CCNet's.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path
from typing import TextIO

import numpy as np
import regex
from numpy.typing import NDArray

from crawlmill.errors import UserError
from crawlmill.text import lookup
from crawlmill.text.lookup import Lookup

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
NEVER = -99.0  # log10 of the probability of <s>, as every tool writes it
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def _becomes(code: int) -> int:
    """What becomes of a character: letters (small ones), marks and ends of lines stay, digits are 0, the rest is a blank."""
    small = chr(code).lower()
    kind, code = unicodedata.category(small[0]), ord(small[0])
    return code if kind[0] in "LM" or code == 10 or (kind[0] == "N" and kind != "Nd") else ord("0") if kind == "Nd" else ord(" ")


@cache
def _plain() -> NDArray[np.uint32]:
    """The same of all code points."""
    return np.array([_becomes(code) for code in range(sys.maxunicode + 1)], dtype=np.uint32)


_ASCII = bytes(map(_becomes, range(128))) + bytes(128)
_ODD = "Σİ"  # whose small letter hangs on what stands beside, or is two
_FIRST_FAR = 0xE00
_FAR = re.compile("[\u0e00-\u109f\u1780-\u17ff\u2e80-\U0003ffff]")  # where the scripts of the next line lie; a quick look
_ALONE = regex.compile(r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)")


@dataclass(frozen=True)
class Order:
    """n-grams of one length: key (row of the first n - 1 words in the order below) * words + last word; log10 probability and backoff."""

    keys: NDArray[np.uint64]
    probability: Floats
    backoff: Floats


@dataclass(frozen=True)
class Model:
    """Words by number and n-grams by length, from 1; a word's number is its row among the 1-grams."""

    words: list[str]
    orders: list[Order]
    tables: list[Lookup] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def log10(self, lines: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """log10 of the probability of each line of words, its end among them."""
        unknown, start, end = (self.numbers[name] for name in (UNKNOWN, START, END))
        get, known = self.numbers.get, []
        for line in lines:
            known += [start, *map(get, line, repeat(unknown)), end]
        ids = np.array(known, dtype=np.int64)
        found = self.words_log10(ids, start)
        lengths = np.array([len(line) + 2 for line in lines], dtype=np.int64)
        return np.add.reduceat(found, np.cumsum(lengths) - lengths) if len(lines) else found

    def words_log10(self, ids: Ints, start: int) -> NDArray[np.float64]:
        """log10 of each word's probability after those before it in its line; 0 for <s>, which begins a line."""
        first = ids == start
        rows = ids.copy()
        total = self.orders[0].probability[rows].astype(np.float64)
        for below, order, table in zip(self.orders, self.orders[1:], self.tables[1:], strict=False):
            before = np.append(np.int64(-1), rows[:-1])
            before[first] = -1
            backoff = np.where(before >= 0, below.backoff[before], 0.0)
            keys = before.astype(np.uint64) * np.uint64(len(self.words)) + ids.astype(np.uint64)
            rows = np.full(len(ids), -1, dtype=np.int64)
            some = before >= 0
            rows[some] = table.find(keys[some])
            total = np.where(rows >= 0, order.probability[rows].astype(np.float64), total + backoff)
        total[first] = 0.0
        return total

    def perplexity(self, text: str) -> float | None:
        """Of a text; None where it has no word."""
        return self.perplexities([text])[0]

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """Of each text; None for one without a word."""
        lines, counts, sizes = [], [], []
        for text in texts:
            own = list(words_of(text))
            lines += own
            counts.append(len(own))
            sizes.append(sum(len(line) + 1 for line in own))
        scores, found, at = self.log10(lines), list[float | None](), 0
        for count, size in zip(counts, sizes, strict=True):
            total = float(scores[at : at + count].sum())
            found.append(10.0 ** min(300.0, -total / size) if count else None)
            at += count
        return found


def words_of(text: str) -> Iterator[list[str]]:
    """The words of each line that has some: lower case, digits as 0, marks as blanks; characters of scripts without spaces stand alone.

    CCNet's normalisation, except that accents and vowel signs stay: without them Indic and Thai words that differ would be equal.
    """
    if text.isascii():  # the same, several times as fast
        plain = text.encode().translate(_ASCII).decode()
    else:
        text = unicodedata.normalize("NFC", text)
        text = text.lower() if any(sign in text for sign in _ODD) else text
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        plain = _plain()[points].tobytes().decode("utf-32-le", "surrogatepass")
        if points.max(initial=0) >= _FIRST_FAR and _FAR.search(plain):
            plain = _ALONE.sub(r" \1 ", plain)
    for line in plain.split("\n"):
        if words := line.split():
            yield words


def complete(words: list[str], orders: list[Order]) -> Model:
    """A model with its lookups; raises UserError where <unk>, <s> or </s> is not among the words."""
    numbers = {word: number for number, word in enumerate(words)}
    if missing := [name for name in (UNKNOWN, START, END) if name not in numbers]:
        raise UserError(f"the n-gram model has no {missing[0]}: estimate it anew, with <unk>, <s> and </s>")
    return Model(words, orders, [lookup.build(order.keys) for order in orders], numbers)


def write(model: Model, out: TextIO) -> None:
    """The model in ARPA form; equal models give equal bytes."""
    out.write("\\data\\\n" + "".join(f"ngram {n}={len(order.keys)}\n" for n, order in enumerate(model.orders, 1)))
    texts = list(model.words)
    for n, order in enumerate(model.orders, 1):
        if n > 1:
            prefix, word = np.divmod(order.keys, np.uint64(len(model.words)))
            texts = [f"{texts[a]} {model.words[b]}" for a, b in zip(prefix.tolist(), word.tolist(), strict=True)]
        out.write(f"\n\\{n}-grams:\n")
        last = n == len(model.orders)
        for text, p, b in zip(texts, order.probability.tolist(), order.backoff.tolist(), strict=True):
            out.write(f"{p:.7g}\t{text}\n" if last else f"{p:.7g}\t{text}\t{b:.7g}\n")
    out.write("\n\\end\\\n")


def read(lines: Iterable[str], name: str = "the file") -> Model:
    """A model from the lines of an ARPA file.

    Raises:
        UserError: it is no ARPA file, or an n-gram's first words are no n-gram of it.
    """
    words: list[str] = []
    numbers: dict[str, int] = {}
    orders: list[Order] = []
    for n, rows in _sections(lines, name):
        probability = np.array([row[0] for row in rows], dtype=np.float32)
        backoff = np.array([row[2] for row in rows], dtype=np.float32)
        if n == 1:
            words = [row[1] for row in rows]
            numbers = {word: number for number, word in enumerate(words)}
            keys = np.arange(len(words), dtype=np.uint64)
        else:
            try:
                ids = np.array([[numbers[word] for word in row[1].split(" ")] for row in rows], dtype=np.int64).reshape(-1, n)
            except (KeyError, ValueError) as error:
                raise UserError(
                    f"{name} has a {n}-gram with a word that is no 1-gram, or of another length ({error}): estimate it anew"
                ) from None
            keys = _keys(ids, orders, len(words), name)
        order = np.argsort(keys, kind="stable")
        orders.append(Order(keys[order], probability[order], backoff[order]))
    if not orders:
        raise UserError(f"{name} is no n-gram model in ARPA form: it has no section of n-grams")
    return complete(words, orders)


def _keys(ids: Ints, orders: list[Order], words: int, name: str) -> NDArray[np.uint64]:
    """Keys of n-grams whose shorter ones are in `orders`."""
    rows = locate(ids[:, :-1], orders, words)
    if (rows < 0).any():
        raise UserError(f"{name} lacks the first words of a {ids.shape[1]}-gram as an n-gram of their own: estimate it anew")
    return rows.astype(np.uint64) * np.uint64(words) + ids[:, -1].astype(np.uint64)


def locate(ids: Ints, orders: Sequence[Order], words: int) -> Ints:
    """Row of each n-gram (a row of numbers of words) among those of its length, -1 where it is none."""
    rows = ids[:, 0].copy()
    for n in range(1, ids.shape[1]):
        keys = rows.astype(np.uint64) * np.uint64(words) + ids[:, n].astype(np.uint64)
        sorted_keys = orders[n].keys
        at = np.minimum(np.searchsorted(sorted_keys, keys), max(0, len(sorted_keys) - 1))
        rows = np.where((rows >= 0) & (sorted_keys[at] == keys), at, -1)
    return rows


def _sections(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[tuple[float, str, float]]]]:
    n, rows = 0, list[tuple[float, str, float]]()
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r\n")
        if line.startswith("\\") and (line.endswith("-grams:") or line == "\\end\\"):
            if n:
                yield n, rows
            n, rows = (int(line[1:-7]), []) if line != "\\end\\" else (0, rows)
        elif n and line:
            parts = line.split("\t")
            try:
                rows.append((float(parts[0]), parts[1], float(parts[2]) if len(parts) > 2 else 0.0))
            except (IndexError, ValueError):
                raise UserError(
                    f"{name} line {number} is no n-gram in ARPA form: give probability, words and backoff, with tabs"
                ) from None


@lru_cache(maxsize=8)
def load(path: Path, sha256: str) -> Model:
    """The model of a file, read once a process; `sha256` is that of the file."""
    del sha256  # the key of the cache
    try:
        with path.open(encoding="utf-8") as file:
            return read(file, str(path))
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8: give an n-gram model in ARPA form, not KenLM's binary") from None


def bucket(perplexity: float | None, head: float, middle: float) -> str | None:
    """CCNet's: head below the 30th percentile of the language's reference, middle below the 60th, else tail."""
    if perplexity is None or math.isnan(perplexity):
        return None
    return "head" if perplexity < head else "middle" if perplexity < middle else "tail"
