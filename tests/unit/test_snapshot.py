"""Snapshot ids, shards and groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlmill.errors import UserError
from crawlmill.lake import snapshot as snapshots

PATHS = st.lists(st.text("abc/0123", min_size=1, max_size=12), unique=True, max_size=60)


@pytest.mark.parametrize(
    "bad", ["x' OR 1=1", "../..", "CC-MAIN-2026-43\n", "CC-MAIN-2026", "cc-main-2026-43", "", "CC-MAIN-２０２６-43"]
)
def test_an_id_that_could_reach_a_predicate_or_a_path_is_refused(bad: str) -> None:
    with pytest.raises(UserError, match="snapshot id"):
        snapshots.parse(bad)


def test_a_real_id_passes() -> None:
    assert snapshots.parse("CC-MAIN-2026-43") == "CC-MAIN-2026-43"


@given(PATHS, st.randoms(use_true_random=False))
def test_shards_do_not_depend_on_the_order_of_the_listing(paths: list[str], random: object) -> None:
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = snapshots.listing("CC-MAIN-2026-43", paths), snapshots.listing("CC-MAIN-2026-43", shuffled)
    assert one == two and one.digest == two.digest
    assert sorted(path for _, path in one.files()) == sorted(paths)


@given(PATHS.filter(bool), st.integers(1, 30))
def test_a_sample_keeps_the_shards_of_the_whole(paths: list[str], sample: int) -> None:
    whole = {path: shard for shard, path in snapshots.listing("CC-MAIN-2026-43", paths).files()}
    some = snapshots.listing("CC-MAIN-2026-43", paths, sample=sample).files()
    assert len(some) == min(sample, len(paths)) and all(whole[path] == shard for shard, path in some)


@given(st.sets(st.integers(0, 899), min_size=1))
def test_shard_ranges_are_read_as_they_are_written(shards: set[int]) -> None:
    assert snapshots.parse_shards(snapshots.format_shards(sorted(shards))) == sorted(shards)


@pytest.mark.parametrize("bad", ["1;2", "a", "0-900", "-1", "1-2-3", "5-2"])
def test_malformed_shards_are_refused(bad: str) -> None:
    with pytest.raises(UserError, match="shards"):
        snapshots.parse_shards(bad)


def test_a_real_crawl_makes_a_thousand_shards_and_a_sample_two() -> None:
    assert [snapshots.shard_count(files) for files in (0, 1, 4, 90_000, 200_000)] == [0, 1, 2, 900, 900]


@given(PATHS.filter(bool), st.integers(1, 20))
def test_groups_cover_every_shard_once(paths: list[str], size: int) -> None:
    listing = snapshots.listing("CC-MAIN-2026-43", paths, setting=7)
    groups = snapshots.groups(listing, size)
    assert sorted(shard for group in groups for shard in group) == sorted(listing.shards)
