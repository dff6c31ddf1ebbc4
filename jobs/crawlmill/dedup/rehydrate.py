"""How often to repeat a document that stands for others: FineWeb2's rehydration, computed on our own clusters.

Pages that nobody copied and pages that everybody copied are poor more often than those in between, which shows in the share that
the quality filters remove of each cluster size. So the weight is 1 where that share is at or above the overall one, `most` where it
is least, and linear in between, smoothed over five neighbouring sizes (Penedo et al. 2025, arXiv 2506.20920; misc/rehydration of
github.com/huggingface/fineweb-2). Sizes here are those of verified clusters, smaller than FineWeb2's components of unverified
candidates: its published weights do not carry over, its formula does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crawlmill.errors import UserError

WINDOW = 5


@dataclass(frozen=True)
class Distribution:
    """Clusters by size in one language.

    Attributes:
        sizes: ascending; the last one stands for all from it on.
        clusters: how many there are of each size.
        removed: of how many the document that stays fails a quality filter.
    """

    sizes: tuple[int, ...]
    clusters: tuple[int, ...]
    removed: tuple[int, ...]

    @property
    def rates(self) -> list[float]:
        """Share removed of each size, 0 to 1."""
        return [gone / count for count, gone in zip(self.clusters, self.removed, strict=True)]

    @property
    def overall(self) -> float:
        """Share removed of all clusters."""
        return sum(self.removed) / sum(self.clusters)


def distribution(counts: Mapping[int, tuple[int, int]], least: int = 100) -> Distribution:
    """Sizes of enough clusters each, and a tail.

    Args:
        counts: size -> (clusters, of these removed).
        least: a size of fewer clusters says nothing: from the first such size on, all are one tail. FineWeb2 cuts its tail, too, and
            does not say where.

    Raises:
        UserError: there are no clusters at all.
    """
    if not counts:
        raise UserError("there are no clusters to compute weights of: ingest a snapshot and run dedup first")
    ordered = sorted(counts)
    cut = next((place for place, size in enumerate(ordered) if counts[size][0] < least), len(ordered))
    heads = [(size, *counts[size]) for size in ordered[:cut]]
    if cut < len(ordered):
        rest = [counts[size] for size in ordered[cut:]]
        heads.append((ordered[cut], sum(n for n, _ in rest), sum(gone for _, gone in rest)))
    sizes, clusters, removed = zip(*heads, strict=True)
    return Distribution(sizes, clusters, removed)


def weights(rates: Sequence[float], overall: float, most: int, window: int = WINDOW) -> list[int]:
    """How often to repeat the documents of each cluster size, 1 to `most`.

    Args:
        rates: share (or percentage) removed of each size, ascending sizes.
        overall: share (or percentage) removed of all.
        most: the weight of the size of which least is removed.
        window: sizes averaged; the first and last half window keep their own weight, and so do all where there are fewer.

    Raises:
        UserError: `most` is below 1 or the window is not odd.
    """
    if most < 1 or window < 1 or window % 2 == 0:
        raise UserError(f"rehydration to {most} repeats, smoothed over {window} sizes: give at least 1 repeat and an odd window")
    shares = np.asarray(rates, dtype=np.float64)
    raw = np.ones(len(shares))
    below = shares < overall
    if below.any():
        raw[below] += (most - 1) * (overall - shares[below]) / (overall - shares.min())
    smooth = raw.copy()
    half = window // 2
    if len(raw) >= window > 1:
        smooth[half:-half] = np.convolve(raw, np.full(window, 1 / window), mode="valid")
    return [int(weight) for weight in np.round(smooth)]


def ranges(sizes: Iterable[int], repeats: Iterable[int]) -> dict[int, int]:
    """First size -> weight of every run of equal weights, as FineWeb2 publishes them; the last holds for all greater sizes."""
    found: dict[int, int] = {}
    last = None
    for size, weight in zip(sizes, repeats, strict=True):
        if weight != last:
            found[size] = last = weight
    return found


def weight_of(size: int, by_first_size: Mapping[int, int]) -> int:
    """The weight of a cluster size; 1 below the first range."""
    return by_first_size[max((first for first in by_first_size if first <= size), default=0)] if size >= min(by_first_size) else 1
