"""In-Context Pretraining (Shi et al. 2024): an order of documents in which neighbours are about the same, path by path."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crawlmill.text import embedding

NEIGHBOURS, LONGEST = 9, 21  # of which the first that is free is taken; documents of a path
HEAD, GRAM, SIMILAR = (
    100,
    3,
    0.85,
)  # characters compared with those of the document before, their n-grams, Jaccard from which it is dropped
_BLOCK = 1024


def nearest(vectors: NDArray[np.float64], count: int = NEIGHBOURS) -> NDArray[np.int64]:
    """By document its most similar others, best first (of equal ones the first), exactly: a block of products at a time."""
    count = min(count, len(vectors) - 1)
    found = np.zeros((len(vectors), max(count, 0)), dtype=np.int64)
    for start in range(0, len(vectors) if count > 0 else 0, _BLOCK):
        products = vectors[start : start + _BLOCK] @ vectors.T
        products[np.arange(len(products)), start + np.arange(len(products))] = -np.inf
        found[start : start + _BLOCK] = np.argsort(-products, axis=1, kind="stable")[:, :count]
    return found


def paths(neighbours: NDArray[np.int64], longest: int = LONGEST) -> list[list[int]]:
    """Paths that go from a document to the first of its neighbours that is on none, each at most so long; the next begins at the first that is left."""
    seen = np.zeros(len(neighbours), dtype=bool)
    found: list[list[int]] = []
    for start in range(len(neighbours)):
        if seen[start]:
            continue
        path, here = [], start
        while True:
            seen[here] = True
            path.append(here)
            free = next((int(other) for other in neighbours[here] if not seen[other]), None)
            if free is None or len(path) >= longest:
                break
            here = free
        found.append(path)
    return found


def merged(found: Sequence[Sequence[int]], neighbours: NDArray[np.int64], longest: int = LONGEST) -> list[list[int]]:
    """The same with shorter paths dissolved: each of their documents goes before the first of its neighbours that is on another path.

    A document without such a neighbour stays where it is; the authors' code fails there.
    """
    lists = [list(path) for path in found]
    at = {document: number for number, path in enumerate(lists) for document in path}
    for number in range(len(lists)):
        if len(lists[number]) >= longest:
            continue
        for document in list(lists[number]):  # those that came from paths before, too
            target = next((int(other) for other in neighbours[document] if at[int(other)] != number), None)
            if target is not None:
                lists[number].remove(document)
                at[document] = at[target]
                lists[at[target]].insert(lists[at[target]].index(target), document)
    return [path for path in lists if path]


def ordered(texts: Sequence[str], seed: int) -> list[tuple[int, int, int]]:
    """(document, path, place in it) in the order of writing: paths shuffled, so that what is beside a context is something else.

    A document whose beginning is nearly that of the one before is left out. Vectors are hashed TF-IDF over these texts.
    """
    neighbours = nearest(embedding.embed(texts, embedding.frequencies(texts)))
    lists = merged(paths(neighbours), neighbours)
    random.Random(seed).shuffle(lists)  # noqa: S311 no secret
    found: list[tuple[int, int, int]] = []
    for number, path in enumerate(lists):
        place = 0
        for document in path:
            if found and _alike(texts[document], texts[found[-1][0]]):
                continue
            found.append((document, number, place))
            place += 1
    return found


def _alike(one: str, other: str) -> bool:
    grams = [{text[at : at + GRAM] for at in range(min(len(text), HEAD) - GRAM + 1)} for text in (one, other)]
    both = len(grams[0] | grams[1])
    return both > 0 and len(grams[0] & grams[1]) / both > SIMILAR
