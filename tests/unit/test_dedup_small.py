"""The definition of dedup: against an independent model, and what it promises."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import defaultdict
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawlmill.errors import UserError
from crawlmill.recipes.recipe import Dedup, from_mapping
from crawlmill.text.dedup_small import Bucket, Copy, Pair, Placed, dedup_rows, settle
from crawlmill.text.shingle_set import containment, encode, jaccard

# Sliding windows over the integers: cliques, chains, stars, pairs just above and below the threshold.
WINDOWS = [frozenset(range(start, start + size)) for start in range(12) for size in (1, 6, 7, 8)]
FORCED = [(), (), ("hot",), ("warm", "hot")]
DOCUMENT = st.tuples(st.sampled_from(WINDOWS), st.sampled_from(FORCED), st.booleans() | st.just(True))
CORPUS = st.lists(st.lists(DOCUMENT, max_size=7), min_size=1, max_size=4)
OPTIONS = st.builds(
    Dedup,
    threshold=st.sampled_from([0.5, 0.7, 0.8]),
    top=st.integers(1, 4),
    order=st.sampled_from(["oldest", "newest", "content"]),
)
much = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
Corpus = tuple[list[Copy], dict[str, list[Bucket]], dict[str, bytes]]


def corpus(snapshots: list[list[tuple[frozenset[int], tuple[str, ...], bool]]]) -> Corpus:
    """Copies, buckets and sets; contents are made of set and forced buckets, two more buckets of the set alone."""
    copies, buckets, sets = [], {}, {}
    for n, rows in enumerate(snapshots):
        for i, (members, forced, eligible) in enumerate(rows):
            content = xxhash.xxh3_128_hexdigest(repr((sorted(members), forced)).encode())
            copies.append(Copy(f"s{n}", f"{n}/{i}", content, eligible))
            sets[content] = encode(members)
            own = [("all", 0, min(members) // 2), ("all", 1, max(members) // 3)] if len(members) > 1 else []
            buckets[content] = own + [("all", 2 + len(name), 0) for name in forced]
    return copies, buckets, sets


@pytest.fixture(scope="module")
def model(shared: Path) -> ModuleType:
    """The model that the definition was worked out with."""
    path = shared / "prototypes" / "dedup_model.py"
    if not path.is_file():
        pytest.skip("the model of dedup is not on this machine")
    spec = importlib.util.spec_from_file_location("dedup_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dedup_model"] = module
    spec.loader.exec_module(module)
    return module


@much
@given(snapshots=CORPUS, options=OPTIONS, rows=st.sampled_from([1, 2]))
def test_equals_the_model(model: ModuleType, snapshots: list[Any], options: Dedup, rows: int) -> None:
    recipe = model.Recipe(threshold=options.threshold, bands=3, rows=rows, top=options.top, order=options.order)
    documents = [
        model.Doc(f"{n}/{i}", n, members, forced) for n, own in enumerate(snapshots) for i, (members, forced, _) in enumerate(own)
    ]
    expected = model.spec(documents, recipe)
    name = {d.content: f"{d.content:020d}" for d in documents}
    number: dict[Any, int] = {}
    buckets: dict[str, list[Bucket]] = {}
    for d in documents:
        keys = model.band_keys(d.shingles, d.extra, recipe)
        buckets[name[d.content]] = [("all", number.setdefault(key, len(number)), 0) for key in keys]
    copies = [Copy(f"s{d.snapshot}", d.id, name[d.content]) for d in documents]
    pairs, clusters = settle(copies, buckets, {name[d.content]: encode(d.shingles) for d in documents}, options)
    assert {both: (pair.similarity, pair.bits) for both, pair in pairs.items()} == {
        ("all", name[u], name[v]): (similarity, sum(1 << number[key] for key in keys))
        for (u, v), (similarity, keys) in expected["pairs"].items()
    }
    assert {copy.id: (placed.survivor_id, placed.kind) for copy, placed in clusters.items()} == expected["clusters"]


@much
@given(CORPUS, OPTIONS)
def test_what_goes_is_verified_against_what_stays(snapshots: list[Any], options: Dedup) -> None:
    copies, buckets, sets = corpus(snapshots)
    pairs, clusters = settle(copies, buckets, sets, options)
    by_id = {copy.id: copy for copy in copies}
    assert set(clusters) == {copy for copy in copies if copy.eligible}
    for copy, placed in clusters.items():
        stays = by_id[placed.survivor_id]
        assert stays.eligible
        assert clusters[stays] == Placed(stays.content, stays.content, stays.id, "survivor", 1.0)
        assert (placed.kind == "survivor") == (copy == stays)
        if placed.kind == "near":
            assert placed.similarity == jaccard(sets[copy.content], sets[stays.content]) >= options.threshold
        else:
            assert (copy.content, placed.similarity) == (stays.content, 1.0)
    kept = [placed.content for placed in clusters.values() if placed.kind == "survivor"]
    assert len(kept) == len(set(kept))
    assert not any(a in kept and b in kept for _, a, b in pairs)


@much
@given(CORPUS, OPTIONS, st.randoms(use_true_random=False))
def test_pairs_know_nothing_of_the_gate_and_nothing_of_order(snapshots: list[Any], options: Dedup, rnd: random.Random) -> None:
    copies, buckets, sets = corpus(snapshots)
    found = settle(copies, buckets, sets, options)
    shuffled = rnd.sample(copies, len(copies))
    assert settle(shuffled, buckets, sets, options) == found
    open_gate = [Copy(copy.snapshot, copy.id, copy.content) for copy in copies]
    assert settle(open_gate, buckets, sets, options)[0] == found[0]


@much
@given(CORPUS, OPTIONS)
def test_survivors_are_the_greedy_choice_in_the_order_of_eligible_heads(snapshots: list[Any], options: Dedup) -> None:
    """Independent of the code: walk through the eligible documents by rank, keep what has no kept partner."""
    copies, buckets, sets = corpus(snapshots)
    pairs, clusters = settle(copies, buckets, sets, options)
    partners: dict[str, set[str]] = defaultdict(set)
    for _, a, b in pairs:
        partners[a].add(b)
        partners[b].add(a)
    sign = {"oldest": 1, "newest": -1, "content": 0}[options.order]
    kept: list[str] = []
    for copy in sorted(
        (c for c in copies if c.eligible), key=lambda c: (sign * int(c.snapshot[1:]), c.content, c.snapshot, c.id)
    ):
        standing = [content for content in kept if content in partners[copy.content]]
        if copy.content not in kept and not standing:
            kept.append(copy.content)
        expected = copy.content if copy.content in kept else standing[0]
        assert clusters[copy].survivor == expected


def chain(length: int) -> list[frozenset[int]]:
    """Neighbours have a Jaccard index of .8, second neighbours of .64."""
    return [frozenset(range(9 * i, 9 * i + 81)) for i in range(length)]


def test_a_chain_keeps_every_second_document() -> None:
    copies = [Copy("s", str(i), f"{i:032x}") for i in range(6)]
    sets = {f"{i:032x}": encode(members) for i, members in enumerate(chain(6))}
    _, clusters = settle(copies, dict.fromkeys(sets, [("all", 0, 0)]), sets, Dedup())
    assert [clusters[copy].kind for copy in copies] == ["survivor", "near"] * 3
    assert [clusters[copy].survivor_id for copy in copies] == ["0", "0", "2", "2", "4", "4"]


def test_a_partner_decided_late_can_represent() -> None:
    """d is near b and c; b goes for a, so d stays only if c does not: c stays (its partner b goes) and represents d."""
    graph = {"a": {1, 2, 3, 4}, "b": {1, 2, 3, 4, 5}, "c": {1, 2, 3, 4, 5, 6}, "d": {2, 3, 4, 5, 6, 7}}
    name = {letter: letter * 32 for letter in graph}
    sets = {name[letter]: encode(members) for letter, members in graph.items()}
    copies = [Copy("s", letter, name[letter]) for letter in graph]
    _, clusters = settle(copies, dict.fromkeys(sets, [("all", 0, 0)]), sets, Dedup(threshold=0.7))
    assert [(copy.id, clusters[copy].survivor_id) for copy in copies] == [("a", "a"), ("b", "a"), ("c", "c"), ("d", "c")]


def test_a_hot_bucket_is_linear() -> None:
    for size in (50, 100):
        sets = {f"{i:032x}": encode({0, 1, 2, 3, i + 4}) for i in range(size)}
        copies = [Copy("s", str(i), content) for i, content in enumerate(sets)]
        pairs, _ = settle(copies, dict.fromkeys(sets, [("all", 3, 9)]), sets, Dedup(threshold=0.1, top=4))
        assert len(pairs) == sum(size - 1 - i for i in range(4))
        assert {pair.bits for pair in pairs.values()} == {8}


TEXT = " ".join(f"word{i}" for i in range(200))
NEAR = TEXT.replace("word100 ", "")


def rows_of(*rows: tuple[str, str, str, bool]) -> list[dict[str, Any]]:
    return [{"snapshot": snapshot, "id": own, "text": text, "eligible": eligible} for snapshot, own, text, eligible in rows]


def verdicts(rows: list[dict[str, Any]], **dedup: Any) -> dict[str, tuple[str | None, str | None]]:
    return {row["id"]: (row["cluster"], row["duplicate_of"]) for row in dedup_rows(rows, from_mapping({"dedup": dedup}))}


@pytest.mark.parametrize("newer", [TEXT, NEAR])
def test_an_ineligible_older_copy_takes_nothing_with_it(newer: str) -> None:
    rows = rows_of(("2026-38", "old", TEXT, False), ("2026-43", "new", newer, True))
    assert verdicts(rows) == {"old": (None, None), "new": ("new", None)}
    rows[0]["eligible"] = True
    assert verdicts(rows) == {"old": ("old", None), "new": ("old", "old")}
    assert verdicts(rows, order="newest") == {"old": ("new", "new"), "new": ("new", None)}


def test_snapshots_may_arrive_in_any_order() -> None:
    rows = rows_of(
        ("2026-30", "a", NEAR, True),
        ("2026-38", "b", TEXT, True),
        ("2026-43", "c", TEXT, True),
        ("2026-43", "d", "else " * 9, True),
    )
    expected = {"a": ("a", None), "b": ("a", "a"), "c": ("a", "a"), "d": ("d", None)}
    assert all(verdicts(list(order)) == expected for order in permutations(rows))


def test_copies_within_a_snapshot_are_represented_by_the_least_id() -> None:
    found = list(
        dedup_rows([{"id": own, "text": TEXT + mark} for own, mark in (("z", "!"), ("b", ""), ("q", "?"))], from_mapping({}))
    )
    assert [(row["id"], row["duplicate_of"], row["similarity"]) for row in found] == [
        ("z", "b", 1.0),
        ("b", None, 1.0),
        ("q", "b", 1.0),
    ]


def test_rows_are_told_apart_by_id_or_url_or_number() -> None:
    assert [row["cluster"] for row in dedup_rows([{"url": "u", "text": "a"}, {"text": "b"}], from_mapping({}))] == [
        "u",
        "000000000001",
    ]
    with pytest.raises(UserError, match="row 2 has the id 'u' of a row before it"):
        list(dedup_rows([{"url": "u", "text": "a"}, {"id": "u", "text": "b"}], from_mapping({})))
    with pytest.raises(UserError, match="row 2 has no `text`"):
        list(dedup_rows([{"text": "a"}, {"content": "b"}], from_mapping({})))
    assert list(dedup_rows([], from_mapping({}))) == []


def test_languages_are_scopes_if_the_recipe_says_so() -> None:
    rows = [{"id": "a", "text": TEXT, "language": "eng"}, {"id": "b", "text": NEAR, "language": "deu"}]
    assert sum(row["duplicate_of"] is None for row in dedup_rows(rows, from_mapping({}))) == 1
    assert sum(row["duplicate_of"] is None for row in dedup_rows(rows, from_mapping({"sketch": {"scope": "language"}}))) == 2


def test_short_and_empty_rows_stay() -> None:
    rows = [{"id": str(i), "text": text} for i, text in enumerate(["", "!", "ok", "ok then", "OK"])]
    assert [row["duplicate_of"] for row in dedup_rows(rows, from_mapping({}))] == [None, None, None, None, "2"]


def test_pairs_carry_containment() -> None:
    sets = {"a" * 32: encode(range(10)), "b" * 32: encode(range(8))}
    copies = [Copy("s", content[0], content) for content in sets]
    pairs, _ = settle(
        copies, {"a" * 32: [("x", 1, 7), ("y", 2, 7)], "b" * 32: [("x", 1, 7), ("y", 2, 7)]}, sets, Dedup(threshold=0.8)
    )
    pair = Pair(0.8, 0.8, 1.0, 0)
    assert pairs == {(scope, "a" * 32, "b" * 32): replace(pair, bits=1 << band) for scope, band in (("x", 1), ("y", 2))}


@much
@given(CORPUS, OPTIONS)
def test_by_containment_what_goes_lies_in_what_stays(snapshots: list[Any], options: Dedup) -> None:
    options = options.model_copy(update={"measure": "containment"})
    copies, buckets, sets = corpus(snapshots)
    pairs, clusters = settle(copies, buckets, sets, options)
    assert {max(pair.containment_a, pair.containment_b) >= options.threshold for pair in pairs.values()} <= {True}
    for placed in clusters.values():
        if placed.kind == "near":
            assert placed.similarity == containment(sets[placed.content], sets[placed.survivor]) >= options.threshold


def test_a_long_page_does_not_go_for_the_short_one_that_it_holds() -> None:
    sets = {"a" * 32: encode(range(10)), "b" * 32: encode(range(100))}
    copies = [Copy("s", content[0], content) for content in sets]
    for first, kinds in (("a", {"a": "survivor", "b": "survivor"}), ("b", {"a": "near", "b": "survivor"})):
        ranked = [replace(copy, snapshot="r") if copy.id == first else copy for copy in copies]
        _, clusters = settle(ranked, dict.fromkeys(sets, [("all", 0, 0)]), sets, Dedup(measure="containment"))
        assert {copy.id: placed.kind for copy, placed in clusters.items()} == kinds


def test_real_near_duplicates(shared: Path) -> None:
    """The ten known copies of plagiarism-2500 go, nothing else does."""
    import gzip
    import json

    folder = shared / "data" / "neardup"
    if not folder.is_dir():
        pytest.skip("the near-duplicate data is not on this machine")
    with gzip.open(folder / "plagiarism-2500.docs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    pairs = [json.loads(line) for line in (folder / "plagiarism-2500.pairs.jsonl").read_text().splitlines()]
    known = {frozenset((pair["a"], pair["b"])) for pair in pairs if pair["jaccard_w5"] >= 0.8}
    gone = {frozenset((row["id"], row["duplicate_of"])) for row in dedup_rows(rows, from_mapping({})) if row["duplicate_of"]}
    assert gone == known
