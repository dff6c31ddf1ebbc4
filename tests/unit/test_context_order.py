"""In-Context Pretraining's order: paths of similar documents, short ones dissolved, copies of a beginning left out."""

from __future__ import annotations

import random

import numpy as np

from crawlmill.text import context_order, embedding, forms

TOPICS, EACH = 10, 44


def planted() -> list[tuple[int, str]]:
    """(topic, text), shuffled: half of the words are the topic's."""
    draw = random.Random(5)
    made = []
    for topic in range(TOPICS):
        for number in range(EACH):
            words = [f"{draw.choice('abcdefgh')}{topic}" if draw.random() < 0.5 else f"w{draw.randrange(300)}" for _ in range(80)]
            made.append((topic, f"{number} {topic} " + " ".join(words)))
    draw.shuffle(made)
    return made


def test_neighbours_in_the_order_are_about_the_same() -> None:
    texts = [text for _, text in planted()]
    found = context_order.ordered(texts, 1)
    order = [at for at, _, _ in found]
    assert sorted(order) == list(range(len(texts))), "a permutation: no two begin alike"
    vectors = embedding.embed(texts, embedding.frequencies(texts))
    near = float((vectors[order[:-1]] * vectors[order[1:]]).sum(axis=1).mean())
    chance = float((vectors[:-1] * vectors[1:]).sum(axis=1).mean())
    assert near > 3 * chance
    paths = [path for _, path, _ in found]
    assert all(place == paths[:at].count(path) for at, (_, path, place) in enumerate(found))
    assert found == context_order.ordered(texts, 1) != context_order.ordered(texts, 2), "the order of the paths is shuffled"


def test_no_path_is_longer_than_21_before_short_ones_are_dissolved() -> None:
    texts = [text for _, text in planted()]
    neighbours = context_order.nearest(embedding.embed(texts, embedding.frequencies(texts)))
    paths = context_order.paths(neighbours)
    assert max(map(len, paths)) == 21 and sorted(at for path in paths for at in path) == list(range(len(texts)))
    whole = context_order.merged(paths, neighbours)
    assert sorted(at for path in whole for at in path) == list(range(len(texts))) and len(whole) < len(paths)


def test_a_short_path_goes_before_its_neighbour() -> None:
    neighbours = np.array([[1], [2], [1], [1]])
    assert context_order.paths(neighbours, 3) == [[0, 1, 2], [3]]
    assert context_order.merged([[0, 1, 2], [3]], neighbours, 3) == [[0, 3, 1, 2]]
    assert context_order.merged([[0, 1], [2, 3]], np.array([[1], [0], [3], [2]]), 3) == [[0, 1], [2, 3]], "nowhere to go"


def test_a_beginning_that_was_just_there_is_left_out() -> None:
    head = "The committee met in the old town hall on Tuesday and heard about the new bridge over the northern canal, "
    rows = [{"id": name, "text": text} for name, text in (("a", head + "first"), ("b", head + "second"), ("c", "other words"))]
    found = list(forms.icp(rows, {}, forms.Tools()))
    assert len(found) == 2 and {row["id"] for row in found} > {"c"}
    assert list(forms.icp([], {}, forms.Tools())) == [] and len(list(forms.icp(rows[:1], {}, forms.Tools()))) == 1
