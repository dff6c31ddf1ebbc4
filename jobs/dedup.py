"""Which documents stand for which, over all ingested snapshots. Reads signatures, bands and verdicts, writes pairs, clusters and removals.

It runs alone, compares the pinned state of every snapshot with the one that its tables were last settled at, and commits differences
only: a run that finds nothing new writes nothing, a changed gate reads no bands and no sets, and fifty backfilled snapshots need one
run. The definition is `crawlmill/text/dedup_small.py`, the engine `crawlmill/dedup/`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.contracts import contract
from crawlmill.dedup import basis, candidates, local, members, removals
from crawlmill.dedup.candidates import Bands, rank
from crawlmill.dedup.relations import SparkRelations, differences
from crawlmill.errors import CriticalFailure, UserError
from crawlmill.lake import failpoint, table, table_log
from crawlmill.lake.snapshot import parse
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Stage
from crawlmill.recipes.recipe import canonical_hash

if TYPE_CHECKING:
    from crawlmill.dedup.basis import Basis
    from crawlmill.dedup.relations import Relation, Tables
    from crawlmill.protocol.stage import Outputs

COPY = ("snapshot", "shard", "id")
PAIR = ("scope", "a", "b")
PAIR_COLUMNS = "scope, a, b, similarity, containment_a, containment_b, bits"
SKETCHED, JUDGED = ("bands", "signatures"), ("signatures", "verdicts")


def transform(context: Context) -> dict[str, DataFrame]:
    """Changes of pairs and of clusters; `notes` says what they were worked out from."""
    lake, force = context.job.lake, context.job.force
    settings = settled_by(context)
    at = {name: table.version(lake, name) for name in ("pairs", "clusters")}
    pairs_basis, clusters_basis = (None if force else basis.last(lake, name, settings) for name in ("pairs", "clusters"))
    db = interpreter(context)
    before = None if table_log.empty(lake, "pairs") else db.at("pairs", at["pairs"], PAIR_COLUMNS)
    pairs = db.keep(changed_pairs(context, db, pairs_basis, before))
    clusters = db.keep(changed_clusters(context, db, clusters_basis, before, pairs, at))
    refuse_changes_by_an_append(context, db, clusters_basis, clusters)
    outputs = {name: db.frame(rows, name) for name, rows in (("pairs", pairs), ("clusters", clusters))}
    context.notes |= {
        "at": at,
        "pairs": basis.note(context.pins, SKETCHED, settings),
        "clusters": basis.note(context.pins, JUDGED, settings),
        "places": db.places,
    }
    return outputs


def interpreter(context: Context) -> Tables:
    """What executes the steps: Spark, or SQLite where the lake is small."""
    rules, cap = context.recipe.dedup, context.recipe.sketch.max_shingles
    if local.small(context.job.lake):
        return local.LocalRelations(context.spark, context.job.lake, context.pinned("signatures"), rules, cap)
    sets = context.read_all("signatures", "content", "shingles")
    return SparkRelations(context.spark, context.job.lake, sets, rules, cap)


def settled_by(context: Context) -> str:
    """The hash of what decides the rows beside the pinned tables: tables of other settings are not built upon."""
    from crawlmill.text.minhash import scheme

    recipe = context.recipe
    majors = [contract.load(name).major for name in STAGE.writes]
    return canonical_hash({**recipe.slice(STAGE.recipe), "scheme": scheme(recipe.sketch), "stage": [STAGE.version, *majors]})


def changed_pairs(context: Context, db: Tables, last: Basis | None, before: Relation | None) -> Relation:
    """Rows of pairs to insert, to delete and to update."""
    now, top = context.pinned("bands"), context.recipe.dedup.top
    was, are, shifted = basis.changed(last.pins if last else {}, context.pins, SKETCHED)
    old = {snapshot: was[snapshot]["bands"] for snapshot in shifted & was.keys()}
    if last is None or not basis.still_there(context.job.lake, "bands", old, "pairs"):
        one_scheme(context, db, are.keys())
        found = candidates.changes(
            db, Bands(bands(context, db, now), scoped=scoped(context), order=context.recipe.dedup.order), None, top
        )
        return found if before is None else differences(db, before, db.keep(found), PAIR, PAIR_COLUMNS.split(", "))
    one_scheme(context, db, shifted & are.keys())
    held = db.pinned("pairs", {}, PAIR_COLUMNS) if before is None else before
    if not shifted:
        return db.sql(f"SELECT {PAIR_COLUMNS}, 0 AS _gone, 0 AS _new FROM {{held}} WHERE 1 = 0", held=held)
    given = Bands(
        now=bands(context, db, {snapshot: at for snapshot, at in now.items() if snapshot in shifted}),
        kept=bands(context, db, {snapshot: at for snapshot, at in now.items() if snapshot not in shifted}),
        was=bands(context, db, old),
        scoped=scoped(context),
        order=context.recipe.dedup.order,
    )
    return candidates.changes(db, given, held, top)


def changed_clusters(
    context: Context, db: Tables, last: Basis | None, before: Relation | None, pairs: Relation, at: dict[str, int]
) -> Relation:
    """Rows of clusters to insert, to delete and to update; `before` is the table pairs, `pairs` what changes in it."""
    rules, lake = context.recipe.dedup, context.job.lake
    edges = candidates.after(db, before, pairs)
    _, are, shifted = basis.changed(last.pins if last else {}, context.pins, JUDGED)
    if last is None or last.pairs is None or not table_log.readable(lake, "pairs", last.pairs):
        found = members.settle(db, eligible(context, db, are.keys()), edges, None, rules.measure, rules.threshold)
        if table_log.empty(lake, "clusters"):
            return found
        return differences(db, db.at("clusters", at["clusters"], members.ROW), db.keep(found), COPY, members.ROW.split(", "))
    turned = db.sql("SELECT scope, a, b FROM {pairs} WHERE _new = 1 OR _gone = 1", pairs=pairs)
    if last.pairs != at["pairs"]:  # an attempt died between its two commits
        then, now = (db.at("pairs", version, "scope, a, b") for version in (last.pairs, at["pairs"]))
        missed = db.sql(f"{anti('then', 'now')} UNION ALL {anti('now', 'then')}", then=then, now=now)
        turned = db.sql("SELECT * FROM {turned} UNION ALL SELECT * FROM {missed}", turned=turned, missed=missed)
    standing = db.sql(f"SELECT *, {rank(rules.order)} AS r FROM {{rows}}", rows=db.at("clusters", at["clusters"], members.ROW))
    part = db.sql(f"SELECT * FROM {{rows}} WHERE snapshot IN ({literals(shifted)})", rows=standing)
    given = members.Before(standing, part, db.keep(turned))
    return members.settle(db, eligible(context, db, shifted & are.keys()), edges, given, rules.measure, rules.threshold)


def refuse_changes_by_an_append(context: Context, db: Tables, last: Basis | None, changed: Relation) -> None:
    """Raise CriticalFailure where, oldest first, snapshots newer than all that were settled change a row of those: then the engine errs.

    Not where scopes are languages: there a newer copy can bring an old content into a further language, where it may stand before others.
    """
    was, _, shifted = basis.changed(last.pins if last else {}, context.pins, JUDGED)
    oldest = context.recipe.dedup.order == "oldest" and context.recipe.sketch.scope == "all"
    if not oldest or not was or not shifted or min(shifted) <= max(was):
        return
    strange = db.sql(f"SELECT snapshot, id FROM {{changed}} WHERE snapshot NOT IN ({literals(shifted)})", changed=changed)
    if row := db.first(strange):
        raise CriticalFailure(
            f"ingesting {', '.join(sorted(shifted))} would change what clusters says of older documents, as {row[1]} of {row[0]}, though the "
            "oldest stays: nothing was written; run dedup with --force, and please report this"
        )


def anti(left: str, right: str) -> str:
    """The pairs of one relation that the other has not."""
    on = " AND ".join(f"l.{key} = r.{key}" for key in PAIR)
    return f"SELECT l.scope, l.a, l.b FROM {{{left}}} l LEFT JOIN {{{right}}} r ON {on} WHERE r.a IS NULL"


def literals(snapshots: Collection[str]) -> str:
    """Snapshot ids, checked, as a list of SQL; never empty."""
    return ", ".join(f"'{parse(snapshot)}'" for snapshot in sorted(snapshots)) or "''"


def bands(context: Context, db: Tables, snapshots: dict[str, int]) -> Relation:
    """The bands of some snapshots, each at its version, with their rank."""
    rows = db.pinned("bands", snapshots, "snapshot, scope, band, key, content")
    return db.sql(f"SELECT *, {rank(context.recipe.dedup.order)} AS r FROM {{rows}}", rows=rows)


def eligible(context: Context, db: Tables, snapshots: Collection[str]) -> Relation:
    """(snapshot, shard, id, content, r) of the eligible documents of some snapshots."""

    def rows(name: str, columns: str) -> Relation:
        wanted = {snapshot: at for snapshot, at in context.pinned(name).items() if snapshot in snapshots}
        return db.pinned(name, wanted, columns)

    copies = db.sql(
        "SELECT s.snapshot, s.shard, s.id, s.content FROM {signatures} s JOIN {verdicts} v "
        "ON s.snapshot = v.snapshot AND s.shard = v.shard AND s.id = v.id WHERE v.eligible",
        signatures=rows("signatures", "snapshot, shard, id, content"), verdicts=rows("verdicts", "snapshot, shard, id, eligible"),
    )  # fmt: skip
    return db.sql(f"SELECT *, {rank(context.recipe.dedup.order)} AS r FROM {{copies}}", copies=copies)


def scoped(context: Context) -> bool:
    """Whether a content can stand in several scopes."""
    return context.recipe.sketch.scope != "all"


def one_scheme(context: Context, db: Tables, snapshots: Collection[str]) -> None:
    """Raise UserError where a snapshot was sketched in another way than the recipe says: such numbers do not compare."""
    from crawlmill.text.minhash import scheme

    expected = scheme(context.recipe.sketch)
    pinned = {snapshot: at for snapshot, at in context.pinned("signatures").items() if snapshot in snapshots}
    rows = db.pinned("signatures", pinned, "snapshot, scheme")
    if found := db.first(db.sql(f"SELECT snapshot, scheme FROM {{rows}} WHERE scheme <> '{expected}'", rows=rows)):
        raise UserError(
            f"the signatures of {found[0]} are of scheme {found[1]}, the recipe says {expected}: run sketch again for that "
            "snapshot, or give the recipe that it was sketched with"
        )


def commit(context: Context, to: table.Commit, outputs: Outputs) -> dict[str, int]:
    """Commit what differs, pairs first; each commit remembers the state that it settled. Returns the versions."""
    at, notes = context.notes["at"], context.notes
    versions = {"pairs": to.merge("pairs", outputs["pairs"], PAIR, at["pairs"], notes["pairs"])}
    failpoint.hit("dedup:committed:pairs")
    note = {**notes["clusters"], "pairs": versions["pairs"]}
    versions["clusters"] = to.merge("clusters", outputs["clusters"], COPY, at["clusters"], note)
    failpoint.hit("dedup:committed:clusters")
    versions["removals"] = removals.commit(context, to, outputs["clusters"], versions, notes["places"])
    return versions


def check(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
    """Every eligible document is in clusters once, and what stands for it stays."""
    rows = table.read(context.spark, context.job.lake, "clusters", versions["clusters"])
    lone = rows.groupBy("survivor").agg(F.count(F.when(F.col("kind") == "survivor", 1)).alias("kept")).where("kept <> 1").count()
    if lone:
        raise CriticalFailure(f"{lone} clusters with an eligible document keep none or several; not released")
    due = _per_partition(context.read_all("verdicts").where("eligible"))
    done = _per_partition(rows)
    if differ := sorted(part for part in due.keys() | done.keys() if due.get(part) != done.get(part)):
        raise CriticalFailure(f"the eligible documents are not those in clusters (snapshot, shard): {differ[:10]}; not released")
    shards = sorted({shard for _, shard in due})
    totals = {shard: sum(n for (_, own), (n, _) in due.items() if own == shard) for shard in shards}
    return [{"shard": shard, "read": n, "written": n, "rejected": 0} for shard, n in totals.items()]


def _per_partition(rows: DataFrame) -> dict[tuple[str, int], tuple[int, int]]:
    """(snapshot, shard) -> (documents, order-free digest of their ids)."""
    counted = rows.groupBy("snapshot", "shard").agg(F.count("id").alias("n"), F.bit_xor(F.xxhash64("id")).alias("digest"))
    return {(row["snapshot"], row["shard"]): (row["n"], row["digest"]) for row in counted.collect()}  # a row per partition


STAGE = Stage(
    name="dedup",
    reads=("signatures", "bands", "verdicts"),
    writes=("pairs", "clusters", "removals"),
    recipe=("sketch", "dedup"),
    version=2,
    transform=transform,
    reconcile=check,
    commit=commit,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
