"""Survivors to rows: which rows of the table `clusters` a change of copies and of survivors changes."""

from __future__ import annotations

from dataclasses import dataclass

from crawlmill.dedup import standing
from crawlmill.dedup.relations import Relation, Relations, differences
from crawlmill.dedup.standing import Decided

ROW = "snapshot, shard, id, content, survivor, survivor_id, kind, similarity"


@dataclass(frozen=True)
class Before:
    """What was settled before, and what has changed since.

    Attributes:
        clusters: the table, with `r`.
        part: its rows of the snapshots of which signatures or verdicts changed.
        turned: (a, b) of pairs that came or went.
    """

    clusters: Relation
    part: Relation
    turned: Relation


def settle(db: Relations, fresh: Relation, pairs: Relation, before: Before | None, measure: str, threshold: float) -> Relation:
    """Rows of `clusters` to insert (`_new`), to delete (`_gone`) and to update, each in the state that it comes to.

    Args:
        db: executes the steps.
        fresh: eligible copies (snapshot, shard, id, content, r) of the snapshots that changed; of all where there was nothing before.
        pairs: the table as it is now.
        before: None where there was nothing.
        measure: of the recipe.
        threshold: of the recipe.
    """
    if before is None:
        return _first(db, fresh, db.keep(pairs), measure, threshold)
    shifted = db.keep(_shifted(db, before.part, fresh))
    met = db.keep(_met(db, before.clusters, shifted))
    behind = db.keep(db.sql("SELECT * FROM {met} WHERE stays = 1", met=met))
    hint = db.aside(behind, "k")
    turning = db.keep(
        db.sql(
            f"SELECT {hint} s.* FROM {{shifted}} s LEFT JOIN {{behind}} k ON s.content = k.content WHERE k.content IS NULL",
            shifted=shifted, behind=behind,
        )
    )  # fmt: skip
    old = db.keep(_held(db, before.clusters, met, behind))
    ranked = db.keep(standing.ranked(db, _copies(db, old, turning)))
    found = db.keep(standing.heads(db, ranked))
    decided = standing.again(db, found, old, before.clusters, pairs, before.turned, measure, threshold)
    again = db.sql(
        "SELECT o.* FROM {others} o JOIN {region} g ON o.content = g.content", others=decided.others, region=decided.region
    )
    copies = db.sql(
        "SELECT snapshot, shard, id, content FROM {ranked} WHERE now = 1 AND known = 1 "
        "UNION ALL SELECT snapshot, shard, id, content FROM {again}",
        ranked=ranked, again=again,
    )  # fmt: skip
    known_before = db.keep(db.sql("SELECT * FROM {found} WHERE known = 1", found=found))
    placed = db.keep(_placed(db, decided, known_before))
    known = db.sql(f"SELECT {ROW} FROM {{old}} UNION ALL SELECT {ROW} FROM {{again}}", old=old, again=again)
    changed = differences(db, db.keep(known), db.keep(_rows(db, copies, placed)), ("snapshot", "shard", "id"), ROW.split(", "))
    fresh = db.sql("SELECT *, stands AS place FROM {ranked} WHERE known = 0", ranked=ranked)
    return db.sql(
        f"SELECT * FROM {{changed}} UNION ALL SELECT {ROW}, 0, 0 FROM {{followers}} UNION ALL SELECT * FROM {{fresh}} "
        "UNION ALL SELECT * FROM {more}",
        changed=changed, followers=_followers(db, before.clusters, known_before, old, decided.region),
        fresh=_new(db, fresh, db.keep(decided.best)), more=_more(db, shifted, behind, hint, placed, known_before),
    )  # fmt: skip


def _first(db: Relations, fresh: Relation, pairs: Relation, measure: str, threshold: float) -> Relation:
    """All rows, where there were none: every copy is exchanged once, to meet its head."""
    order = "OVER (PARTITION BY content ORDER BY r, snapshot, id, shard)"
    copies = db.keep(
        db.sql(
            f"SELECT snapshot, shard, id, content, r, row_number() {order} AS place, first_value(id) {order} AS head_id FROM {{fresh}}",
            fresh=fresh,
        )
    )
    found = db.sql("SELECT content, r, head_id FROM {copies} WHERE place = 1", copies=copies)
    return _new(db, copies, db.keep(standing.everything(db, found, pairs, measure, threshold)))


def _new(db: Relations, copies: Relation, best: Relation) -> Relation:
    """Rows of contents of which there was none: copies with their place in the order of ranks and the head of their content."""
    return db.sql(
        f"SELECT {db.aside(best, 'b')} c.snapshot, c.shard, c.id, c.content, coalesce(b.u, c.content) AS survivor, "
        "coalesce(b.head_id, c.head_id) AS survivor_id, "
        "CASE WHEN b.v IS NOT NULL THEN 'near' WHEN c.place = 1 THEN 'survivor' ELSE 'exact' END AS kind, "
        "coalesce(b.weight, CAST(1 AS DOUBLE)) AS similarity, 0 AS _gone, 1 AS _new "
        "FROM {copies} c LEFT JOIN {best} b ON c.content = b.v",
        copies=copies, best=best,
    )  # fmt: skip


def _shifted(db: Relations, part: Relation, fresh: Relation) -> Relation:
    """(snapshot, shard, id, content, r, side, held): copies that came (1) and that went (-1); `held` is 1 where the table has a row
    of the document, perhaps with another content."""
    columns = "snapshot, shard, id, content, r"
    sides = db.sql(
        f"SELECT {columns}, -1 AS side FROM {{part}} UNION ALL SELECT {columns}, 1 FROM {{fresh}}", part=part, fresh=fresh
    )
    turned = db.keep(
        db.sql(f"SELECT {columns}, sum(side) AS side FROM {{sides}} GROUP BY {columns} HAVING sum(side) <> 0", sides=sides)
    )
    gone = db.keep(db.sql("SELECT DISTINCT snapshot, shard, id FROM {turned} WHERE side = -1", turned=turned))
    return db.sql(
        f"SELECT {db.aside(gone, 'g')} c.*, CASE WHEN g.id IS NOT NULL THEN 1 ELSE 0 END AS held FROM {{turned}} c "
        "LEFT JOIN {gone} g ON c.snapshot = g.snapshot AND c.shard = g.shard AND c.id = g.id",
        turned=turned, gone=gone,
    )  # fmt: skip


def _met(db: Relations, clusters: Relation, shifted: Relation) -> Relation:
    """(content, survivor, survivor_id, similarity, stays) of known contents of which a copy came or went.

    `stays` is 1 where copies only came, all of greater rank than an old one: the head stays, too, so one old row says everything of
    the content. In an append these are all contents that were known. Another may be listed more than once.
    """
    touched = db.keep(
        db.sql("SELECT content, CASE WHEN max(held) = 0 THEN min(r) END AS r FROM {shifted} GROUP BY content", shifted=shifted)
    )
    return db.sql(
        f"SELECT {db.aside(touched, 't')} DISTINCT c.content, c.survivor, c.survivor_id, c.similarity, "
        "CASE WHEN c.r < t.r THEN 1 ELSE 0 END AS stays FROM {clusters} c JOIN {touched} t ON c.content = t.content WHERE c.kind <> 'exact'",
        clusters=clusters, touched=touched,
    )  # fmt: skip


def _more(db: Relations, shifted: Relation, behind: Relation, hint: str, placed: Relation, found: Relation) -> Relation:
    """Rows of the copies that came to contents `behind`: as their content stands now."""
    stand = db.keep(
        db.sql(
            "SELECT k.content, coalesce(p.survivor, k.survivor) AS survivor, coalesce(p.similarity, k.similarity) AS similarity, "
            "coalesce(p.survivor_id, f.head_id, k.survivor_id) AS survivor_id FROM {behind} k "
            "LEFT JOIN {placed} p ON k.content = p.content LEFT JOIN {found} f ON k.survivor = f.content",
            behind=behind, placed=placed, found=found,
        )
    )  # fmt: skip
    return db.sql(
        f"SELECT {hint} s.snapshot, s.shard, s.id, s.content, k.survivor, k.survivor_id, "
        "CASE WHEN k.survivor = k.content THEN 'exact' ELSE 'near' END AS kind, k.similarity, 0 AS _gone, 1 AS _new "
        "FROM {shifted} s JOIN {stand} k ON s.content = k.content",
        shifted=shifted, stand=stand,
    )  # fmt: skip


def _held(db: Relations, clusters: Relation, met: Relation, behind: Relation) -> Relation:
    """All rows of the known contents that are not `behind`."""
    wanted = db.keep(
        db.sql(
            "SELECT DISTINCT m.content FROM {met} m LEFT JOIN {behind} k ON m.content = k.content WHERE k.content IS NULL",
            met=met, behind=behind,
        )
    )  # fmt: skip
    return standing.rows_of(db, clusters, wanted)


def _copies(db: Relations, old: Relation, shifted: Relation) -> Relation:
    """Copies with flags `was`, `now` and `held`."""
    columns = "snapshot, shard, id, content, r"
    sides = db.sql(
        f"SELECT {columns}, 1 AS was, 0 AS side, 1 AS held FROM {{old}} UNION ALL SELECT {columns}, 0, side, held FROM {{shifted}}",
        old=old, shifted=shifted,
    )  # fmt: skip
    return db.sql(
        f"SELECT {columns}, sum(was) AS was, sum(was) + sum(side) AS now, max(held) AS held FROM {{sides}} GROUP BY {columns}",
        sides=sides,
    )


def _placed(db: Relations, decided: Decided, found: Relation) -> Relation:
    """(content, survivor, survivor_id, similarity, and the head's snapshot, shard, head_id) of changed contents and of the region.

    What did not move and was not decided anew keeps its standing, with the present head of its survivor.
    """
    keeps = "g.content IS NULL AND n.came = 0"
    return db.sql(
        "SELECT p.content, p.survivor, p.similarity, p.snapshot, p.shard, p.head_id, "
        "CASE WHEN p.survivor = p.content THEN p.head_id ELSE coalesce(p.best_id, s.head_id, p.survivor_id) END AS survivor_id FROM ("
        f"SELECT n.content, n.snapshot, n.shard, n.head_id, n.survivor_id, b.head_id AS best_id, "
        f"CASE WHEN {keeps} THEN n.survivor ELSE coalesce(b.u, n.content) END AS survivor, "
        f"CASE WHEN {keeps} THEN n.similarity ELSE coalesce(b.weight, CAST(1 AS DOUBLE)) END AS similarity "
        "FROM {nodes} n LEFT JOIN {region} g ON n.content = g.content LEFT JOIN {best} b ON n.content = b.v "
        "LEFT JOIN {found} f ON n.content = f.content WHERE g.content IS NOT NULL OR f.content IS NOT NULL) p "
        "LEFT JOIN {found} s ON p.survivor = s.content",
        nodes=decided.nodes, region=decided.region, best=decided.best, found=found,
    )  # fmt: skip


def _rows(db: Relations, copies: Relation, placed: Relation) -> Relation:
    head = "c.snapshot = p.snapshot AND c.shard = p.shard AND c.id = p.head_id"
    return db.sql(
        "SELECT c.snapshot, c.shard, c.id, c.content, p.survivor, p.survivor_id, "
        f"CASE WHEN p.survivor <> c.content THEN 'near' WHEN {head} THEN 'survivor' ELSE 'exact' END AS kind, p.similarity "
        "FROM {copies} c JOIN {placed} p ON c.content = p.content",
        copies=copies, placed=placed,
    )  # fmt: skip


def _followers(db: Relations, clusters: Relation, found: Relation, old: Relation, region: Relation) -> Relation:
    """Rows whose survivor is now another copy of the same content, with its id; contents that are looked at anyhow are left out."""
    headed = db.keep(
        db.sql(
            "SELECT DISTINCT f.content, f.head_id FROM {found} f JOIN {old} o ON f.content = o.content "
            "WHERE f.r IS NOT NULL AND o.survivor = f.content AND f.head_id <> f.was_id",
            found=found, old=old,
        )
    )  # fmt: skip
    rows = db.sql(
        f"SELECT {db.aside(headed, 'h')} c.snapshot, c.shard, c.id, c.content, c.survivor, h.head_id AS survivor_id, c.kind, c.similarity "
        "FROM {clusters} c JOIN {headed} h ON c.survivor = h.content",
        clusters=clusters, headed=headed,
    )  # fmt: skip
    return db.sql(
        "SELECT r.* FROM {rows} r LEFT JOIN {found} f ON r.content = f.content LEFT JOIN {region} g ON r.content = g.content "
        "WHERE f.content IS NULL AND g.content IS NULL",
        rows=rows, found=found, region=region,
    )  # fmt: skip
