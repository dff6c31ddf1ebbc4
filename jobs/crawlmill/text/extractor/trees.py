"""Oblivious decision trees as arrays: every level of a tree asks one question, so a leaf's number is the answers as bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crawlmill.text.extractor.arrays import Floats, Ints, Singles
from crawlmill.text.extractor.compiled import native


class Trees:
    """T trees of depth D <= 8. `feature`, `border` (T, D): is feature > border? `leaf` (T, 2**D): what a tree adds to the log-odds; `bias`: the start.

    Each different question is asked once.
    """

    def __init__(self, feature: Ints, border: Singles, leaf: Singles, bias: float) -> None:
        self.feature, self.border, self.leaf, self.bias = feature, border, leaf, bias
        pairs = np.stack((feature.ravel().astype(np.float64), border.ravel().astype(np.float64)))
        questions, answers = np.unique(pairs, axis=1, return_inverse=True)
        self._asked, self._limits = questions[0].astype(np.int64), questions[1].astype(np.float32)[:, None]
        self._answers = answers.reshape(feature.shape).T.copy()
        self._offsets = (np.arange(len(leaf)) * leaf.shape[1])[:, None]
        self._leaves = leaf.ravel()
        self._table = np.ascontiguousarray(feature), np.ascontiguousarray(border), np.ascontiguousarray(leaf)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], prefix: str) -> Trees:
        """The trees that a model file keeps under `prefix`."""
        part = {name: arrays[f"{prefix}_{name}"] for name in ("feature", "border", "leaf", "bias")}
        return cls(
            part["feature"].astype(np.int64),
            part["border"].astype(np.float32),
            part["leaf"].astype(np.float32),
            float(part["bias"]),
        )

    def probability(self, x: Singles) -> Floats:
        """Probability of each column of `x`, shape (features, n)."""
        odds = self.odds_compiled(x) if native is not None and x.shape[1] > 1 else self.odds(x)
        return np.asarray(1 / (1 + np.exp(-odds.astype(np.float64))))

    def odds(self, x: Singles) -> Singles:
        """Log-odds of each column of `x`, shape (features, n)."""
        answers = (x.take(self._asked, axis=0) > self._limits).view(np.uint8)
        leaves = answers.take(self._answers[-1], axis=0)
        for level in reversed(self._answers[:-1]):  # doubling by addition: numpy adds bytes in vectors but shifts them one by one
            leaves += leaves
            leaves += answers.take(level, axis=0)
        found: Singles = self._leaves.take(leaves + self._offsets).sum(axis=0) + np.float32(self.bias)
        return found

    def odds_compiled(self, x: Singles) -> Singles:
        """The same to the bit for two columns or more: both add tree by tree. Of one column numpy adds the trees in pairs."""
        found = np.empty(x.shape[1], np.float32)
        feature, border, leaf = self._table
        native.odds(np.ascontiguousarray(x), feature, border, leaf, found, x.shape[1], feature.shape[1])
        return found + np.float32(self.bias)
