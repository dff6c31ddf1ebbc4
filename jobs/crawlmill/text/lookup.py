"""Rows of many 64-bit keys at once: a sorted array with an index on the keys' first bits, probed without a loop over keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Rows = NDArray[np.int64]
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Lookup:
    """Keys, mixed and sorted, the row of each, and where the keys of each slot begin."""

    keys: Keys
    rows: Rows
    index: Rows
    shift: np.uint64

    def find(self, keys: Keys) -> Rows:
        """The row of each key, -1 for one that is not there."""
        mixed = keys * _MIX
        found = np.full(len(keys), -1, dtype=np.int64)
        slot = (mixed >> self.shift).astype(np.int64)
        at, end = self.index[slot], self.index[slot + 1]
        asked = np.flatnonzero(at < end)
        while len(asked):
            here = at[asked]
            hit = self.keys[here] == mixed[asked]
            found[asked[hit]] = self.rows[here[hit]]
            asked = asked[~hit]
            at[asked] += 1
            asked = asked[at[asked] < end[asked]]
        return found


def build(keys: Keys) -> Lookup:
    """A lookup of distinct keys, each with its place as its row."""
    mixed = keys * _MIX
    order = np.argsort(mixed, kind="stable")
    bits = min(26, max(4, len(keys).bit_length() + 1))
    shift = np.uint64(64 - bits)
    bounds = np.arange(1 << bits, dtype=np.uint64) << shift
    index = np.append(np.searchsorted(mixed[order], bounds), len(keys)).astype(np.int64)
    return Lookup(mixed[order], order.astype(np.int64), index, shift)
