"""Fencing: of two attempts at the same shards, only the later may commit."""

from __future__ import annotations

import multiprocessing

import pytest

from crawlmill.errors import Fenced
from crawlmill.lake import fence

SNAPSHOT = "CC-MAIN-2026-43"


def test_the_later_attempt_wins(lake: str) -> None:
    first = fence.draw(lake, "identify", SNAPSHOT, None, "first")
    fence.check(lake, "identify", SNAPSHOT, None, first)
    second = fence.draw(lake, "identify", SNAPSHOT, None, "second")
    fence.check(lake, "identify", SNAPSHOT, None, second)
    with pytest.raises(Fenced, match="run second"):
        fence.check(lake, "identify", SNAPSHOT, None, first)


def test_other_shards_snapshots_and_stages_are_left_alone(lake: str) -> None:
    mine = fence.draw(lake, "extract", SNAPSHOT, [0, 1], "mine")
    fence.draw(lake, "extract", SNAPSHOT, [2, 3], "neighbour")
    fence.draw(lake, "extract", "CC-MAIN-2026-38", None, "older")
    fence.draw(lake, "identify", SNAPSHOT, None, "next stage")
    fence.check(lake, "extract", SNAPSHOT, [0, 1], mine)


@pytest.mark.parametrize("later", [[1], [0, 1, 2], None])
def test_overlapping_shards_are_taken_over(lake: str, later: list[int] | None) -> None:
    mine = fence.draw(lake, "extract", SNAPSHOT, [0, 1], "mine")
    fence.draw(lake, "extract", SNAPSHOT, later, "later")
    with pytest.raises(Fenced):
        fence.check(lake, "extract", SNAPSHOT, [0, 1], mine)


def _draw(lake: str, out: multiprocessing.Queue[int]) -> None:
    for _ in range(20):
        out.put(fence.draw(lake, "gate", SNAPSHOT, None, "racer"))


def test_racing_processes_never_draw_the_same_token(lake: str) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    racers = [context.Process(target=_draw, args=(lake, out)) for _ in range(3)]
    for racer in racers:
        racer.start()
    tokens = [out.get(timeout=60) for _ in range(60)]
    for racer in racers:
        racer.join()
    assert sorted(tokens) == list(range(1, 61))
