"""Pairs and eligible copies to survivors: who stands for whom, decided again only where something changed.

A content stays if no pair joins it to one of smaller rank that stays. In rounds, every content of the region looks at how its partners of
smaller rank stand; a partner outside keeps its standing. Where a content of the region turns, its partners of greater rank join the
region. So the work follows what changes, not the size of clusters, and a chain of any length is cut where nothing turns any more.
"""

from __future__ import annotations

from dataclasses import dataclass

from crawlmill.dedup.relations import Relation, Relations
from crawlmill.errors import CriticalFailure

# Twice what the round of the last decision needs: it is O(log n) for a random order (Fischer and Noever, arXiv 1707.05124), and contents of
# one snapshot are in random order, since a hash is. Real graphs need 2 to 5.
ROUNDS = 128
STEPS = 2  # steps a round, before a look at whether anything still turns: a look costs more than a step
GROWTH = 8  # how often a region grows by what touches it before everything is decided anew


@dataclass(frozen=True)
class Decided:
    """What came of it.

    Attributes:
        region: (content) that were decided anew; of the others, those with an eligible copy keep their standing.
        best: (v, u, weight, head_id): the contents of the region that go, what stands for each, how alike they are.
        nodes: (content, r, snapshot, shard, head_id, survivor, survivor_id, similarity, came): present contents of the region and about
            it, and those that changed and were known before; `came` is 1 where the rank is new, survivor to similarity are the old standing.
        others: rows of `clusters` of contents that are in `nodes` without having changed copies.
    """

    region: Relation
    best: Relation
    nodes: Relation
    others: Relation


def ranked(db: Relations, copies: Relation) -> Relation:
    """Copies with flags `was` and `now`, their places in the order of ranks before (`stood`) and now (`stands`), the head now, and
    whether their content has a copy whose row is `held` (`known`)."""

    def by(flag: str) -> str:
        # Not partitioned by the flag, too: then copies would be exchanged for each of the flags.
        return f"OVER (PARTITION BY content ORDER BY {flag} DESC, r, snapshot, id, shard)"

    return db.sql(
        f"SELECT *, CASE WHEN was = 1 THEN row_number() {by('was')} END AS stood, CASE WHEN now = 1 THEN row_number() {by('now')} END AS stands, "
        f"first_value(id) {by('now')} AS head_id, max(held) OVER (PARTITION BY content) AS known FROM {{copies}}",
        copies=copies,
    )


def heads(db: Relations, ranked: Relation) -> Relation:
    """(content, known, r, snapshot, shard, head_id after; was_r, was_snapshot, was_shard, was_id before) of `ranked` copies."""

    def of(place: str, column: str, name: str) -> str:
        return f"max(CASE WHEN {place} = 1 THEN {column} END) AS {name}"

    columns = [("r", "r"), ("snapshot", "snapshot"), ("shard", "shard"), ("id", "head_id")]
    now = [of("stands", column, name) for column, name in columns]
    was = [of("stood", column, f"was_{column}") for column, _ in columns]
    nothing = "CAST(NULL AS BIGINT), CAST(NULL AS STRING), CAST(NULL AS INT), CAST(NULL AS STRING)"
    return db.sql(
        f"SELECT content, 1 AS known, {', '.join(now + was)} FROM {{ranked}} WHERE known = 1 GROUP BY content "
        f"UNION ALL SELECT content, 0, r, snapshot, shard, id, {nothing} FROM {{ranked}} WHERE known = 0 AND stands = 1",
        ranked=ranked,
    )


def everything(db: Relations, found: Relation, pairs: Relation, measure: str, threshold: float) -> Relation:
    """All contents decided, from nothing: (v, u, weight, head_id) of those that go. `found`: content, r, head_id of all."""
    region = db.keep(_either(db, pairs))
    nodes = db.keep(
        db.sql(
            f"SELECT {db.aside(region, 'g')} f.content, f.r, f.head_id, CAST(NULL AS STRING) AS survivor FROM {{found}} f "
            "JOIN {region} g ON f.content = g.content",
            found=found, region=region,
        )
    )  # fmt: skip
    arcs = db.keep(_arcs(db, pairs, region, nodes, measure, threshold))
    return _best(db, arcs, _rounds(db, arcs, _start(db, arcs, region, nodes)))


def again(
    db: Relations,
    found: Relation,
    old: Relation,
    clusters: Relation,
    pairs: Relation,
    turned: Relation,
    measure: str,
    threshold: float,
) -> Decided:
    """What may have changed decided anew.

    Args:
        db: executes the steps.
        found: heads of the contents whose copies changed.
        old: their rows of `clusters`.
        clusters: the table as it was, with `r`.
        pairs: the table as it is now.
        turned: (a, b) of pairs that came or went.
        measure: of the recipe.
        threshold: of the recipe.
    """
    region = db.keep(_region(db, found, pairs, turned))
    hint = db.aside(region, "g")
    concerned = db.sql(  # of new contents only those that are in pairs, all of which are in the region
        f"SELECT {hint} f.* FROM {{found}} f LEFT JOIN {{region}} g ON f.content = g.content WHERE f.known = 1 OR g.content IS NOT NULL",
        found=found, region=region,
    )  # fmt: skip
    changed = _nodes(db, concerned, old)
    for growth in range(GROWTH + 1):
        near = db.keep(_touching(db, pairs, region))
        others = db.keep(_others(db, clusters, near, region, found))
        beside = db.sql("SELECT content, r, snapshot, shard, id, 1 AS was, 1 AS now, 1 AS held FROM {others}", others=others)
        nodes = db.keep(
            db.sql(
                "SELECT * FROM {changed} UNION ALL SELECT * FROM {unchanged}",
                changed=changed, unchanged=_nodes(db, heads(db, ranked(db, beside)), others),
            )
        )  # fmt: skip
        arcs = db.keep(_arcs(db, near, region, nodes, measure, threshold))
        state = _rounds(db, arcs, _start(db, arcs, region, nodes))
        grown = db.keep(_grown(db, near, region, nodes, state))
        if not db.some(grown):
            return Decided(region, _best(db, arcs, state), nodes, others)
        more = _either(db, pairs) if growth + 1 == GROWTH else grown
        region = db.keep(_distinct(db, region, more))
    raise CriticalFailure("dedup: a region that held every pair still grew; please report this")


def _region(db: Relations, found: Relation, pairs: Relation, turned: Relation) -> Relation:
    """Contents to decide: ends of pairs that came or went; contents in pairs whose rank changed, and all their partners."""
    moved = db.sql("SELECT content FROM {found} WHERE r IS DISTINCT FROM was_r", found=found)
    about = _touching(db, pairs, db.keep(moved))
    return _distinct(db, _either(db, turned), _either(db, db.keep(about)))


def _either(db: Relations, pairs: Relation) -> Relation:
    """The contents at either end of pairs."""
    ends = db.sql("SELECT a AS content FROM {pairs} UNION ALL SELECT b FROM {pairs}", pairs=pairs)
    return db.sql("SELECT DISTINCT content FROM {ends}", ends=ends)


def _distinct(db: Relations, left: Relation, right: Relation) -> Relation:
    """The contents of both."""
    both = db.sql("SELECT content FROM {left} UNION ALL SELECT content FROM {right}", left=left, right=right)
    return db.sql("SELECT DISTINCT content FROM {both}", both=both)


def _touching(db: Relations, pairs: Relation, contents: Relation) -> Relation:
    """The pairs that have an end among the contents (each once in `contents`)."""
    hint = db.aside(contents, "x, y")
    return db.sql(
        f"SELECT {hint} p.a, p.b, p.similarity, p.containment_a, p.containment_b FROM {{pairs}} p "
        "LEFT JOIN {contents} x ON p.a = x.content LEFT JOIN {contents} y ON p.b = y.content "
        "WHERE x.content IS NOT NULL OR y.content IS NOT NULL",
        pairs=pairs, contents=contents,
    )  # fmt: skip


def _others(db: Relations, clusters: Relation, near: Relation, region: Relation, found: Relation) -> Relation:
    """Rows of `clusters` of contents in the region or beside it whose copies did not change."""
    both = _distinct(db, _either(db, near), region)
    wanted = db.keep(
        db.sql(
            "SELECT b.content FROM {both} b LEFT JOIN {found} f ON b.content = f.content WHERE f.content IS NULL",
            both=both, found=found,
        )
    )  # fmt: skip
    return rows_of(db, clusters, wanted)


def rows_of(db: Relations, clusters: Relation, wanted: Relation) -> Relation:
    """The rows of `clusters` of contents (each once in `wanted`, which is kept)."""
    return db.sql(
        f"SELECT {db.aside(wanted, 'w')} c.* FROM {{clusters}} c JOIN {{wanted}} w ON c.content = w.content",
        clusters=clusters, wanted=wanted,
    )  # fmt: skip


def _nodes(db: Relations, found: Relation, old: Relation) -> Relation:
    """Present contents with their head and their old standing."""
    standing = db.sql(
        "SELECT content, min(survivor) AS survivor, min(survivor_id) AS survivor_id, min(similarity) AS similarity FROM {old} GROUP BY content",
        old=old,
    )
    return db.sql(
        "SELECT f.content, f.r, f.snapshot, f.shard, f.head_id, o.survivor, o.survivor_id, o.similarity, "
        "CASE WHEN f.r IS DISTINCT FROM f.was_r THEN 1 ELSE 0 END AS came "
        "FROM {found} f LEFT JOIN {standing} o ON f.content = o.content WHERE f.r IS NOT NULL",
        found=found, standing=standing,
    )  # fmt: skip


def _arcs(db: Relations, pairs: Relation, region: Relation, nodes: Relation, measure: str, threshold: float) -> Relation:
    """(v, u, weight, ur, head_id): what content v of the region would go for u, which is of smaller rank."""
    a_goes, b_goes = ("similarity", "similarity") if measure == "jaccard" else ("containment_a", "containment_b")
    links = db.sql(
        f"SELECT a AS v, b AS u, {a_goes} AS weight FROM {{pairs}} UNION ALL SELECT b, a, {b_goes} FROM {{pairs}}", pairs=pairs
    )
    return db.sql(
        "SELECT l.v, l.u, l.weight, u.r AS ur, u.head_id FROM {links} l JOIN {region} g ON l.v = g.content "
        "JOIN {nodes} v ON l.v = v.content JOIN {nodes} u ON l.u = u.content "
        f"WHERE l.weight >= {threshold!r} AND (u.r < v.r OR (u.r = v.r AND l.u < l.v))",
        links=links, region=region, nodes=nodes,
    )  # fmt: skip


def _start(db: Relations, arcs: Relation, region: Relation, nodes: Relation) -> Relation:
    """(content, fixed, stays, turned) of the contents on arcs: 1 where they stand for themselves; fixed if that is settled already."""
    ends = db.sql("SELECT v AS content FROM {arcs} UNION ALL SELECT u FROM {arcs}", arcs=arcs)
    return db.sql(
        "SELECT c.content, CASE WHEN d.v IS NULL THEN 1 ELSE 0 END AS fixed, "
        "CASE WHEN d.v IS NULL AND g.content IS NOT NULL THEN 1 WHEN n.survivor IS NULL OR n.survivor = c.content THEN 1 ELSE 0 END AS stays, "
        "1 AS turned FROM (SELECT DISTINCT content FROM {ends}) c JOIN {nodes} n ON c.content = n.content "
        "LEFT JOIN (SELECT DISTINCT v FROM {arcs}) d ON c.content = d.v LEFT JOIN {region} g ON c.content = g.content",
        ends=ends, arcs=arcs, region=region, nodes=nodes,
    )  # fmt: skip


def _rounds(db: Relations, arcs: Relation, state: Relation) -> Relation:
    """Steps until nothing turns any more. Raises CriticalFailure after `ROUNDS` rounds: never a half-settled result."""
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            state = db.sql(
                "SELECT s.content, s.fixed, CASE WHEN s.fixed = 1 THEN s.stays WHEN h.v IS NULL THEN 1 ELSE 0 END AS stays, "
                "CASE WHEN s.fixed = 0 AND s.stays <> CASE WHEN h.v IS NULL THEN 1 ELSE 0 END THEN 1 ELSE 0 END AS turned "
                "FROM {state} s LEFT JOIN (SELECT DISTINCT a.v FROM {arcs} a JOIN {state} k ON a.u = k.content WHERE k.stays = 1) h "
                "ON s.content = h.v",
                state=state, arcs=arcs,
            )  # fmt: skip
        state = db.keep(state)
        if not db.some(db.sql("SELECT content FROM {state} WHERE turned = 1", state=state)):
            return state
    raise CriticalFailure(
        f"dedup did not settle in {ROUNDS} rounds: contents are chained in the order of their ranks; raise dedup.threshold in the recipe"
    )


def _grown(db: Relations, near: Relation, region: Relation, nodes: Relation, state: Relation) -> Relation:
    """Partners of greater rank, outside the region, of contents of the region that stood before and turned."""
    flipped = db.sql(
        "SELECT n.content, n.r FROM {nodes} n JOIN {region} g ON n.content = g.content LEFT JOIN {state} s ON n.content = s.content "
        "WHERE n.survivor IS NOT NULL AND coalesce(s.stays, 1) <> CASE WHEN n.survivor = n.content THEN 1 ELSE 0 END",
        nodes=nodes, region=region, state=state,
    )  # fmt: skip
    links = db.sql("SELECT a AS v, b AS u FROM {near} UNION ALL SELECT b, a FROM {near}", near=near)
    return db.sql(
        "SELECT DISTINCT n.content FROM {links} l "
        "JOIN {flipped} f ON l.v = f.content JOIN {nodes} n ON l.u = n.content LEFT JOIN {region} g ON n.content = g.content "
        "WHERE g.content IS NULL AND (n.r > f.r OR (n.r = f.r AND n.content > f.content))",
        links=links, flipped=flipped, nodes=nodes, region=region,
    )  # fmt: skip


def _best(db: Relations, arcs: Relation, state: Relation) -> Relation:
    """Of the partners that stay, the one of smallest rank."""
    standing = db.sql(
        "SELECT a.v, a.u, a.weight, a.head_id, row_number() OVER (PARTITION BY a.v ORDER BY a.ur, a.u) AS place "
        "FROM {arcs} a JOIN {state} s ON a.u = s.content WHERE s.stays = 1",
        arcs=arcs, state=state,
    )  # fmt: skip
    return db.sql("SELECT v, u, weight, head_id FROM {standing} WHERE place = 1", standing=standing)
