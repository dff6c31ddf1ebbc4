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
    """Classifiers with n-grams of one length and as many buckets, a number a word and label each, one for both of two labels.

    Attributes:
        labels: of each model.
        columns: of the tables, where each model's begin and end.
        one_vs_all: of each model.
        keys: wide hashes of all words that a model knows, in order, and `index`, where those of a slot begin.
        words: a row a word: its weights, and then by model 1 where it knows the word.
        grams: weights of buckets of n-grams.
        ngrams: words of the longest n-gram.
    """

    labels: tuple[tuple[str, ...], ...]
    columns: tuple[tuple[int, int], ...]
    one_vs_all: tuple[bool, ...]
    keys: NDArray[np.uint64]
    index: NDArray[np.int64]
    words: NDArray[np.float64]
    grams: NDArray[np.float64]
    ngrams: int

    def probabilities(self, lines: Lines) -> list[NDArray[np.float64]]:
        """By model, of each line and label; a line without a known word has NaN."""
        rows = self._find(lines.wide)
        owner, size = lines.owners()
        both, _ = _sums(self.words, rows[rows >= 0], owner[rows >= 0], size)
        width = self.grams.shape[1]
        totals, counts = both[:, :width], both[:, width:]
        for n in range(2, self.ngrams + 1):
            more, sizes = _sums(self.grams, *lines.ngrams(n, len(self.grams)), size)
            totals, counts = totals + more, counts + sizes[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return [
                _probabilities(totals[:, first:last] / counts[:, at, None], len(labels), ova)
                for at, (labels, (first, last), ova) in enumerate(zip(self.labels, self.columns, self.one_vs_all, strict=True))
            ]

    def _find(self, wide: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Row of each word, -1 for one that no model knows."""
        found = np.full(len(wide), -1, dtype=np.int64)
        slot = (wide >> np.uint64(64 - _TABLE)).astype(np.int64)
        at, end = self.index[slot], self.index[slot + 1]
        open_ = np.flatnonzero(at < end)
        while len(open_):
            hit = self.keys[at[open_]] == wide[open_]
            found[open_[hit]] = at[open_[hit]]
            open_ = open_[~hit]
            at[open_] += 1
            open_ = open_[at[open_] < end[open_]]
        return found


def _sums(table: NDArray[np.float64], rows: Any, owner: Any, lines: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums of a table's rows by line, and how many there are; `owner` ascends.

    By a sparse product, which adds in order: a line's sum depends neither on its neighbours nor on models beside.
    """
    from scipy.sparse import csr_array

    starts = np.searchsorted(owner, np.arange(lines + 1))
    chosen = csr_array((np.ones(len(rows)), rows.astype(np.int32), starts.astype(np.int32)), shape=(lines, len(table)))
    return np.asarray(chosen @ table), np.diff(starts)


def _probabilities(logits: NDArray[np.float64], labels: int, one_vs_all: bool) -> NDArray[np.float64]:
    if one_vs_all:
        return np.asarray(1 / (1 + np.exp(-logits)))
    if logits.shape[1] < labels:  # two labels: the difference is kept
        logits = np.concatenate([logits, np.zeros_like(logits)], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


Told = tuple[tuple[str, ...], NDArray[np.float64]]


@lru_cache(maxsize=16)
def load_all(files: tuple[tuple[Path, str], ...]) -> Callable[[Lines, Sequence[str]], list[Told]]:
    """A function from lines, read and as text, to labels and each line's probabilities, model by model; loaded once a process.

    Args:
        files: of classifiers, with their sha256. Those of one length of n-grams and number of buckets are asked together.

    Raises:
        UserError: a file is no fastText classifier.
    """
    models = [_open(path) for path, _ in files]
    alike: dict[tuple[int, int], list[int]] = {}
    for at, model in enumerate(models):
        args = model.f.getArgs()
        if not model.f.isQuant() and not args.maxn and args.loss.name in ("softmax", "ova"):
            alike.setdefault((int(args.wordNgrams), max(1, int(args.bucket))), []).append(at)
    packs = [(own, collapse([models[at] for at in own])) for own in alike.values()]
    together = {at for own, _ in packs for at in own}
    alone = {at: _asking(model) for at, model in enumerate(models) if at not in together}

    def told(lines: Lines, texts: Sequence[str]) -> list[Told]:
        found: dict[int, Told] = {at: ask(texts) for at, ask in alone.items()}
        for own, pack in packs:
            found |= dict(zip(own, zip(pack.labels, pack.probabilities(lines), strict=True), strict=True))
        return [found[at] for at in range(len(files))]

    return told


def load(path: Path, sha256: str) -> Callable[[Lines, Sequence[str]], Told]:
    """The same for one model."""
    told = load_all(((path, sha256),))
    return lambda lines, texts: told(lines, texts)[0]


def _open(path: Path) -> Any:
    import fasttext

    printer: Any = getattr(fasttext, "FastText", None)
    if hasattr(printer, "eprint"):
        printer.eprint = lambda *_: None
    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise UserError(f"{path} is no fastText model ({error}): train one by `crawlmill train-scorer`") from None


def _asking(model: Any) -> Callable[[Sequence[str]], Told]:
    """For a model that only fastText can ask."""
    labels = tuple(model.f.getLabels("strict")[0])

    def ask(texts: Sequence[str]) -> Told:
        told = [{label: score for score, label in model.f.predict(line + "\n", len(labels), 0.0, "strict")} for line in texts]
        return labels, np.array([[min(1.0, row.get(label, np.nan)) for label in labels] for row in told]).reshape(-1, len(labels))

    return ask


def collapse(models: Sequence[Any]) -> Collapsed:
    """The numbers of classifiers that `fasttext` holds, which have n-grams of one length and as many buckets."""
    parts = [_weights(model) for model in models]
    hashes = [read_words(words) for words, _, _, _ in parts]
    keys = np.unique(np.concatenate(hashes))
    width = sum(table.shape[1] for _, table, _, _ in parts)
    buckets = len(parts[0][1]) - len(parts[0][0])
    rows, grams, columns = np.zeros((len(keys), width + len(parts))), np.zeros((buckets, width)), list[tuple[int, int]]()
    for at, ((words, table, _, _), own) in enumerate(zip(parts, hashes, strict=True)):
        first = columns[-1][1] if columns else 0
        columns.append((first, first + table.shape[1]))
        place = np.searchsorted(keys, own)
        rows[place, width + at] = 1
        rows[place, first : columns[-1][1]] = table[: len(words)]
        grams[:, first : columns[-1][1]] = table[len(words) :]
    bounds = (np.arange(1 << _TABLE, dtype=np.uint64)) << np.uint64(64 - _TABLE)
    index = np.append(np.searchsorted(keys, bounds), len(keys)).astype(np.int64)
    return Collapsed(
        tuple(labels for _, _, labels, _ in parts), tuple(columns), tuple(ova for *_, ova in parts), keys, index, rows, grams,
        int(models[0].f.getArgs().wordNgrams),
    )  # fmt: skip


def _weights(model: Any) -> tuple[list[str], NDArray[np.float32], tuple[str, ...], bool]:
    """Words, a row of weights for each word and then each bucket, labels, and whether labels are told one against all."""
    words, labels = model.f.getVocab("strict")[0], tuple(model.f.getLabels("strict")[0])
    one_vs_all, last = model.f.getArgs().loss.name == "ova", np.array(model.f.getOutputMatrix())
    table = np.array(model.f.getInputMatrix()) @ (last if len(last) != 2 or one_vs_all else last[:1] - last[1:]).T
    missing = len(words) + max(1, int(model.f.getArgs().bucket)) - len(table)
    if missing > 0:  # a model of words alone has no buckets
        table = np.concatenate([table, np.zeros((missing, table.shape[1]), dtype=table.dtype)])
    return list(words), np.ascontiguousarray(table, dtype=np.float32), labels, one_vs_all


def read_words(words: Sequence[str]) -> NDArray[np.uint64]:
    """Wide hashes of single words."""
    raw = [word.encode("utf-8") for word in words]
    lengths = np.array([len(word) for word in raw], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    found: NDArray[np.uint64] = _fnv(np.frombuffer(b"".join(raw), dtype=np.uint8), starts, lengths)[1]
    return found
