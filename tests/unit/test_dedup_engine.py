"""The incremental engine: after any history the tables are those of the definition; the traps on the way are each a test."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawlmill.dedup import candidates, members, relations, standing
from crawlmill.errors import CriticalFailure
from crawlmill.recipes.recipe import Dedup
from tests.fixtures.histories import SNAPSHOTS, Lake, Page, Store, check_definition, play, random_pages

RULES = st.builds(
    Dedup,
    threshold=st.sampled_from([0.5, 0.7, 0.8]),
    top=st.integers(1, 4),
    order=st.sampled_from(["oldest", "newest", "content"]),
    measure=st.sampled_from(["jaccard", "jaccard", "containment"]),
)
SCOPES = st.sampled_from([("all",), ("deu", "eng")])
much = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@much
@given(RULES, SCOPES, st.randoms(use_true_random=False))
def test_any_history_gives_the_tables_of_the_definition(rules: Dedup, scopes: tuple[str, ...], rnd: random.Random) -> None:
    """Ingest, re-ingest with other content, removal, other verdicts, several at once, attempts that die between their commits."""
    play(rnd, rules, scopes, 7, check_definition)


@pytest.mark.full
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(RULES, SCOPES, st.randoms(use_true_random=False))
def test_very_many_histories(rules: Dedup, scopes: tuple[str, ...], rnd: random.Random) -> None:
    play(rnd, rules, scopes, 9, check_definition)


def enters_further_scopes(lake: dict[str, tuple[Page, ...]], newest: str) -> bool:
    """Whether the newest snapshot has a copy of an older content in a scope where that was not: there it may stand before others."""
    older = {(page.content, page.scope) for snapshot, pages in lake.items() if snapshot != newest for page in pages}
    known = {content for content, _ in older}
    return any(page.content in known and (page.content, page.scope) not in older for page in lake[newest])


@much
@given(st.integers(1, 4), SCOPES, st.randoms(use_true_random=False))
def test_an_append_changes_no_older_row_and_verifies_in_proportion(top: int, scopes: tuple[str, ...], rnd: random.Random) -> None:
    store, lake = Store(Dedup(top=top, threshold=0.7), scoped=len(scopes) > 1), dict[str, tuple[Page, ...]]()
    for snapshot in SNAPSHOTS:
        pairs, clusters = store.pairs, store.clusters
        lake[snapshot] = random_pages(rnd, snapshot, scopes)
        store.settle(lake)
        check_definition(store, lake)
        if not enters_further_scopes(lake, snapshot):
            assert {row[0] for row in store.written} <= {snapshot}
            assert {(gone, new) for *_, gone, new in store.written} <= {(0, 1)}
            assert [row for row in store.clusters if row[0] != snapshot] == clusters
            assert {row[:6] for row in pairs} <= {row[:6] for row in store.pairs}
        contents = {page.content for page in lake[snapshot]}
        assert store.verified <= 4 * top * len(contents) * len(scopes)
        store.settle(lake)
        assert (store.verified, store.written) == (0, [])  # a repeat does nothing


@much
@given(RULES, st.randoms(use_true_random=False))
def test_removal_is_the_inverse_of_ingest(rules: Dedup, rnd: random.Random) -> None:
    lake = {snapshot: random_pages(rnd, snapshot, ("all",)) for snapshot in SNAPSHOTS}
    gone = rnd.choice(SNAPSHOTS)
    store = Store(rules)
    store.settle({snapshot: pages for snapshot, pages in lake.items() if snapshot != gone})
    before = (store.pairs, store.clusters)
    store.settle(lake)
    store.settle({snapshot: pages for snapshot, pages in lake.items() if snapshot != gone})
    assert (store.pairs, store.clusters) == before


@much
@given(RULES, st.randoms(use_true_random=False))
def test_other_verdicts_read_no_sets_and_change_no_pairs(rules: Dedup, rnd: random.Random) -> None:
    lake = {snapshot: random_pages(rnd, snapshot, ("all",)) for snapshot in SNAPSHOTS}
    store = Store(rules)
    store.settle(lake)
    pairs = store.pairs
    for snapshot, pages in lake.items():
        lake[snapshot] = tuple(replace(page, eligible=rnd.random() < 0.6) for page in pages)
    store.settle(lake)
    check_definition(store, lake)
    assert (store.pairs, store.verified) == (pairs, 0)


def page(name: str, first: int, size: int = 8, **more: object) -> Page:
    return Page(name, tuple(range(first, first + size)), **more)  # type: ignore[arg-type]


def kinds(store: Store) -> dict[str, str]:
    return {row[2]: row[6] for row in store.clusters}


def test_trap_1_an_attempt_that_died_between_its_commits_is_made_up_for() -> None:
    """Pairs know of the second snapshot, clusters do not: what the first attempt changed in pairs still reaches clusters."""
    lake: Lake = {SNAPSHOTS[1]: (page("b", 1),)}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    lake[SNAPSHOTS[0]] = (page("a", 0),)
    store.settle(lake, dies_between=True)
    assert len(store.pairs) == 1 and kinds(store) == {"b": "survivor"}
    store.settle(lake)
    assert kinds(store) == {"a": "survivor", "b": "near"}


def test_trap_2_a_content_that_comes_again_keeps_what_stands_for_it() -> None:
    lake: Lake = {SNAPSHOTS[0]: (page("a", 0), page("c", 1))}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    stands = next(row for row in store.clusters if row[6] == "survivor")
    gone = next(own for own in lake[SNAPSHOTS[0]] if own.id != stands[2])
    lake[SNAPSHOTS[3]] = (replace(gone, id="again"),)
    store.settle(lake)
    assert kinds(store)["again"] == "near"
    assert [row[:3] for row in store.written] == [(SNAPSHOTS[3], gone.__class__("again", ()).shard, "again")]
    check_definition(store, lake)


def test_a_copy_that_comes_is_told_the_new_head_of_what_stands_for_it() -> None:
    """In one run the first copy of a survivor goes and a further copy of its near duplicate comes."""
    lake: Lake = {SNAPSHOTS[0]: (page("m", 0), page("z", 0)), SNAPSHOTS[1]: (page("v", 1),)}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    lake |= {SNAPSHOTS[0]: lake[SNAPSHOTS[0]][1:], SNAPSHOTS[3]: (page("v2", 1),)}
    store.settle(lake)
    assert {row[2]: row[5] for row in store.clusters} == {"z": "z", "v": "z", "v2": "z"}
    check_definition(store, lake)


def test_a_copy_that_comes_is_told_how_its_content_stands_now() -> None:
    """In one run what stood for a content goes and a further copy of the content comes."""
    lake: Lake = {SNAPSHOTS[0]: (page("a", 0),), SNAPSHOTS[1]: (page("b", 1),)}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    lake = {SNAPSHOTS[1]: lake[SNAPSHOTS[1]], SNAPSHOTS[3]: (page("b2", 1),)}
    store.settle(lake)
    assert kinds(store) == {"b": "survivor", "b2": "exact"}
    check_definition(store, lake)


def test_trap_3_neighbours_of_a_content_whose_rank_moved_are_decided_again() -> None:
    """The head of `a` moves behind `b`, no pair changes, and `b` stays now."""
    lake: Lake = {SNAPSHOTS[0]: (page("a", 0),), SNAPSHOTS[1]: (page("b", 1),), SNAPSHOTS[3]: (page("a2", 0),)}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    assert kinds(store) == {"a": "survivor", "b": "near", "a2": "exact"}
    pairs = store.pairs
    del lake[SNAPSHOTS[0]]
    store.settle(lake)
    assert store.pairs == pairs and kinds(store) == {"b": "survivor", "a2": "near"}


def test_a_rank_is_that_of_the_first_copy_in_any_scope() -> None:
    """With K = 1 the German copy of 2026-30 makes its content the one that the English bucket is compared with."""
    lake: Lake = {
        SNAPSHOTS[0]: (page("c", 0, scope="deu"),),
        SNAPSHOTS[1]: (page("a", 0, 7, scope="eng"),),
        SNAPSHOTS[3]: (page("c2", 0, scope="eng"),),
    }
    store = Store(Dedup(threshold=0.5, top=1), scoped=True)
    store.settle(lake)
    lake[SNAPSHOTS[2]] = (page("b", 1, 6, scope="eng"),)
    store.settle(lake)
    check_definition(store, lake)


def test_trap_4_rows_that_stay_the_same_are_not_written() -> None:
    """`Store` refuses a row that is written as it was; here only the row that follows another head is."""
    lake: Lake = {SNAPSHOTS[0]: (page("m", 0), page("z", 0), page("far", 40))}
    store = Store(Dedup(threshold=0.7))
    store.settle(lake)
    lake[SNAPSHOTS[0]] = (*lake[SNAPSHOTS[0]][1:],)
    store.settle(lake)
    assert [(row[2], row[-2:]) for row in store.written] == [("m", (1, 0)), ("z", (0, 0))]


def test_a_hot_bucket_costs_its_members_times_the_top() -> None:
    """A template that all share, snapshots in the worst order."""
    costs = {}
    for size in (100, 200):
        store, lake, cost = Store(Dedup(top=4)), dict[str, tuple[Page, ...]](), 0
        for snapshot in (SNAPSHOTS[3], SNAPSHOTS[0], SNAPSHOTS[1]):
            first = 10_000 * SNAPSHOTS.index(snapshot)
            lake[snapshot] = tuple(page(f"{snapshot}/{i}", first + 20 * i, hot=1) for i in range(size))
            store.settle(lake)
            cost += store.verified
        check_definition(store, lake)
        assert cost <= 4 * 3 * size * 3
        costs[size] = cost
    assert costs[200] < 2.5 * costs[100]


def test_what_never_settles_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "ROUNDS", 1)
    monkeypatch.setattr(standing, "STEPS", 1)
    chain: Lake = {SNAPSHOTS[i]: (page(str(i), 2 * i, 12),) for i in range(4)}
    store = Store(Dedup(threshold=0.7))
    with pytest.raises(CriticalFailure, match="did not settle in 1 rounds"):
        store.settle(chain)


def test_a_change_that_runs_along_a_chain_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contents in the order of the chain, the worst rank: taking the first away turns every one of them."""
    windows = [tuple(range(2 * i, 2 * i + 12)) for i in range(24)]
    by_hash = sorted((Page("x", window).content, window) for window in windows)
    for growth in (8, 2):
        monkeypatch.setattr(standing, "GROWTH", growth)
        lake: Lake = {SNAPSHOTS[i]: tuple(Page(f"{i}/{w[0]}", w) for _, w in by_hash if w[0] // 2 % 4 == i) for i in range(4)}
        store = Store(Dedup(threshold=0.7))
        store.settle(lake)
        lake[SNAPSHOTS[0]] = lake[SNAPSHOTS[0]][1:]
        store.settle(lake)
        check_definition(store, lake)


MUTANTS = {
    "pairs that lost their last bucket stay": (candidates, "(bits & ~lost) | gained AS bits", "bits | gained AS bits"),
    "a change of the first K is ignored": (
        candidates,
        "CASE WHEN shifted = 1 OR coalesce(stood <= {top}, FALSE) <> coalesce(stands <= {top}, FALSE) THEN 1 ELSE 0 END",
        "shifted",
    ),
    "a rank is that of the scope": (candidates, "    if not bands.scoped:\n", "    if True:\n"),
    "partners of a content that moved are not decided again": (standing, "_either(db, db.keep(about))", "moved"),
    "a region does not grow": (standing, "if not db.some(grown):", "if True:"),
    "what an interrupted attempt turned is forgotten": (standing, "_either(db, turned)", "moved"),
    "a content that comes again stands for itself": (members, 'keeps = "g.content IS NULL AND n.came = 0"', 'keeps = "1 = 0"'),
    "followers keep the old head": (members, "AND f.head_id <> f.was_id", "AND 1 = 0"),
    "a head is the head still, whatever comes": (members, "WHEN c.r < t.r THEN", "WHEN t.r IS NOT NULL THEN"),
    "who stands does not matter to copies that come": (members, "coalesce(p.survivor, k.survivor)", "k.survivor"),
    "copies that come keep the old head": (
        members,
        "coalesce(p.survivor_id, f.head_id, k.survivor_id)",
        "coalesce(p.survivor_id, k.survivor_id)",
    ),
    "what went is not looked at": (members, "CASE WHEN max(held) = 0 THEN min(r) END", "min(r)"),
    "equal rows are written": (relations, "WHERE o.{keys[0]} IS NULL OR {differ} UNION", "UNION"),
}


@pytest.fixture
def mutant(request: pytest.FixtureRequest) -> Iterator[None]:
    """The engine with one place changed."""
    module, old, new = request.param
    source = Path(str(module.__file__)).read_text()
    assert source.count(old) == 1, "the mutant no longer fits the code"
    rebuild(module, source.replace(old, new))
    yield
    rebuild(module, source)


def rebuild(module: ModuleType, source: str) -> None:
    exec(compile(source, str(module.__file__), "exec"), module.__dict__)
    members.__dict__["differences"] = relations.differences


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS, indirect=True)
def test_every_mutant_is_found(mutant: None) -> None:
    """By one of the traps, or else by a history."""
    with pytest.raises(AssertionError):
        test_a_rank_is_that_of_the_first_copy_in_any_scope()
        test_trap_2_a_content_that_comes_again_keeps_what_stands_for_it()
        test_a_copy_that_comes_is_told_the_new_head_of_what_stands_for_it()
        test_a_copy_that_comes_is_told_how_its_content_stands_now()
        for seed in range(400):
            rnd = random.Random(seed)
            rules = Dedup(
                threshold=rnd.choice((0.5, 0.7)), top=rnd.randint(1, 3), order=rnd.choice(("oldest", "newest", "content"))
            )
            play(rnd, rules, rnd.choice((("all",), ("deu", "eng"))), 6, check_definition)
