"""The trained model, and a page through it: bytes of the body in, kept blocks and their confidence out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any

import numpy as np

from crawlmill.text.extractor import blocks as segmentation
from crawlmill.text.extractor import markup, raw
from crawlmill.text.extractor.arrays import Bools, Floats, Ints
from crawlmill.text.extractor.choose import choose, sure, without_repeats
from crawlmill.text.extractor.context import context
from crawlmill.text.extractor.features import Analysis, analyse
from crawlmill.text.extractor.render import block_text
from crawlmill.text.extractor.trees import Trees

FILE = "model.npz"
HOPELESS = 0.02  # probability below which not even a page's best block is kept
LEAST_LINKS, SHORT_LINK = (
    200.0,
    20.0,
)  # Latin letters of all kept text and of its longest block below which nothing but links is a menu
SLICE = 8192  # blocks that go through the trees together: bounds memory at about 30 MB


@dataclass(frozen=True, slots=True)
class Model:
    """Two passes of trees; `chosen`: the features of the first that the second sees, too; `mix`: see `choose`; `knots`: expected and real
    F1, for calibration."""

    first: Trees
    second: Trees
    chosen: Ints
    mix: float
    knots: Floats

    def probabilities(self, page: Analysis) -> Floats:
        """Probability of each block that it belongs to the main text, shape (n,); by the first pass alone where that is sure of the page."""
        n = page.blocks.n
        parts = [self.first.probability(page.x[:, at : at + SLICE]) for at in range(0, n, SLICE)]
        first = np.concatenate(parts)
        if sure(first, page.blocks.weight):
            return first
        around = context(page, first)
        parts = [
            self.second.probability(np.concatenate((around[:, at : at + SLICE], page.x[self.chosen, at : at + SLICE])))
            for at in range(0, n, SLICE)
        ]
        return np.concatenate(parts)

    def confidence(self, expected: float) -> float:
        """The mean F1 that pages of this expected F1 had in cross-validation, 0 to 1."""
        return float(np.interp(expected, self.knots[0], self.knots[1]))


@dataclass(frozen=True, slots=True)
class Kept:
    """A page, which of its blocks are main text, and how sure that is, 0 to 1."""

    page: Analysis
    keep: Bools
    confidence: float


@cache
def model() -> Model:
    """The model that the package carries, read once a process."""
    with files(__package__).joinpath(FILE).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return from_arrays(arrays)


def from_arrays(arrays: Any) -> Model:
    """A model from the arrays of its file."""
    return Model(
        Trees.from_arrays(arrays, "first"),
        Trees.from_arrays(arrays, "second"),
        arrays["chosen"].astype(np.int64),
        float(arrays["mix"]),
        arrays["knots"].astype(np.float64),
    )


def to_arrays(model: Model) -> dict[str, Any]:
    """The arrays of a model's file, as small as their values allow."""
    passes = {
        f"{name}_{part}": value
        for name, trees in (("first", model.first), ("second", model.second))
        for part, value in (
            ("feature", trees.feature.astype(np.int16)),
            ("border", trees.border),
            ("leaf", trees.leaf),
            ("bias", trees.bias),
        )
    }
    return {**passes, "chosen": model.chosen.astype(np.int16), "mix": np.float64(model.mix), "knots": model.knots}


def read(body: str, most_blocks: int) -> Analysis | None:
    """A serialised body's blocks with their features; None where it has no text. Raises TooManyBlocks above `most_blocks`."""
    tokens = markup.read(raw.strip(body.encode("utf-8", "replace")))
    found = segmentation.blocks(tokens) if tokens is not None else None
    if tokens is None or found is None:
        return None
    if found.n > most_blocks:
        raise TooManyBlocks(f"{found.n} blocks of text, the limit is {most_blocks}")
    return analyse(tokens, found)


class TooManyBlocks(ValueError):
    """A page has more blocks of text than may be classified."""


def select(page: Analysis, trained: Model | None = None) -> Kept:
    """The main text of a page: none of it where no block has a chance."""
    trained = trained or model()
    probability = trained.probabilities(page)
    keep, expected = choose(probability, page.blocks.weight, trained.mix)
    blocks = page.blocks
    only_links = float((blocks.weight - blocks.linked)[keep].sum()) < 1 and float(blocks.weight[keep].max()) < SHORT_LINK
    if (only_links and float(blocks.weight[keep].sum()) < LEAST_LINKS) or float(probability.max()) < HOPELESS:
        keep = np.zeros(page.blocks.n, bool)
    keep = without_repeats(keep, page.blocks.weight, page.blocks.likeness, partial(block_text, page))
    return Kept(page, keep, trained.confidence(expected))
