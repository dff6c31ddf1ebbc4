"""Vectors of texts without a neural model: hashed TF-IDF, projected at random; and clusters of vectors. The same texts give the same vectors.

Where a job elsewhere has made better vectors, the functions that compare and cluster take those.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crawlmill.text.reference import features
from crawlmill.text.words import composed, tokenize

Floats = NDArray[np.float64]
BUCKETS, DIMENSION = 1 << 16, 256
_ROUNDS = 300


def frequencies(texts: Sequence[str], buckets: int = BUCKETS) -> tuple[NDArray[np.int64], int]:
    """In how many texts each bucket of tokens and pairs of tokens is met, and the number of texts: what `embed` weighs by."""
    seen = np.zeros(buckets, dtype=np.int64)
    for text in texts:
        seen[np.unique(features(tokenize(composed(text)), buckets))] += 1
    return seen, len(texts)


def embed(texts: Sequence[str], weights: tuple[NDArray[np.int64], int], dimension: int = DIMENSION, seed: int = 0) -> Floats:
    """A row of length 1 for each text, zeros for one without words.

    Term frequency is 1 + ln, inverse document frequency that of `weights`; each bucket goes to a fixed random direction of signs (Achlioptas 2003).
    """
    seen, documents = weights
    inverse = np.log((1 + documents) / (1 + seen)) + 1
    rows = np.zeros((len(texts), dimension))
    for row, text in enumerate(texts):
        found, counts = np.unique(features(tokenize(composed(text)), len(seen)), return_counts=True)
        if len(found):
            vector = ((1 + np.log(counts)) * inverse[found]) @ _signs(found, dimension, seed)
            rows[row] = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return rows


def _signs(buckets: NDArray[np.int64], dimension: int, seed: int) -> Floats:
    """A row of -1 and 1 for each bucket: bits of a mixed counter, so that no matrix has to be kept."""
    words = np.arange((dimension + 63) // 64, dtype=np.uint64)
    state = (
        buckets.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
        + words * np.uint64(0xD1B54A32D192ED03)
        + np.uint64(seed)
    )
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64's finish
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    bits = np.unpackbits(state.view(np.uint8), axis=1)[:, :dimension]
    return bits.astype(np.float64) * 2 - 1


def clusters(vectors: Floats, count: int, rounds: int = _ROUNDS, tolerance: float = 1e-4) -> tuple[NDArray[np.int64], Floats]:
    """k-means: the cluster of each row, and the centres. Centres begin with the first row, then each time with the row farthest from them.

    CLIMB's settings: 1,000 clusters, at most 300 rounds, tolerance 1e-4. It draws its first centres, which this does not, so nothing is left to chance.
    """
    distance = np.full(len(vectors), np.inf)
    chosen = [0]
    for _ in range(min(count, len(vectors)) - 1):
        distance = np.minimum(distance, ((vectors - vectors[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(distance.argmax()))
    centres = vectors[chosen].astype(np.float64)
    for _ in range(rounds):
        nearest = (vectors @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
        moved = centres.copy()
        for label in range(len(centres)):
            own = vectors[nearest == label]
            if len(own):
                moved[label] = own.mean(axis=0)
        change = float(((moved - centres) ** 2).sum())
        centres = moved
        if change <= tolerance:
            break
    return (vectors @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1), centres
