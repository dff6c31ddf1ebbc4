"""The sketch of a text: content hash, stored shingle set, MinHash bands.

The set is stored, the signature is not: signatures are computed from the stored 24-bit hashes, so any other banding can be
had later without a text. The permutations are those of datasketch 2 (scheme `affine32`): a signature equals
`datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=int)` updated with the set. Sets made under another `scheme`
must never be compared, hence every row carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import xxhash

from crawlmill.text.shingle import HASH_BITS, Hashes, Ints, offsets, shingle
from crawlmill.text.shingle_set import encode_all

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Sketch as Options

_CHUNK = 1 << 16  # hashes permuted at once: they stay in the processor's cache


def scheme(options: Options) -> str:
    """The name of all that makes two sets comparable: permutations, banding, shingles, hash width, cap, version of the code."""
    shingles = f"w{options.ngram}-c{options.char_ngram}-m{options.min_tokens}-h{HASH_BITS}-k{options.max_shingles}"
    return f"{options.scheme}-s{options.seed}-{options.bands}x{options.rows}-{shingles}-v1"


@dataclass(frozen=True)
class Sketch:
    """The sketch of one text; `shingles` and `keys` are empty where the text is too short: only an exact copy is found then."""

    content: str
    tokens: int
    shingle_count: int
    shingles: bytes
    sampled: bool
    keys: list[int]


def sketches(texts: Sequence[str], options: Options) -> list[Sketch]:
    """The sketches of a batch of texts, in their order."""
    found = shingle(texts, options)
    counts = np.diff(found.bounds)
    stored = encode_all(found.hashes, counts)
    filled = np.flatnonzero(counts)
    keys = dict(zip(filled.tolist(), band_keys(signatures(found.hashes, counts[filled], options), options).tolist(), strict=True))
    return [
        Sketch(content, tokens, distinct, stored[i], distinct > options.max_shingles, keys.get(i, []))
        for i, (content, tokens, distinct) in enumerate(
            zip(found.contents, found.tokens.tolist(), found.distinct.tolist(), strict=True)
        )
    ]


def sketch_batch(batch: pa.RecordBatch, options: Options) -> pa.RecordBatch:
    """A row per document of a batch (snapshot, shard, id, text, language), in its order, as the job `sketch` declares it.

    `shingles` is null and `keys` is empty where the text is too short; `scope` is `all` or the language, as the recipe says.
    """
    found = sketches(batch.column("text").to_pylist(), options)
    columns = {
        "snapshot": batch.column("snapshot"),
        "shard": batch.column("shard"),
        "id": batch.column("id"),
        "scope": pa.array(["all"] * len(found), pa.string()) if options.scope == "all" else batch.column("language"),
        "content": pa.array([row.content for row in found], pa.string()),
        "tokens": pa.array([row.tokens for row in found], pa.int32()),
        "shingle_count": pa.array([row.shingle_count for row in found], pa.int32()),
        "shingles": pa.array([row.shingles or None for row in found], pa.binary()),
        "sampled": pa.array([row.sampled for row in found], pa.bool_()),
        "keys": pa.array([row.keys for row in found], pa.list_(pa.int64())),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


@cache
def _permutations(count: int, seed: int) -> list[tuple[np.uint32, np.uint32]]:
    from datasketch import MinHash

    factors, summands = MinHash(num_perm=count, seed=seed, scheme="affine32").permutations
    return [(np.uint32(factor), np.uint32(summand)) for factor, summand in zip(factors, summands, strict=True)]


def signatures(hashes: Hashes, counts: Ints, options: Options) -> Hashes:
    """MinHash signatures of n non-empty sets that lie one after the other in `hashes`.

    Args:
        hashes: the members of all sets.
        counts: n set sizes, each at least 1, adding up to the length of `hashes`.

    Returns:
        n rows of bands * rows values.
    """
    result = np.empty((len(counts), options.bands * options.rows), dtype=np.uint32)
    bounds = offsets(counts)
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + _CHUNK, side="right")) - 1)
        mixed = _premix(hashes[bounds[first] : bounds[last]])
        starts = bounds[first:last] - bounds[first]
        for column, (factor, summand) in enumerate(_permutations(result.shape[1], options.seed)):
            result[first:last, column] = np.minimum.reduceat(mixed * factor + summand, starts)
        first = last
    return result


def _premix(hashes: Hashes) -> Hashes:
    """The 32-bit finaliser of MurmurHash3 (Appleby, public domain), which datasketch puts before its permutations."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


def band_keys(signature: Hashes, options: Options) -> Ints:
    """The n x bands keys of n signatures: xxh3 (64 bits, signed) of the band's number and its rows as little-endian words."""
    count = len(signature)
    rows = np.empty((count, options.bands, options.rows + 1), dtype="<u4")
    rows[:, :, 0] = np.arange(options.bands, dtype=np.uint32)
    rows[:, :, 1:] = signature.reshape(count, options.bands, options.rows)
    stream, size = memoryview(rows.tobytes()), 4 * (options.rows + 1)
    keys = [xxhash.xxh3_64_intdigest(stream[at : at + size]) for at in range(0, len(stream), size)]
    return np.array(keys, dtype=np.uint64).view(np.int64).reshape(count, options.bands)
