"""What is done with scores that models elsewhere give: CoLoR-Filter, MATES, AttentionInfluence, PRESENCE, PreSelect, BETR, and BERTIN's sampling.

Plain functions over columns of scores; chance is a hash of the document's id and a seed, so a run again gives the same.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
CHANCE_DIGITS = 13  # hexadecimal ones: what a double holds exactly, so that Spark's sha2 gives the same


GAUSSIAN, WIDTH, STEPWISE = 0.78, 4.5, 1.5e5  # BERTIN's, for Spanish


def chance(id_: str, seed: int) -> float:
    """A number in (0, 1) that depends on the id and the seed alone."""
    digest = hashlib.sha256(f"{seed}\0{id_}".encode("utf-8", "replace")).hexdigest()
    return float((int(digest[:CHANCE_DIGITS], 16) + 0.5) / 16**CHANCE_DIGITS)


def chances(ids: Sequence[str], seed: int) -> Floats:
    """`chance` of each id."""
    return np.array([chance(id_, seed) for id_ in ids], dtype=np.float64)


def _first(scores: Floats, count: int) -> Flags:
    """The `count` greatest; of equal ones the first."""
    kept = np.zeros(len(scores), dtype=bool)
    kept[np.argsort(-scores, kind="stable")[:count]] = True
    return kept


def color(prior: ArrayLike, conditional: ArrayLike, tau: float) -> tuple[Floats, Flags]:
    """CoLoR-Filter (Brandfonbrener et al. 2024): loss under the prior less loss under the conditional model; one document in `tau` is kept.

    With two n-gram models in place of neural ones this is Moore and Lewis's selection.
    """
    score = np.asarray(prior, dtype=np.float64) - np.asarray(conditional, dtype=np.float64)
    return score, _first(score, int(len(score) / tau))


def mates(
    predicted: ArrayLike,
    ids: Sequence[str],
    share: float = 0.2,
    temperature: float = 0.5,
    seed: int = 0,
    taken: Flags | None = None,
) -> Flags:
    """MATES (Yu et al. 2024): a sample of `share` of the documents, those of lowest predicted loss first, by Gumbel noise and top k.

    Args:
        predicted: loss by the influence model, lower is better.
        ids: of the documents, for the noise.
        share: of all documents.
        temperature: 0 takes exactly the best.
        seed: of this round.
        taken: documents of earlier rounds, which are not taken again.

    The authors' code adds the noise before it takes minima, which is another distribution; here it is -loss / temperature + noise, and the greatest.
    """
    key = -np.asarray(predicted, dtype=np.float64)
    if temperature > 0:
        key = key / temperature - np.log(-np.log(chances(ids, seed)))
    free = np.ones(len(key), dtype=bool) if taken is None else ~taken
    return _first(np.where(free, key, -np.inf), min(int(len(key) * share), int(free.sum())))


def attention_influence(
    base: ArrayLike, masked: ArrayLike, domains: Sequence[Hashable], share: float = 0.2
) -> tuple[Floats, Flags]:
    """AttentionInfluence (Hua et al. 2025): how much the loss grows, relatively, without the retrieval heads; the top share of each domain."""
    before = np.asarray(base, dtype=np.float64)
    score = (np.asarray(masked, dtype=np.float64) - before) / before
    kept = np.zeros(len(score), dtype=bool)
    for domain in dict.fromkeys(domains):
        at = np.flatnonzero([other == domain for other in domains])
        kept[at[_first(score[at], int(len(at) * share))]] = True
    return score, kept


def presence(self_influence: ArrayLike, keep: int) -> Flags:
    """PRESENCE's sequential form (Thakkar et al. 2023): all but the documents of highest self-influence, `keep` of them."""
    return _first(-np.asarray(self_influence, dtype=np.float64), keep)


def preselect_teacher(losses: ArrayLike) -> NDArray[np.int64]:
    """PreSelect (Shum et al. 2025): by document, for how many pairs of models the better one has the strictly lower loss.

    `losses` has a row a document and a column a model, the worst model first; 15 is the most with six models.
    """
    table = np.asarray(losses, dtype=np.float64)
    pairs = [(worse, better) for worse in range(table.shape[1]) for better in range(worse + 1, table.shape[1])]
    return np.asarray(np.sum([table[:, better] < table[:, worse] for worse, better in pairs], axis=0, dtype=np.int64))


def preselect_labels(scores: Sequence[int], most: int = 15) -> list[int | None]:
    """1 for the documents of the highest score, 0 for as many of the lowest, None for the rest; of equal ones the first."""
    values = np.asarray(scores)
    labels: list[int | None] = [1 if value == most else None for value in values.tolist()]
    rest = [int(at) for at in np.argsort(values, kind="stable") if labels[at] is None]
    for at in rest[: sum(label == 1 for label in labels)]:
        labels[at] = 0
    return labels


def betr_ranks(similarities: ArrayLike) -> NDArray[np.int64]:
    """BETR (Mizrahi et al. 2025): by document its best rank, from 1, over all benchmark examples (a row of similarities each)."""
    table = np.asarray(similarities, dtype=np.float64)
    order = np.argsort(-table, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, table.shape[1] + 1), table.shape), axis=1)
    return np.asarray(ranks.min(axis=0))


def betr_best(targets: Floats, pool: Floats, block: int = 64) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same from vectors (a row each): by document its best rank, and the example that it has it for. Examples are taken a block at a time."""
    best = np.full(len(pool), len(pool) + 1, dtype=np.int64)
    example = np.zeros(len(pool), dtype=np.int64)
    for start in range(0, len(targets), block):
        order = np.argsort(-(targets[start : start + block] @ pool.T), axis=1, kind="stable")
        for at, row in enumerate(order, start):
            ranks = np.empty(len(pool), dtype=np.int64)
            ranks[row] = np.arange(1, len(pool) + 1)
            better = ranks < best
            best[better], example[better] = ranks[better], at
    return best, example


def betr_labels(ranks: ArrayLike, ids: Sequence[str], share: float = 0.1, seed: int = 0) -> list[int | None]:
    """1 for the top share by best rank, 0 for as many of the others by chance, None for the rest: what a student is trained on."""
    positive = _first(-np.asarray(ranks, dtype=np.float64), max(1, int(len(ids) * share)))
    drawn = np.where(positive, -1.0, chances(ids, seed))
    negative = _first(drawn, min(int(positive.sum()), int((~positive).sum())))
    return [1 if up else 0 if down else None for up, down in zip(positive.tolist(), negative.tolist(), strict=True)]


def bertin_gaussian(perplexity: float, median: float, factor: float = GAUSSIAN, width: float = WIDTH) -> float:
    """BERTIN (de la Rosa et al. 2022): the probability to keep a document, greatest at the language's median perplexity."""
    return factor * math.exp(-(((perplexity - median) / median) ** 2) / width)


def bertin_stepwise(perplexity: float, quartiles: tuple[float, float, float], factor: float = STEPWISE) -> float:
    """BERTIN's other form: a constant over the width of the document's quartile, over ten times the third above it; at most 1.

    Quartiles include their lower end; the authors' comparisons leave the median itself without a value.
    """
    first, second, third = quartiles
    for end, width in ((first, first), (second, second - first), (third, third - second)):
        if perplexity < end:
            return min(1.0, factor / width)
    return min(1.0, factor / (10 * third))
