"""Topics of texts as CLIMB makes them (Diao et al. 2025; settings of NVIDIA-NeMo/Curator's tutorial): clusters, pruned by scores, joined into domains.

k-means on vectors (the column `embedding`, else hashed TF-IDF), clusters with a low mean score dropped, the others joined where Ward's linkage of
their centres is below a distance. What comes of it are rows as `crawlmill load-scores` reads them: a domain's number, 0 for what was dropped.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crawlmill.errors import UserError
from crawlmill.scoring.scorer_labels import vectors
from crawlmill.text import embedding
from crawlmill.text.words import words

WORDS = 4  # that name a cluster
LINKAGE = 1.5  # distance below which centres are joined: the tutorial's, for vectors of length 1
SCORER, VERSION = "climb", "1"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A cluster: its number from 0, what it holds, the words that tell it from the others, mean scores, and its domain (0: dropped)."""

    number: int
    documents: int
    tokens: int
    label: str
    means: Mapping[str, float]
    domain: int


def cluster(
    rows: Sequence[Row], count: int, least: Mapping[str, float], distance: float = LINKAGE
) -> tuple[NDArray[np.int64], list[Cluster]]:
    """The cluster of each row, and all clusters.

    Args:
        rows: with `text`, all or none with `embedding`; scores in `scores` or in columns of their own.
        count: clusters; CLIMB has 1,000.
        least: mean score by name below which a cluster is dropped; rows without that score do not count.
        distance: of Ward's linkage, below which clusters are one domain; 0: each is one.

    Raises:
        UserError: there are no rows, or none has a score that is asked for.
    """
    if not rows:
        raise UserError("there are no texts to cluster: give rows with a `text`")
    (table,) = vectors([rows], "text")
    found, centres = embedding.clusters(table, count)
    counted = [Counter(word.lower() for word in words(str(row["text"])) if len(word) > 2) for row in rows]
    means = _means(rows, found, len(centres), list(least))
    sizes = np.bincount(found, minlength=len(centres))
    kept = [
        bool(sizes[at]) and all(own.get(name, -math.inf) >= limit for name, limit in least.items())
        for at, own in enumerate(means)
    ]
    domains, labels = _domains(centres, kept, distance), _labels(counted, found, len(centres))
    tokens = np.bincount(found, weights=[own.total() for own in counted], minlength=len(centres))
    made = [
        Cluster(at, int(sizes[at]), int(tokens[at]), labels[at], means[at], domains[at])
        for at in range(len(centres))
        if sizes[at]
    ]
    return found, made


def _means(rows: Sequence[Row], found: NDArray[np.int64], count: int, names: Sequence[str]) -> list[dict[str, float]]:
    means: list[dict[str, float]] = [{} for _ in range(count)]
    for name in names:
        values = np.array([_score(row, name) for row in rows])
        known = ~np.isnan(values)
        if not known.any():
            raise UserError(f"no row has a score {name!r}: give rows with a map `scores`, or a column of that name")
        sums = np.bincount(found[known], weights=values[known], minlength=count)
        sizes = np.bincount(found[known], minlength=count)
        for at in np.flatnonzero(sizes).tolist():
            means[at][name] = float(sums[at] / sizes[at])
    return means


def _score(row: Row, name: str) -> float:
    value = dict(row.get("scores") or {}).get(name, row.get(name))
    return float(value) if isinstance(value, int | float) else math.nan


def _domains(centres: NDArray[np.float64], kept: Sequence[bool], distance: float) -> list[int]:
    """The domain of each cluster, numbered from 1 in the order of the clusters; 0 for those that are not kept."""
    at = np.flatnonzero(np.array(kept))
    joined = np.arange(len(at))
    if distance > 0 and len(at) > 1:
        from scipy.cluster.hierarchy import fcluster, linkage

        joined = np.asarray(fcluster(linkage(centres[at], "ward"), distance, "distance"))
    numbers: dict[int, int] = {}
    domains = [0] * len(kept)
    for place, group in zip(at.tolist(), joined.tolist(), strict=True):
        domains[place] = numbers.setdefault(group, len(numbers) + 1)
    return domains


def _labels(counted: Sequence[Counter[str]], found: NDArray[np.int64], count: int) -> list[str]:
    """The words that stand out in each cluster: by count in it, weighed by how rare they are in all texts (class-based TF-IDF)."""
    own = [Counter[str]() for _ in range(count)]
    for words_of, at in zip(counted, found.tolist(), strict=True):
        own[at].update(words_of)
    everywhere = Counter[str]()
    for each in own:
        everywhere.update(each)
    mean = max(1.0, everywhere.total() / max(1, count))

    def best(words_of: Counter[str]) -> str:
        weighed = sorted(words_of, key=lambda word: (-words_of[word] * math.log1p(mean / everywhere[word]), word))
        return ", ".join(weighed[:WORDS])

    return [best(each) for each in own]


def scores(rows: Iterable[Row], found: NDArray[np.int64], made: Iterable[Cluster]) -> Iterable[dict[str, Any]]:
    """A row a document as `crawlmill load-scores` reads it. Raises UserError for a row without an id."""
    known = {each.number: each for each in made}
    for number, (row, at) in enumerate(zip(rows, found.tolist(), strict=True), 1):
        if not row.get("id"):
            raise UserError(f"row {number} has no id: scores are joined by it")
        metadata = {"cluster": str(at), "label": known[at].label}
        yield {"id": row["id"], "scorer": SCORER, "version": VERSION, "value": float(known[at].domain), "metadata": metadata}
