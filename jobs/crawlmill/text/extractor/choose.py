"""Which blocks are kept, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np

from crawlmill.text.extractor.arrays import Bools, Floats, Ints

SURE = 0.96  # expected F1 of a page from which the first pass has the last word
REPEATED = 40.0  # weight from which a block that was kept before is left out: about seven English words


def best_threshold(probability: Floats, weight: Floats) -> tuple[float, float]:
    """(the probability from which keeping blocks makes the page's expected F1 largest, that F1).

    With p the probability that a block belongs to the main text, keeping a set of blocks finds sum(w p) over the set of sum(w p) over the page
    and keeps sum(w): the F1 of the expectations is 2 sum(w p, set) / (sum(w, set) + sum(w p, page)). The best set of each size has the
    highest p.
    """
    order = np.argsort(-probability, kind="stable")
    kept = np.cumsum(weight[order])
    right = np.cumsum((weight * probability)[order])
    expected = 2 * right / (kept + right[-1] + 1e-9)
    best = int(np.argmax(expected))
    return float(probability[order[best]]), float(expected[best])


def sure(probability: Floats, weight: Floats) -> bool:
    """Whether the first pass's probabilities leave the second nothing to do.

    By cross-validation with hosts apart these are 38 % of the pages; without a second look at them F1 is .8833 for .8837.
    """
    return best_threshold(probability, weight)[1] >= SURE


def choose(probability: Floats, weight: Floats, mix: float) -> tuple[Bools, float]:
    """(blocks to keep, their expected F1). The threshold is `mix` times 1/2 plus the rest of the page's best one; one block is always kept."""
    threshold, _ = best_threshold(probability, weight)
    keep = probability >= min(mix * 0.5 + (1 - mix) * threshold, float(probability.max()))
    right, wanted = float((weight * probability)[keep].sum()), float((weight * probability).sum())
    return keep, 2 * right / (float(weight[keep].sum()) + wanted + 1e-9)


def without_repeats(keep: Bools, weight: Floats, likeness: Ints, text: Callable[[int], Hashable]) -> Bools:
    """`keep` without longer blocks whose text was kept before, except right after itself, where the page means it.

    Pages show a text again in previews, quotations, captions and signatures; gold texts have it once. By cross-validation with hosts apart this
    raises F1 from .884 to .886, of forums from .82 to .84. `likeness` is equal for equal texts; `text` gives a block's, asked only where it
    may be repeated.
    """
    kept = np.flatnonzero(keep)
    long = kept[weight[kept] >= REPEATED]
    _, group, sizes = np.unique(likeness[long], return_inverse=True, return_counts=True)
    if not len(long) or int(sizes.max()) < 2:
        return keep
    keep = keep.copy()
    before = dict(zip(kept[1:].tolist(), kept[:-1].tolist(), strict=True))
    seen: set[Hashable] = set()
    for block in long[sizes[group] > 1].tolist():
        own = text(block)
        if own not in seen:
            seen.add(own)
        elif block not in before or text(before[block]) != own:
            keep[block] = False
    return keep
