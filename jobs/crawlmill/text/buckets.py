"""Thresholds and buckets from the scores of many documents: weighted percentiles, as Nemotron-CC makes them, and the top share by weight."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crawlmill.errors import UserError

SHARES = tuple(percent / 100 for percent in range(5, 100, 5))
"""Nemotron-CC's percentiles: 19 cut points, 20 buckets."""
PARTS = {"ccnet": (0.3, 0.6), "bertin": (0.25, 0.5, 0.75)}
"""Percentiles by language: CCNet's head and middle end there (Wenzek et al. 2020), BERTIN's sampling takes quartiles."""
_SLACK = 1e-12  # of the whole weight: sums of weights are no exact shares of it


def percentiles(scores: ArrayLike, weights: ArrayLike | None = None, shares: Sequence[float] = SHARES) -> list[float]:
    """The least score up to which so large a share of the weight lies (the inverted distribution function), for each share.

    Args:
        scores: finite, at least one.
        weights: not negative, one a score; None: all alike. Nemotron-CC weighs by bytes of UTF-8, not by tokens.
        shares: within 0 to 1.
    """
    values, by = _sorted(scores, weights)
    total = np.cumsum(by)
    at = np.searchsorted(total, (np.asarray(shares) - _SLACK) * total[-1], side="left")
    return [float(values[min(place, len(values) - 1)]) for place in at.tolist()]


def bucket(scores: ArrayLike, cuts: Sequence[float]) -> NDArray[np.int64]:
    """0 to len(cuts): how many cut points a score reaches; a score on a cut point belongs above it."""
    return np.asarray(np.digitize(np.asarray(scores, dtype=np.float64), list(cuts)), dtype=np.int64)


def greatest(buckets: Sequence[Sequence[int | None]]) -> list[int | None]:
    """By document the greatest of its buckets, one by each scorer; None where no scorer has one."""
    return [max((value for value in row if value is not None), default=None) for row in zip(*buckets, strict=True)]


def top_share(scores: ArrayLike, share: float, weights: ArrayLike | None = None) -> float:
    """The threshold at which the documents with at least that score are the smallest set with `share` of the weight.

    Weights are 1 (documents), tokens or characters: DCLM keeps a tenth of the documents, BETR of the tokens, PreSelect of the characters.
    Scores that are equal go together, so the set may be larger.
    """
    if not 0 < share <= 1:
        raise UserError(f"a share of {share:g} is none: give one above 0 and at most 1")
    values, by = _sorted(scores, weights)
    total = np.cumsum(by[::-1])
    at = int(np.searchsorted(total, (share - _SLACK) * total[-1], side="left"))
    return float(values[::-1][min(at, len(values) - 1)])


def _sorted(scores: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.asarray(scores, dtype=np.float64)
    by = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(values) or not np.isfinite(values).all() or not np.isfinite(by).all() or (by < 0).any() or not by.sum():
        raise UserError("there are no scores with weight to take a quantile of: give documents that have the score")
    order = np.argsort(values, kind="stable")
    return values[order], by[order]
