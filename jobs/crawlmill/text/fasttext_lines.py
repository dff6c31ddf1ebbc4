"""fastText classifiers on many lines at once: what a model says, several times as fast, and several models for little more than one.

A classifier of words and word n-grams is linear up to its last step: the mean of the vectors of a line's words, times the matrix of
labels. So each vector is multiplied with that matrix once, when the model is loaded, and a line costs one number a word and label. Words are cut
and hashed once for all models. Formulas: fastText 0.9 (dictionary.cc), Joulin et al. 2016. Models with character n-grams, quantised
ones and those trained with hierarchical softmax are asked by fastText itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crawlmill.errors import UserError

_SPACE = np.zeros(256, dtype=bool)
_SPACE[[0x20, 0x0A, 0x0D, 0x09, 0x0B, 0x0C, 0x00]] = True
_NGRAM = np.uint64(116049371)
_LABEL = b"__label__"
_TABLE = 20  # bits of the index into a dictionary


@dataclass(frozen=True)
class Lines:
    """Words of lines: hashes as fastText's (32 bits, as its n-grams take them) and wide ones (64 bits), and where each line starts."""

    hashes: NDArray[np.uint64]
    wide: NDArray[np.uint64]
    starts: NDArray[np.int64]
    kept: dict[tuple[int, int], Any] = field(default_factory=dict)

    def owners(self) -> tuple[NDArray[np.int64], int]:
        """The line of each word, and the number of lines."""
        if (0, 0) not in self.kept:
            self.kept[0, 0] = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.hashes)))
        return self.kept[0, 0], len(self.starts)

    def ngrams(self, n: int, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(bucket, line) of every n-gram; kept for the next model with as many buckets."""
        if (n, buckets) not in self.kept:
            grams, size = self.hashes, len(self.hashes)
            for more in range(1, n):
                grams = grams[: size - more] * _NGRAM + self.hashes[more:]
            owner, _ = self.owners()
            same = owner[: size - n + 1] == owner[n - 1 :]
            self.kept[n, buckets] = (grams[same] % np.uint64(buckets)).astype(np.int64), owner[: size - n + 1][same]
        found: tuple[NDArray[np.int64], NDArray[np.int64]] = self.kept[n, buckets]
        return found


def read(lines: Sequence[str]) -> Lines:
    """Cut lines into words as fastText does, each with the end of line behind it. Words that look like labels are no words."""
    joined = "".join(f"{line} </s>\n" for line in (part.replace("\n", " ") for part in lines)).encode("utf-8", "replace")
    data = np.frombuffer(joined, dtype=np.uint8)
    edges = np.flatnonzero(np.diff(_SPACE[data].astype(np.int8), prepend=np.int8(1), append=np.int8(1)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    ends = np.flatnonzero(data == 0x0A)
    owner = np.searchsorted(ends, starts)
    if _LABEL in joined:
        keep = np.array([not joined[a : a + 9].startswith(_LABEL) for a in starts.tolist()], dtype=bool)
        starts, lengths, owner = starts[keep], lengths[keep], owner[keep]
    narrow, wide = _fnv(data, starts, lengths)
    return Lines(narrow, wide, np.searchsorted(owner, np.arange(len(lines))))


def _fnv(data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Any, Any]:
    """FNV-1a of each word in 32 bits (bytes taken as signed, as fastText does; the result sign-extended to 64) and in 64 bits."""
    order = np.argsort(-np.minimum(lengths, 60_000).astype(np.int32), kind="stable")
    at, long = starts[order], lengths[order]
    narrow, wide = np.full(len(at), 2166136261, dtype=np.uint32), np.full(len(at), 14695981039346656037, dtype=np.uint64)
    signed = data.view(np.int8)
    active = len(at)
    for step in range(int(long.max(initial=0))):
        while active and long[active - 1] <= step:
            active = int(np.searchsorted(-long[:active], -step))
        here = signed[at[:active] + step]
        narrow[:active] = (narrow[:active] ^ here.astype(np.int32).view(np.uint32)) * np.uint32(16777619)
        wide[:active] = (wide[:active] ^ here.view(np.uint8)) * np.uint64(1099511628211)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return narrow[back].view(np.int32).astype(np.int64).view(np.uint64), wide[back]


@dataclass(frozen=True)
class Collapsed:
    """A classifier with a number a word and label, one for both of two labels: rows of `weights` are words, then buckets of n-grams."""

    labels: tuple[str, ...]
    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    index: NDArray[np.int64]
    weights: NDArray[np.float32]
    words: int
    ngrams: int
    buckets: int
    one_vs_all: bool

    def probabilities(self, lines: Lines) -> NDArray[np.float64]:
        """Of each line and label; a line without a known word has NaN."""
        known = self._find(lines.wide)
        owner, size = lines.owners()
        totals, counts = self._sums(known[known >= 0], owner[known >= 0], size)
        for n in range(2, self.ngrams + 1):
            buckets, of = lines.ngrams(n, self.buckets)
            more, number = self._sums(self.words + buckets, of, size)
            totals, counts = totals + more, counts + number
        with np.errstate(invalid="ignore", divide="ignore"):
            logits = totals / counts[:, None]
        if self.one_vs_all:
            return np.asarray(1 / (1 + np.exp(-logits)))
        if logits.shape[1] < len(self.labels):  # two labels: the difference is kept
            logits = np.concatenate([logits, np.zeros_like(logits)], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def _sums(self, rows: Any, owner: Any, lines: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sums of weights and numbers of rows by line. Added in order, so a line's sum does not depend on its neighbours."""
        columns = [np.bincount(owner, weights=self.weights[rows, at], minlength=lines) for at in range(self.weights.shape[1])]
        return np.stack(columns, axis=1), np.bincount(owner, minlength=lines)

    def _find(self, wide: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each word, -1 for one that the model does not know."""
        found = np.full(len(wide), -1, dtype=np.int64)
        slot = (wide >> np.uint64(64 - _TABLE)).astype(np.int64)
        at, end = self.index[slot], self.index[slot + 1]
        open_ = np.flatnonzero(at < end)
        while len(open_):
            hit = self.keys[at[open_]] == wide[open_]
            found[open_[hit]] = self.rows[at[open_[hit]]]
            open_ = open_[~hit]
            at[open_] += 1
            open_ = open_[at[open_] < end[open_]]
        return found


@lru_cache(maxsize=16)
def load(path: Path, sha256: str) -> Callable[[Lines, Sequence[str]], tuple[tuple[str, ...], NDArray[np.float64]]]:
    """A function from lines, read and as text, to the labels and each line's probabilities; loaded once a process and hash.

    Raises:
        UserError: the file is no fastText classifier.
    """
    import fasttext

    printer: Any = getattr(fasttext, "FastText", None)
    if hasattr(printer, "eprint"):
        printer.eprint = lambda *_: None
    try:
        model: Any = fasttext.load_model(str(path))
    except ValueError as error:
        raise UserError(f"{path} is no fastText model ({error}): train one by `crawlmill train-scorer`") from None
    if not model.f.isQuant() and not model.f.getArgs().maxn and model.f.getArgs().loss.name in ("softmax", "ova"):
        small = collapse(model)
        return lambda lines, _: (small.labels, small.probabilities(lines))
    labels = tuple(model.f.getLabels("strict")[0])

    def ask(_: Lines, texts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        told = [{label: score for score, label in model.f.predict(line + "\n", len(labels), 0.0, "strict")} for line in texts]
        return labels, np.array([[min(1.0, row.get(label, np.nan)) for label in labels] for row in told]).reshape(-1, len(labels))

    return ask


def collapse(model: Any) -> Collapsed:
    """The numbers of a classifier that `fasttext` holds."""
    args = model.f.getArgs()
    words = model.f.getVocab("strict")[0]
    keys = read_words(words)
    order = np.argsort(keys, kind="stable")
    labels, one_vs_all = tuple(model.f.getLabels("strict")[0]), args.loss.name == "ova"
    last = np.array(model.f.getOutputMatrix())
    weights = np.array(model.f.getInputMatrix()) @ (last if len(last) != 2 or one_vs_all else last[:1] - last[1:]).T
    bounds = (np.arange(1 << _TABLE, dtype=np.uint64)) << np.uint64(64 - _TABLE)
    index = np.append(np.searchsorted(keys[order], bounds), len(keys)).astype(np.int64)
    return Collapsed(
        labels=labels, keys=keys[order], rows=order.astype(np.int64), index=index,
        weights=np.ascontiguousarray(weights, dtype=np.float32), words=len(words), ngrams=int(args.wordNgrams), buckets=max(1, int(args.bucket)),
        one_vs_all=one_vs_all,
    )  # fmt: skip


def read_words(words: Sequence[str]) -> NDArray[np.uint64]:
    """Wide hashes of single words."""
    raw = [word.encode("utf-8") for word in words]
    lengths = np.array([len(word) for word in raw], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    found: NDArray[np.uint64] = _fnv(np.frombuffer(b"".join(raw), dtype=np.uint8), starts, lengths)[1]
    return found
