"""Vectors by hashed TF-IDF and a random projection, BETR's labels by them, and clusters."""

from __future__ import annotations

import numpy as np

from crawlmill.text import embedding, selection
from tests.unit.test_scorers import planted


def test_vectors_keep_the_angles() -> None:
    texts = [planted(n % 2 == 0, n) for n in range(60)]
    weights = embedding.frequencies(texts)
    vectors = embedding.embed(texts, weights)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (vectors == embedding.embed(texts, weights)).all() and (embedding.embed(texts[5:6], weights)[0] == vectors[5]).all()
    assert abs(embedding.embed(["alpha beta", "gamma delta"], weights)[0] @ embedding.embed(["gamma delta"], weights)[0]) < 0.3
    assert not embedding.embed([""], weights).any()


def test_betr_finds_what_is_like_the_targets() -> None:
    texts = [planted(n < 30, n) for n in range(300)]
    weights = embedding.frequencies(texts)
    targets = embedding.embed([planted(True, 1000 + n) for n in range(10)], weights)
    ranks = selection.betr_ranks(targets @ embedding.embed(texts, weights).T)
    labels = selection.betr_labels(ranks, [str(n) for n in range(300)])
    chosen = [n for n, label in enumerate(labels) if label == 1]
    assert len(chosen) == 30 == labels.count(0) and sum(n < 30 for n in chosen) >= 27


def test_three_planted_clusters() -> None:
    draw = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], 40)
    vectors = np.array([[5.0, 0, 0], [0, 5, 0], [0, 0, 5]])[truth] + draw.normal(0, 0.3, (120, 3))
    found, centres = embedding.clusters(vectors, 3)
    assert len({(a, b) for a, b in zip(truth.tolist(), found.tolist(), strict=True)}) == 3 == len(centres)
