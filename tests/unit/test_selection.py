"""Golden values of the published methods: buckets, thresholds, sampling, and selection by scores that models elsewhere give."""

from __future__ import annotations

import numpy as np
import pytest

from crawlmill.errors import UserError
from crawlmill.text import buckets, selection

HUNDRED = [n / 100 for n in range(1, 101)]


def test_nemotron_buckets() -> None:
    cuts = buckets.percentiles(HUNDRED)
    assert cuts == pytest.approx([n / 100 for n in range(5, 100, 5)])
    assert buckets.bucket([0.04, 0.05, 0.50, 0.94, 0.95, 0, 1], cuts).tolist() == [0, 1, 10, 18, 19, 0, 19]
    heavy = buckets.percentiles(HUNDRED, [2 if score <= 0.5 else 1 for score in HUNDRED])
    assert all(new <= old for new, old in zip(heavy, cuts, strict=True)) and heavy != cuts
    assert buckets.greatest([[3, None, None], [7, 2, None]]) == [7, 2, None]


def test_thresholds_by_documents_tokens_and_characters() -> None:
    assert buckets.top_share(HUNDRED, 0.1) == 0.91
    scores, characters = [0.9, 0.8, 0.7, 0.1], [5, 10, 100, 85]
    assert buckets.top_share(scores, 0.1, characters) == 0.7  # 15 of 200 are too few
    assert buckets.top_share(scores, 0.075, characters) == 0.8
    assert buckets.top_share(scores, 1.0, characters) == 0.1
    for wrong in ([], [float("nan")]):
        with pytest.raises(UserError, match="no scores"):
            buckets.top_share(wrong, 0.1)
    with pytest.raises(UserError, match="a share of 0"):
        buckets.top_share([1.0], 0)


def test_bertin_gaussian() -> None:
    expected = {0: 0.6246, 0.5: 0.7378, 1: 0.7800, 1.5: 0.7378, 2: 0.6246, 3: 0.3207, 5: 0.0223}
    for ratio, probability in expected.items():
        assert selection.bertin_gaussian(ratio * 662247.5, 662247.5) == pytest.approx(probability, abs=5e-5)


def test_bertin_stepwise() -> None:
    spanish = (536394.99, 662247.50, 919250.87)
    assert selection.bertin_stepwise(1000, spanish) == pytest.approx(0.2796, abs=5e-5)
    assert selection.bertin_stepwise(2e6, spanish) == pytest.approx(0.0163, abs=5e-5)
    assert selection.bertin_stepwise(spanish[1], spanish) == pytest.approx(1.5e5 / (spanish[2] - spanish[1]))


def test_sampling_keeps_what_its_probabilities_say_and_the_same_again() -> None:
    ids = [f"<urn:uuid:{n}>" for n in range(100_000)]
    drawn = selection.chances(ids, 7)
    spread = np.random.default_rng(1).lognormal(0, 0.6, len(ids))
    probabilities = np.array([selection.bertin_gaussian(value, 1.0) for value in spread])
    assert abs((drawn < probabilities).mean() - probabilities.mean()) < 0.005
    assert selection.chance(ids[5], 7) == drawn[5] != selection.chance(ids[5], 8)


def test_color_filter() -> None:
    score, kept = selection.color([3, 2, 4], [2, 1.9, 2], tau=3)
    assert score == pytest.approx([1, 0.1, 2]) and kept.tolist() == [False, False, True]


def test_mates() -> None:
    losses, ids = np.linspace(0, 1, 20), [str(n) for n in range(20)]
    assert np.flatnonzero(selection.mates(losses, ids, temperature=0)).tolist() == [0, 1, 2, 3]
    often = np.sum([selection.mates(losses, ids, seed=seed) for seed in range(2000)], axis=0)
    smooth = often.reshape(5, 4).sum(axis=1)
    assert (np.diff(smooth) < 0).all() and often.sum() == 2000 * 4
    taken = selection.mates(losses, ids, seed=1)
    again = selection.mates(losses, ids, seed=2, taken=taken)
    assert again.sum() == 4 and not (again & taken).any()


def test_attention_influence_compares_within_a_domain() -> None:
    score, kept = selection.attention_influence([2.0] * 10, [2.5, *[2.1] * 4, 9, 9, 9, 9, 10], ["a"] * 5 + ["b"] * 5)
    assert score[0] == 0.25 and np.flatnonzero(kept).tolist() == [0, 9]


def test_presence_drops_the_highest() -> None:
    assert selection.presence([5, 1, 9, 3], keep=2).tolist() == [False, True, False, True]


def test_preselect_teacher() -> None:
    falling, rising = [6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]
    assert selection.preselect_teacher([falling, rising, [1] * 6, [6, 5, 4, 3, 2, 2]]).tolist() == [15, 0, 0, 14]
    assert selection.preselect_labels([15, 0, 7, 15, 3, 9]) == [1, 0, None, 1, 0, None]


def test_betr() -> None:
    assert selection.betr_ranks([[0.9, 0.1, 0.2], [0.3, 0.8, 0.1]]).tolist() == [1, 1, 2]
    assert selection.betr_ranks([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2], [0.3, 0.8, 0.1]]).tolist() == [1, 1, 2]
    targets, pool = np.random.default_rng(4).normal(size=(2, 70, 8))
    best, example = selection.betr_best(targets, pool)
    assert best.tolist() == selection.betr_ranks(targets @ pool.T).tolist()
    order = np.argsort(-(targets @ pool.T), axis=1, kind="stable")
    assert all(order[example[at], best[at] - 1] == at for at in range(70))
    labels = selection.betr_labels(range(100), [str(n) for n in range(100)])
    assert (
        labels[:10] == [1] * 10
        and labels.count(0) == 10
        and labels == selection.betr_labels(range(100), [str(n) for n in range(100)])
    )
