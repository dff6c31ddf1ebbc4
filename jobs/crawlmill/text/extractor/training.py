"""Cross-validation and the final fit of the two passes. Used by the training job only."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from crawlmill.text.extractor import context, features, teaching
from crawlmill.text.extractor.arrays import Bools, Floats, Ints, Singles
from crawlmill.text.extractor.choose import sure
from crawlmill.text.extractor.fitting import fit, quantised
from crawlmill.text.extractor.model import Model
from crawlmill.text.extractor.teaching import Example
from crawlmill.text.extractor.trees import Trees

TREES = (220, 160)
RATE = 0.12  # what a tree adds, as a share of what would fit best
CHOSEN = 40  # features of the first pass that the second sees, too: those that move the log-odds most
MIX = 0.0
LIGHT = 0.004  # weight below which only one block in THIN is learnt from, at THIN times its weight: menus, most of all blocks
THIN = 3
KNOTS = 12


class Bench:
    """The examples as one table of blocks. `cross_validate` fills `passes["first"]` of each example with what trees that never saw its group say."""

    def __init__(self, pages: list[Example], trees: tuple[int, int], progress: Callable[[str], None] = lambda line: None) -> None:
        self.pages, self.trees, self.progress = pages, trees, progress
        self.sizes = np.array([_blocks(page) for page in pages])
        self.blocks = int(self.sizes.sum())
        self.label = np.concatenate([page.label for page in pages])
        self.weight, self.used = _thinned(pages)
        self.first_pool = quantised(
            np.concatenate([_x(page).T for page in pages])[self.used], self.label[self.used], self.weight[self.used]
        )
        self.chosen: Ints = np.zeros(0, np.int64)

    def rows(self, mask: Bools) -> Ints:
        """Rows of the pools that belong to the pages of a mask."""
        return np.flatnonzero(np.repeat(mask, self.sizes)[self.used])

    def cross_validate(self, groups: Sequence[Any]) -> list[Floats]:
        """Probabilities of every page's blocks by the second pass, from trees that saw no page of its group in either pass."""
        groups_ = np.array(groups)
        names = sorted(set(groups))
        for group in names:
            trees = self._fit(self.first_pool, groups_ != group, self.trees[0])
            for page in self._of(groups_ == group):
                page.passes["first"] = trees.probability(_x(page))
            self.progress(f"first pass without {group}")
        self.first = self._fit(self.first_pool, np.ones(len(self.pages), bool), self.trees[0])
        self.chosen = _strongest(self.first, len(features.NAMES))
        self.second_pool = self._second_pool()
        found: dict[int, Floats] = {}
        for group in names:
            trees = self._fit(self.second_pool, groups_ != group, self.trees[1])
            for at in np.flatnonzero(groups_ == group).tolist():
                found[at] = self._last(self.pages[at], self.pages[at].passes["first"], trees)
            self.progress(f"second pass without {group}")
        return [found[at] for at in range(len(self.pages))]

    def cross_validate_sources(self) -> list[Floats]:
        """The same with whole sources left out.

        The second pass learns from the first pass's probabilities of the cross-validation by host, which must have run before.
        """
        sources = np.array([source(page) for page in self.pages])
        found: dict[int, Floats] = {}
        for name in sorted(set(sources)):
            first = self._fit(self.first_pool, sources != name, self.trees[0])
            second = self._fit(self.second_pool, sources != name, self.trees[1])
            for at in np.flatnonzero(sources == name).tolist():
                found[at] = self._last(self.pages[at], first.probability(_x(self.pages[at])), second)
            self.progress(f"both passes without {name}")
        return [found[at] for at in range(len(self.pages))]

    def final(self, by_host: list[Floats]) -> Model:
        """The model that learnt from every page; `by_host` calibrates its confidence."""
        second = self._fit(self.second_pool, np.ones(len(self.pages), bool), self.trees[1])
        return Model(self.first, second, self.chosen, MIX, self._knots(by_host))

    def calibration(self, by_host: list[Floats]) -> list[dict[str, float]]:
        """Expected and real mean F1 of the pages, by expected F1."""
        expected, real = self._expected(by_host)
        edges = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01)
        table = []
        for low, high in pairwise(edges):
            inside = (expected >= low) & (expected < high)
            if inside.any():
                means = {"expected": round(float(expected[inside].mean()), 3), "real": round(float(real[inside].mean()), 3)}
                table.append({"from": low, "pages": int(inside.sum()), **means})
        return table

    def second_names(self, trained: Model) -> tuple[str, ...]:
        """Names of the second pass's features."""
        return (*context.NAMES, *(features.NAMES[at] for at in trained.chosen))

    def weights(self, trees: Trees, names: Sequence[str]) -> dict[str, float]:
        """How much of the trees' movement of the log-odds goes to each of the 40 strongest features."""
        strength = _strength(trees, len(names))
        return {names[at]: round(float(strength[at]), 4) for at in np.argsort(-strength, kind="stable")[:40]}

    def _fit(self, pool: Any, mask: Bools, trees: int) -> Trees:
        return fit(pool, self.rows(mask), trees, RATE)

    def _of(self, mask: Bools) -> list[Example]:
        return [self.pages[at] for at in np.flatnonzero(mask)]

    def _last(self, page: Example, first: Floats, second: Trees) -> Floats:
        """What the extractor would say: see `Model.probabilities`."""
        assert page.page is not None
        return first if sure(first, page.page.blocks.weight) else second.probability(self._second(page, first))

    def _second(self, page: Example, probability: Floats) -> Singles:
        assert page.page is not None
        return np.concatenate((context.context(page.page, probability), page.page.x[self.chosen]))

    def _second_pool(self) -> Any:
        x = np.concatenate([self._second(page, page.passes["first"]).T for page in self.pages])[self.used]
        return quantised(x, self.label[self.used], self.weight[self.used])

    def _expected(self, by_host: list[Floats]) -> tuple[Floats, Floats]:
        expected, real = [], []
        for page, probability in zip(self.pages, by_host, strict=True):
            keep, likely = teaching.chosen(page, probability, MIX)
            right, extra, missing = teaching.score(page, keep)
            expected.append(likely)
            real.append(2 * right / (2 * right + extra + missing) if right else 0.0)
        return np.array(expected), np.array(real)

    def _knots(self, by_host: list[Floats]) -> Floats:
        """Isotonic regression of real on expected F1 (pool adjacent violators), thinned to KNOTS points. Shape (2, KNOTS)."""
        expected, real = self._expected(by_host)
        order = np.argsort(expected, kind="stable")
        groups = [list(part) for part in np.array_split(order, KNOTS)]
        x = np.array([expected[part].mean() for part in groups])
        y = np.maximum.accumulate(np.array([real[part].mean() for part in groups]))
        return np.stack((x, y))


def source(page: Example) -> str:
    """The benchmark that a page is from; further pages of one are a part of it."""
    return page.source.removesuffix("-more")


def _blocks(page: Example) -> int:
    assert page.page is not None
    return page.page.blocks.n


def _x(page: Example) -> Singles:
    assert page.page is not None
    return page.page.x


def _thinned(pages: list[Example]) -> tuple[Floats, Ints]:
    """(weight of every block, the blocks that are learnt from): see LIGHT."""
    weights, used, at = [], [], 0
    for page in pages:
        light = page.weight < LIGHT
        lot = (np.arange(len(page.weight)) * 2654435761 + zlib.crc32(page.url.encode())) % (1 << 32) * THIN >> 32
        weights.append(np.where(light, THIN * page.weight, page.weight))
        used.append(at + np.flatnonzero((page.weight > 0) & (~light | (lot == 0))))
        at += len(page.weight)
    return np.concatenate(weights), np.concatenate(used)


def _strength(trees: Trees, count: int) -> Floats:
    """Spread of a tree's leaves, given to each of its questions; shares, shape (count,)."""
    strength = np.zeros(count)
    np.add.at(strength, trees.feature.ravel(), np.repeat(trees.leaf.std(axis=1), trees.feature.shape[1]))
    shares: Floats = strength / strength.sum()
    return shares


def _strongest(trees: Trees, count: int) -> Ints:
    return np.sort(np.argsort(-_strength(trees, count), kind="stable")[:CHOSEN])
