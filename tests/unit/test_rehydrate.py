"""Rehydration weights: the formula against FineWeb2's published figures, tails, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.dedup.rehydrate import Distribution, distribution, ranges, weight_of, weights
from crawlmill.errors import UserError

# Published: misc/rehydration of huggingface/fineweb-2, README.md and weights/resulting_ds_sizes.json (figures, Apache-2.0).
ITALIAN_TO_10 = {
    1: 1, 2: 3, 3: 4, 4: 5, 5: 6, 7: 7, 8: 8, 11: 9, 17: 10, 26: 9, 31: 8, 46: 7, 52: 6, 63: 5, 75: 4, 96: 3, 118: 2, 123: 3,
    125: 2, 145: 1,
}  # fmt: skip
DOCUMENTS_AT = {
    ("ita_Latn", 10): 965_462_863, ("ell_Grek", 3): 78_441_649, ("kor_Hang", 3): 104_727_694, ("arb_Arab", 3): 112_025_153,
    ("spa_Latn", 3): 734_000_576, ("tur_Latn", 3): 155_660_680, ("swh_Latn", 3): 2_030_955,
}  # fmt: skip


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, dict[str, Any]]:
    file = shared / "fineweb2" / "rehydration.jsonl"
    file = file if file.is_file() else shared / "data" / "fineweb2" / "rehydration.jsonl"
    if not file.is_file():
        pytest.skip("FineWeb2's published distributions are not among the shared test data")
    return {row["language"]: row["distribution"] for row in map(json.loads, file.read_text().splitlines())}


def of_fineweb2(found: dict[str, Any], most: int) -> tuple[list[int], list[int]]:
    """Sizes and weights by our formula from their removal rates, tail included."""
    rates = [*found["cluster_removal_rates"], found["tail_removal_rate"]]
    return [*found["cluster_sizes"], found["tail_threshold"]], weights(rates, found["global_removal_rate"], most)


def test_the_published_weights_of_italian(published: dict[str, dict[str, Any]]) -> None:
    """As printed in their README, but for two sizes that lie a hair above a half here (4.506 and 2.504) and were rounded down there.

    The number of documents that they publish for the same language, below, is met exactly.
    """
    sizes, repeats = of_fineweb2(published["ita_Latn"], 10)
    differ = {size: (weight, weight_of(size, ITALIAN_TO_10)) for size, weight in zip(sizes, repeats, strict=True)}
    assert {size: both for size, both in differ.items() if both[0] != both[1]} == {75: (5, 4), 122: (3, 2)}


@pytest.mark.parametrize(("language", "most"), DOCUMENTS_AT)
def test_the_published_sizes_of_rehydrated_corpora(published: dict[str, dict[str, Any]], language: str, most: int) -> None:
    found = published[language]
    _, repeats = of_fineweb2(found, most)
    kept = [*found["cluster_post_filtering_doc_counts"], found["tail_post_filtering_doc_counts"]]
    assert sum(n * weight for n, weight in zip(kept, repeats, strict=True)) == DOCUMENTS_AT[language, most]


def test_thai_as_described(published: dict[str, dict[str, Any]]) -> None:
    """The figures that the project's notes give: the best sizes are in the middle, the greatest weigh 1."""
    found = ranges(*of_fineweb2(published["tha_Thai"], 10))
    sizes = (1, 2, 3, 4, 5, 6, 11, 17, 22, 107, 133, 149)
    assert [weight_of(size, found) for size in sizes] == [1, 4, 6, 7, 8, 9, 10, 9, 8, 2, 1, 1]


def test_the_formula_by_hand() -> None:
    assert weights([60, 50, 30, 40], 50, 5) == [1, 1, 5, 3]
    assert weights([0.2, 0.2], 0.2, 10) == [1, 1]
    assert weights([], 0.5, 3) == []
    assert weights([60, 50, 30, 40, 60], 50, 5) == [1, 1, 2, 3, 1]  # the middle is the mean of 1, 1, 5, 3, 1


def test_ranges_and_their_use() -> None:
    found = ranges([1, 2, 3, 4, 7], [1, 4, 4, 2, 1])
    assert found == {1: 1, 2: 4, 4: 2, 7: 1}
    assert [weight_of(size, found) for size in (1, 2, 3, 4, 6, 7, 10_000)] == [1, 4, 4, 2, 2, 1, 1]
    assert weight_of(1, {2: 5}) == 1


def test_sizes_of_few_clusters_are_one_tail() -> None:
    counts = {1: (1_000, 700), 2: (200, 80), 3: (99, 30), 4: (150, 10), 900: (1, 1)}
    assert distribution(counts, least=100) == Distribution((1, 2, 3), (1_000, 200, 250), (700, 80, 41))
    assert distribution(counts, least=1).sizes == (1, 2, 3, 4, 900)
    found = distribution({1: (10, 5)}, least=100)
    assert (found.sizes, found.rates, found.overall) == ((1,), [0.5], 0.5)


def test_nothing_to_weigh_and_impossible_weights() -> None:
    with pytest.raises(UserError, match="no clusters"):
        distribution({})
    with pytest.raises(UserError, match="at least 1 repeat"):
        weights([1.0], 1.0, 0)
    with pytest.raises(UserError, match="odd window"):
        weights([1.0], 1.0, 3, window=4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 12))
def test_weights_stay_in_bounds_and_no_size_at_the_overall_share_is_repeated(shares: list[float], most: int) -> None:
    found = weights(shares, 0.5, most, window=1)
    assert all(1 <= weight <= most for weight in weights(shares, 0.5, most))
    assert all(weight == 1 for weight, share in zip(found, shares, strict=True) if share >= 0.5)
    if min(shares) < 0.5:
        assert found[shares.index(min(shares))] == most
