"""Names for the arrays that everything here is made of, and look-up of short byte strings in a table without a loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bools = NDArray[np.bool_]
Octets = NDArray[np.uint8]
Codes = NDArray[np.uint64]

PAD = 16  # blank bytes after a page, so that eight bytes can be read at any of its positions
_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_SPACE, _CLOSE = np.uint64(0x2020202020202020), np.uint64(0x3E3E3E3E3E3E3E3E)
_SEVEN, _ONE, _ZERO = np.uint64(7), np.uint64(1), np.uint64(0)
_KEEP = np.array([(1 << (8 * length)) - 1 for length in range(9)], dtype=np.uint64)
_ODD = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: Fibonacci hashing (Knuth, volume 3, section 6.4)


def listed(words: str) -> tuple[str, ...]:
    """Words with blanks between."""
    return tuple(words.split())


def code(name: str | bytes) -> int:
    """The first eight bytes of a name as a little-endian integer."""
    raw = name.encode() if isinstance(name, str) else name
    return int.from_bytes(raw[:8].ljust(8, b"\0"), "little")


def octets(page: bytes) -> Octets:
    """The page's bytes and PAD blanks."""
    return np.frombuffer(page + b" " * PAD, np.uint8)


def eight(a: Octets, at: Ints) -> Codes:
    """The eight bytes from each position on, as little-endian integers."""
    every = np.ndarray((len(a) - 7,), "<u8", buffer=a, strides=(1,))
    return every[at]


def names(words: Codes) -> Codes:
    """What stands before the first blank or `>` in each; the rest is zero.

    A zero byte of x sets its high bit in (x - 0x01..) & ~x & 0x80..; bits above the first one may be wrong and are not looked at.
    """
    blank, closed = words ^ _SPACE, words ^ _CLOSE
    ends = (((blank - _LOW) & ~blank) | ((closed - _LOW) & ~closed)) & _HIGH
    first = ends & (~ends + _ONE)
    return np.where(ends == _ZERO, words, words & ((first >> _SEVEN) - _ONE))


def first_bytes(words: Codes, lengths: Ints) -> Codes:
    """The first `lengths` bytes of each, eight at most; the rest is zero."""
    return words & _KEEP[np.minimum(lengths, 8)]


class Lookup:
    """A perfect hash of at most a few hundred short strings: number of the string, or -1. `table`, `slots`: keys and values, multiplier and shift."""

    def __init__(self, keys: Mapping[int, int]) -> None:
        self._shift = np.uint64(64 - max(8, len(keys).bit_length() + 4))
        size = 1 << (64 - int(self._shift))
        multiplier = _ODD
        while len({(key * multiplier % (1 << 64)) >> int(self._shift) for key in keys}) < len(keys):
            multiplier = (multiplier * 6364136223846793005 + 1442695040888963406) % (1 << 64) | 1
        self._multiplier = np.uint64(multiplier)
        self._keys, self._values = np.zeros(size, np.uint64), np.full(size, -1, np.int64)
        for key, value in keys.items():
            slot = (key * multiplier % (1 << 64)) >> int(self._shift)
            self._keys[slot], self._values[slot] = key, value
        self.table = self._keys, self._values
        self.slots = multiplier, int(self._shift)

    def __call__(self, found: Codes) -> Ints:
        """Numbers of the given strings (eight-byte codes)."""
        slot = (found * self._multiplier) >> self._shift
        return np.where(self._keys[slot] == found, self._values[slot], -1)


def spans(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """(positions of all bytes in the ranges, index into them at which each range begins); ranges are not empty."""
    lengths = ends - starts
    begins = np.zeros(len(starts), np.int64)
    np.cumsum(lengths[:-1], out=begins[1:])
    return np.arange(int(lengths.sum())) + np.repeat(starts - begins, lengths), begins
