"""An n-gram model from counts: interpolated Kneser-Ney with three discounts a length (Chen and Goodman 1998; Heafield et al. 2013 for <s> and pruning)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crawlmill.errors import UserError
from crawlmill.text import arpa
from crawlmill.text.arpa import Ints, Order

Counts = NDArray[np.int64]
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where counts of counts give none, as in a small text; KenLM's `--discount_fallback`."""
SPECIAL = (arpa.UNKNOWN, arpa.START, arpa.END)
_START, _END = 1, 2  # numbers of <s> and </s>: the words begin with SPECIAL


def windows(lines: Sequence[Sequence[int]], n: int) -> Ints:
    """Every n-gram of lines of words' numbers, a row each: a line begins with n - 1 times <s> and ends with </s>."""
    if not lines:
        return np.zeros((0, n), dtype=np.int64)
    starts, known = [_START] * (n - 1), list[int]()
    for line in lines:
        known += starts
        known += line
        known.append(_END)
    flat = np.array(known, dtype=np.int64)
    ends = np.cumsum([len(line) + n for line in lines])
    rows = np.lib.stride_tricks.sliding_window_view(flat, n)
    crosses = (ends[:-1, None] + np.arange(-n + 1, 0)).ravel() if n > 1 else np.zeros(0, dtype=np.int64)
    keep = np.ones(len(rows), dtype=bool)
    keep[crosses] = False
    return np.ascontiguousarray(rows[keep])


def packed(rows: Ints, words: int) -> Ints:
    """Rows of words' numbers, of so many words, with as many of them in a column as 63 bits hold: in the same order, and sorted faster."""
    bits = max(1, (words - 1).bit_length())
    found = []
    for first in range(0, rows.shape[1], 63 // bits):
        key = np.zeros(len(rows), dtype=np.int64)
        for column in rows.T[first : first + 63 // bits]:
            key = (key << bits) | column
        found.append(key)
    return np.stack(found, axis=1)


def unpacked(keys: Ints, words: int, n: int) -> Ints:
    """The rows of n numbers that were `packed`."""
    bits = max(1, (words - 1).bit_length())
    rows = np.empty((len(keys), n), dtype=np.int64)
    for place, first in enumerate(range(0, n, 63 // bits)):
        last = min(n, first + 63 // bits)
        for at in range(first, last):
            rows[:, at] = (keys[:, place] >> (bits * (last - 1 - at))) & ((1 << bits) - 1)
    return rows


def distinct(rows: Ints, counts: Counts | None = None) -> tuple[Ints, Counts]:
    """Equal rows once, sorted, with the sums of their counts (one each where none are given)."""
    if rows.shape[1] == 1 and len(rows):
        if counts is None:
            ordered = np.sort(rows[:, 0])
        else:
            order = np.argsort(rows[:, 0], kind="stable")  # which merges what is sorted in parts
            ordered, counts = rows[order, 0], counts[order]
        first = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
        seen = np.diff(first, append=len(ordered)) if counts is None else np.add.reduceat(counts, first)
        return ordered[first, None], seen
    counts = np.ones(len(rows), dtype=np.int64) if counts is None else counts
    import pyarrow as pa

    names = [f"w{at}" for at in range(rows.shape[1])]
    columns = {name: rows[:, at] for at, name in enumerate(names)} | {"count": counts}
    table = pa.table(columns).group_by(names).aggregate([("count", "sum")]).sort_by([(name, "ascending") for name in names])
    return np.stack([table[name].to_numpy() for name in names], axis=1), table["count_sum"].to_numpy()


def estimate(words: Sequence[str], rows: Ints, counts: Counts, min_count: int = 1) -> arpa.Model:
    """The model of counted n-grams.

    Args:
        words: by number; the first are SPECIAL.
        rows: distinct n-grams of the longest kind, as `windows` cuts them, at least one.
        counts: of each.
        min_count: longest n-grams counted less often are left out, their share goes to shorter ones.

    Raises:
        UserError: there is nothing to estimate from.
    """
    if not len(rows) or tuple(words[:3]) != SPECIAL:
        raise UserError("there are no n-grams to estimate a model from: give texts with words")
    adjusted = _adjusted(rows, counts, rows.shape[1])
    number = len(words)
    orders: list[Order] = []
    plain: list[NDArray[np.float64]] = []  # probabilities, not yet logarithms
    for n, (grams, seen) in enumerate(adjusted, 1):
        discount = _discounts(seen)
        kept = seen - discount[np.minimum(seen, 3)]
        if n == 1:
            orders.append(_unigrams(grams, seen, kept, number, plain))
            continue
        context = arpa.locate(grams[:, :-1], orders, number)
        short = plain[-1][arpa.locate(grams[:, 1:], orders, number)]
        if n == len(adjusted) and min_count > 1:
            kept = np.where(seen >= min_count, kept, 0.0)
        size = len(orders[-1].keys)
        totals, left = np.bincount(context, seen, size), np.bincount(context, kept, size)
        with np.errstate(invalid="ignore", divide="ignore"):
            gamma = np.where(totals > 0, 1 - left / totals, 1.0)
        chances = kept / totals[context] + gamma[context] * short
        orders[-1] = Order(orders[-1].keys, orders[-1].probability, np.log10(gamma).astype(np.float32))
        keys = context.astype(np.uint64) * np.uint64(number) + grams[:, -1].astype(np.uint64)
        stay = seen >= min_count if n == len(adjusted) else np.ones(len(seen), dtype=bool)
        orders.append(Order(keys[stay], np.log10(chances[stay]).astype(np.float32), np.zeros(int(stay.sum()), dtype=np.float32)))
        plain.append(chances[stay])
    return arpa.complete(list(words), orders)


def _adjusted(rows: Ints, counts: Counts, longest: int) -> list[tuple[Ints, Counts]]:
    """n-grams of each length from 1 with the counts that Kneser-Ney takes: of how many words stand before; true counts where <s> does."""
    begins = (rows[:, : longest - 1] == _START).cumprod(axis=1).sum(axis=1)  # how many <s> a window begins with
    found: list[tuple[Ints, Counts]] = []
    grams, seen = rows[begins <= 1], counts[begins <= 1]
    for n in range(longest, 0, -1):
        order = np.lexsort(grams.T[::-1])
        found.append((grams[order], seen[order]))
        after, before = distinct(grams[:, 1:]) if n > 1 else (grams, seen)
        first = begins == longest - n + 2  # windows whose last n - 1 words begin with one <s>
        grams = np.concatenate([after, rows[first][:, longest - n + 1 :]]) if n > 2 else after
        seen = np.concatenate([before, counts[first]]) if n > 2 else before
    return found[::-1]


def _discounts(counts: Counts) -> NDArray[np.float64]:
    """What is taken from counts of 0, 1, 2 and 3 or more."""
    one, two, three, four = (int(np.count_nonzero(counts == value)) for value in (1, 2, 3, 4))
    if min(one, two, three, four) == 0:
        return np.array([0.0, *FALLBACK])
    y = one / (one + 2 * two)
    found = [value - (value + 1) * y * more / less for value, less, more in ((1, one, two), (2, two, three), (3, three, four))]
    sound = all(0 < taken < value for value, taken in enumerate(found, 1))
    return np.array([0.0, *(found if sound else FALLBACK)])


def _unigrams(grams: Ints, seen: Counts, kept: NDArray[np.float64], words: int, plain: list[NDArray[np.float64]]) -> Order:
    """Every word has a row: what was never seen, <unk> among it, shares the discounts evenly with all others but <s>."""
    total = float(seen.sum())
    chances = np.zeros(words)
    chances[grams[:, 0]] = kept / total
    chances += (total - kept.sum()) / total / (words - 1)
    chances[_START] = 10.0**arpa.NEVER
    plain.append(chances)
    return Order(np.arange(words, dtype=np.uint64), np.log10(chances).astype(np.float32), np.zeros(words, dtype=np.float32))
