"""Buckets to changed pairs: which candidates a change of bands gains and loses, and what that makes of the table `pairs`.

Ranks are pairs (r, content): `r` is a number, the snapshot by the recipe's order (`rank`), and a content's `r` is the least of its copies in
any scope. Relations of bands have (snapshot, scope, band, key, content, r); every content has one key a band, and stands in band 0. Most rows
meet nobody, so where rows are looked up their `r` is worked out of those that were found.
"""

from __future__ import annotations

from dataclasses import dataclass

from crawlmill.dedup.relations import Relation, Relations

PAIR = "scope, a, b, similarity, containment_a, containment_b, bits"
BUCKET = "scope, band, key"
# Joined by the key alone, which is a number, Spark looks rows up at a fraction of what three columns take; the rest is compared where keys meet.
SAME_BUCKET = "{0}.key = {1}.key AND {0}.band - {1}.band = 0 AND NOT ({0}.scope < {1}.scope OR {0}.scope > {1}.scope)"


@dataclass(frozen=True)
class Bands:
    """Bands before and after: `kept` of unchanged snapshots, `was` and `now` of changed ones. None: there was nothing before."""

    now: Relation
    order: str
    kept: Relation | None = None
    was: Relation | None = None
    scoped: bool = False


def rank(order: str, snapshot: str = "snapshot") -> str:
    """The SQL of a row's `r`, from the SQL of its snapshot; the least `r` ranks first.

    A number: a least number is found by hashing, a least text by sorting all rows. An id has the form `snapshot_form` of the contracts, and
    2026-38 is older than 2026-38-01.
    """
    of_year = f"CAST(substr({snapshot}, 9, 4) AS BIGINT) * 10000 + CAST(substr({snapshot}, 14, 2) AS BIGINT) * 100"
    oldest = f"({of_year} + coalesce(CAST(nullif(substr({snapshot}, 17, 2), '') AS BIGINT), 0))"
    return {"oldest": oldest, "newest": f"-{oldest}", "content": "CAST(0 AS BIGINT)"}[order]


def changes(db: Relations, bands: Bands, pairs: Relation | None, top: int) -> Relation:
    """Rows of `pairs` to insert (`_new`), to delete (`_gone`) and to update, each in the state that it comes to.

    Args:
        db: executes the steps.
        bands: before and after.
        pairs: as settled before; None where there are none.
        top: how many members of smallest rank of a bucket the others are compared with.
    """
    places = db.keep(placed(db, members(db, bands)))
    db.crowd(places, bands.kept is None or bands.was is None)
    turned = db.keep(turns(db, places, top))
    if pairs is None:
        fresh = db.sql("SELECT scope, a, b, gained AS bits FROM {turned} WHERE gained <> 0", turned=turned)
        return db.sql(f"SELECT {PAIR}, 0 AS _gone, 1 AS _new FROM {{found}}", found=db.verify(fresh))
    hint = db.aside(turned, "t")
    same = "p.a = t.a AND p.b = t.b AND p.scope = t.scope"
    known = db.keep(
        db.sql(
            f"SELECT {hint} p.*, t.gained, t.lost FROM {{pairs}} p JOIN {{turned}} t ON {same}",
            pairs=pairs, turned=turned,
        )
    )  # fmt: skip
    fresh = db.sql(
        "SELECT t.scope, t.a, t.b, t.gained AS bits FROM {turned} t LEFT JOIN {known} p "
        f"ON {same} WHERE p.a IS NULL AND t.gained <> 0",
        turned=turned, known=known,
    )  # fmt: skip
    return db.sql(
        "SELECT scope, a, b, similarity, containment_a, containment_b, bits, CASE WHEN bits = 0 THEN 1 ELSE 0 END AS _gone, 0 AS _new "
        "FROM (SELECT scope, a, b, similarity, containment_a, containment_b, (bits & ~lost) | gained AS bits, bits AS old FROM {known}) "
        f"WHERE bits <> old UNION ALL SELECT {PAIR}, 0, 1 FROM {{found}}",
        known=known, found=db.verify(fresh),
    )  # fmt: skip


def after(db: Relations, pairs: Relation | None, changed: Relation) -> Relation:
    """(a, b, similarity, containment_a, containment_b): what joins contents now. Which bands support a pair does not matter any more."""
    ends = "a, b, similarity, containment_a, containment_b"
    added = db.sql(f"SELECT {ends} FROM {{changed}} WHERE _new = 1", changed=changed)
    if pairs is None:
        return added
    gone = db.keep(db.sql("SELECT scope, a, b FROM {changed} WHERE _gone = 1", changed=changed))
    return db.sql(
        f"SELECT {db.aside(gone, 'g')} p.a, p.b, p.similarity, p.containment_a, p.containment_b FROM {{pairs}} p "
        "LEFT JOIN {gone} g ON p.a = g.a AND p.b = g.b AND p.scope = g.scope WHERE g.a IS NULL "
        f"UNION ALL SELECT {ends} FROM {{added}}",
        pairs=pairs, gone=gone, added=added,
    )  # fmt: skip


def moved(db: Relations, bands: Bands) -> Relation:
    """(content, scope, before, after) of contents that came, went or changed rank in a scope; null where they are not in it.

    Reads band 0 of what was there before: every content stands in it once a shard.
    """
    least = "SELECT content, scope, min(before) AS before, min(after) AS after FROM {sides} GROUP BY content, scope"
    sides = db.sql(
        "SELECT content, scope, r AS before, NULL AS after FROM {was} WHERE band = 0 "
        "UNION ALL SELECT content, scope, NULL AS before, r AS after FROM {now} WHERE band = 0",
        was=bands.was, now=bands.now,
    )  # fmt: skip
    touched = db.keep(db.sql(least, sides=sides))
    contents = db.keep(db.sql("SELECT DISTINCT content FROM {touched} WHERE before IS DISTINCT FROM after", touched=touched))
    hint = db.aside(contents, "c")
    held = db.sql(
        f"SELECT {hint} k.content, k.scope, min(k.r) AS r FROM {{kept}} k JOIN {{contents}} c ON k.content = c.content "
        "WHERE k.band = 0 GROUP BY k.content, k.scope",
        kept=bands.kept, contents=contents,
    )  # fmt: skip
    sides = db.sql(
        f"SELECT {hint} t.content, t.scope, t.before, t.after FROM {{touched}} t JOIN {{contents}} c ON t.content = c.content "
        "UNION ALL SELECT content, scope, r, r FROM {held}",
        touched=touched, contents=contents, held=held,
    )  # fmt: skip
    ranks = db.sql(least, sides=sides)
    if bands.scoped:  # a content's rank is that of its first copy in any scope
        ranks = db.sql(
            "SELECT content, scope, CASE WHEN before IS NOT NULL THEN min(before) OVER (PARTITION BY content) END AS before, "
            "CASE WHEN after IS NOT NULL THEN min(after) OVER (PARTITION BY content) END AS after FROM {ranks}",
            ranks=ranks,
        )
    return db.sql("SELECT * FROM {ranks} WHERE before IS DISTINCT FROM after", ranks=ranks)


def members(db: Relations, bands: Bands) -> Relation:
    """(scope, band, key, content, before, after): members of the buckets in which something changed, with their ranks.

    Buckets of one member are left out where that is cheap to know: they are most of all buckets, and hashing their keys costs a fraction
    of sorting their members.
    """
    if bands.kept is None or bands.was is None:
        return _all_members(db, bands)
    shifted = db.keep(moved(db, bands))
    hint = db.aside(shifted, "m")
    both = db.sql(
        "SELECT content, band, key FROM {was} UNION ALL SELECT content, band, key FROM {now}", was=bands.was, now=bands.now
    )
    changed = db.sql(  # read twice, which costs less than exchanging it to know each row once
        f"SELECT {hint} m.scope, k.band, k.key, m.content, m.before, m.after FROM {{both}} k JOIN {{shifted}} m ON k.content = m.content",
        both=both, shifted=shifted,
    )  # fmt: skip
    dirty = db.keep(db.sql(f"SELECT {BUCKET}, count(*) AS n FROM {{changed}} GROUP BY {BUCKET}", changed=changed))
    others = db.keep(_unmoved(db, bands, shifted, hint, dirty))
    crowded = db.keep(
        db.sql(
            f"SELECT {BUCKET} FROM {{dirty}} WHERE n > 1 UNION SELECT {BUCKET} FROM {{others}}",
            dirty=dirty, others=others,
        )
    )  # fmt: skip
    return db.sql(
        f"SELECT {db.aside(crowded, 'd')} DISTINCT c.scope, c.band, c.key, c.content, c.before, c.after FROM {{changed}} c JOIN {{crowded}} d "
        f"ON {SAME_BUCKET.format('c', 'd')} UNION ALL SELECT {BUCKET}, content, r, r FROM {{others}}",
        changed=changed, crowded=crowded, others=others,
    )  # fmt: skip


def _all_members(db: Relations, bands: Bands) -> Relation:
    """The members of all buckets in which two rows stand."""
    rows, r = bands.now, rank(bands.order, "h.snapshot")
    crowded = db.keep(db.sql(f"SELECT {BUCKET} FROM {{rows}} GROUP BY {BUCKET} HAVING count(*) > 1", rows=rows))
    if bands.scoped:
        rows, r = db.sql(f"SELECT {BUCKET}, content, min(r) OVER (PARTITION BY content) AS r FROM {{rows}}", rows=rows), "h.r"
    return db.sql(
        f"SELECT {db.aside(crowded, 'd')} h.scope, h.band, h.key, h.content, CAST(NULL AS BIGINT) AS before, min({r}) AS after "
        f"FROM {{rows}} h JOIN {{crowded}} d ON {SAME_BUCKET.format('h', 'd')} GROUP BY h.scope, h.band, h.key, h.content",
        rows=rows, crowded=crowded,
    )  # fmt: skip


def _unmoved(db: Relations, bands: Bands, shifted: Relation, hint: str, dirty: Relation) -> Relation:
    """(scope, band, key, content, r) of the members of dirty buckets whose rank stayed."""
    still = db.sql(
        f"SELECT {hint} n.snapshot, n.scope, n.band, n.key, n.content FROM {{now}} n LEFT JOIN {{shifted}} m "
        "ON n.content = m.content AND n.scope = m.scope WHERE m.content IS NULL",
        now=bands.now, shifted=shifted,
    )  # fmt: skip
    held = db.sql(
        f"SELECT snapshot, {BUCKET}, content FROM {{kept}} UNION ALL SELECT snapshot, {BUCKET}, content FROM {{still}}",
        kept=bands.kept, still=still,
    )  # fmt: skip
    meeting = db.sql(
        f"SELECT {db.aside(dirty, 'd')} h.scope, h.band, h.key, h.content, {rank(bands.order, 'h.snapshot')} AS r FROM {{held}} h "
        f"JOIN {{dirty}} d ON {SAME_BUCKET.format('h', 'd')}",
        held=held, dirty=dirty,
    )  # fmt: skip
    others = db.sql(
        f"SELECT {hint} o.scope, o.band, o.key, o.content, min(o.r) AS r FROM {{meeting}} o LEFT JOIN {{shifted}} m "
        "ON o.content = m.content AND o.scope = m.scope WHERE m.content IS NULL GROUP BY o.scope, o.band, o.key, o.content",
        meeting=meeting, shifted=shifted,
    )  # fmt: skip
    if not bands.scoped:
        return others
    everywhere = db.sql(
        "SELECT content, band, r FROM {kept} UNION ALL SELECT content, band, r FROM {now}", kept=bands.kept, now=bands.now
    )
    return _in_any_scope(db, others, everywhere)


def _in_any_scope(db: Relations, others: Relation, held: Relation) -> Relation:
    others = db.keep(others)
    contents = db.keep(db.sql("SELECT DISTINCT content FROM {others}", others=others))
    least = db.sql(
        f"SELECT {db.aside(contents, 'c')} h.content, min(h.r) AS r FROM {{held}} h JOIN {{contents}} c ON h.content = c.content "
        "WHERE h.band = 0 GROUP BY h.content",
        held=held, contents=contents,
    )  # fmt: skip
    return db.sql(
        "SELECT o.scope, o.band, o.key, o.content, l.r FROM {others} o JOIN {least} l ON o.content = l.content",
        others=others, least=least,
    )  # fmt: skip


def placed(db: Relations, found: Relation) -> Relation:
    """Members of buckets of two and more with their places in the order of ranks, before (`stood`) and after (`stands`)."""
    crowded = db.sql(
        f"SELECT * FROM (SELECT {BUCKET}, content, before, after, count(*) OVER (PARTITION BY {BUCKET}) AS n FROM {{found}}) WHERE n > 1",
        found=found,
    )

    def place(by: str) -> str:
        order = f"ORDER BY CASE WHEN {by} IS NULL THEN 1 ELSE 0 END, {by}, content"
        return f"CASE WHEN {by} IS NOT NULL THEN row_number() OVER (PARTITION BY {BUCKET} {order}) END"

    return db.sql(
        f"SELECT {BUCKET}, content, {place('before')} AS stood, {place('after')} AS stands, "
        "CASE WHEN before IS DISTINCT FROM after THEN 1 ELSE 0 END AS shifted FROM {crowded}",
        crowded=crowded,
    )


def turns(db: Relations, members: Relation, top: int) -> Relation:
    """(scope, a, b, gained, lost): contents and the bands, as bits, in which they became candidates or ceased to be.

    In a bucket two are candidates if the one of smaller rank is among the `top` first. Only members of which one moved, entered the
    first or left them can have changed that: so a bucket costs at most `top` comparisons a member.
    """
    first = f"(stood <= {top} OR stands <= {top})"
    turned = f"CASE WHEN shifted = 1 OR coalesce(stood <= {top}, FALSE) <> coalesce(stands <= {top}, FALSE) THEN 1 ELSE 0 END"
    tops = db.sql(f"SELECT {BUCKET}, content, stood, stands, {turned} AS turned FROM {{members}} WHERE {first}", members=members)
    met = db.sql(
        "SELECT m.scope, m.band, least(m.content, t.content) AS a, greatest(m.content, t.content) AS b, "
        f"CASE WHEN t.stood <= {top} AND m.stood > t.stood THEN 1 ELSE 0 END AS was, "
        f"CASE WHEN t.stands <= {top} AND m.stands > t.stands THEN 1 ELSE 0 END AS now "
        "FROM {members} m JOIN {tops} t ON m.key = t.key AND m.band = t.band AND m.scope = t.scope "
        "WHERE m.content <> t.content AND (m.shifted = 1 OR t.turned = 1)",
        members=members, tops=tops,
    )  # fmt: skip
    bit = "shiftleft(CAST(1 AS BIGINT), band)"
    masks = db.sql(
        f"SELECT scope, a, b, bit_or(CASE WHEN now = 1 THEN {bit} ELSE CAST(0 AS BIGINT) END) AS gained, "
        f"bit_or(CASE WHEN was = 1 THEN {bit} ELSE CAST(0 AS BIGINT) END) AS lost FROM {{met}} WHERE was <> now GROUP BY scope, a, b",
        met=met,
    )
    # Two that changed places are found both ways: what is gained and lost in one band stays as it was.
    return db.sql(
        "SELECT scope, a, b, gained & ~lost AS gained, lost & ~gained AS lost FROM {masks} WHERE gained <> lost",
        masks=masks,
    )
