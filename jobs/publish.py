"""The corpus: survivors with the columns that a trainer wants. Rewrites only the shards whose keep-set changed.

Which those can be it learns from the change feed of `clusters`; whether they are, from digests of their keep-sets.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crawlmill.dedup import feed
from crawlmill.errors import CriticalFailure
from crawlmill.lake import intact, ledger, pins, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.lake.snapshot import MAX_SHARDS
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import Context, Outputs, Stage
from crawlmill.recipes.recipe import canonical_hash
from crawlmill.releases import mix
from crawlmill.rows.corpus_rows import SOURCES, corpus_rows
from crawlmill.rows.final_text import KEYS

SETTINGS = "recipe"  # among the digests: the hash of what decides the rows beside the pinned tables
Parts = dict[str, list[int]]  # shards by snapshot


def survivors(context: Context, only: Parts | None = None) -> DataFrame:
    """Documents that dedup kept and the mix has room for, in these partitions; in all where none are given."""
    at = context.pins["clusters", pins.EVERY]
    rows = table.read(context.spark, context.job.lake, "clusters", at, "kind = 'survivor'").select("snapshot", "shard", "id")
    found, share = rows.where(within(only)), context.recipe.publish.mix.rewritten
    mixed = sorted({part.split("/")[0] for part in derived_parts(context)}) if share < 1 else []
    if not mixed:
        return found
    versions = {snapshot: at for snapshot, at in context.pinned("signatures").items() if snapshot in mixed}
    tokens = table.read_pinned(context.spark, context.job.lake, "signatures", versions).select("snapshot", *KEYS, "tokens")
    left = mix.left_out(rows.join(tokens, ["snapshot", *KEYS]), share)
    return found.join(F.broadcast(left), ["snapshot", *KEYS], "left_anti")


def derived_parts(context: Context) -> set[str]:
    """Partitions of derived documents, `snapshot/shard`, that dedup has rows of."""
    return {part for part in table.parts_of(context.job.lake, "clusters") if int(part.split("/")[1]) >= MAX_SHARDS}


def within(only: Parts | None) -> str:
    """The predicate of some partitions, made of checked literals."""
    if only is None:
        return "true"
    return " OR ".join(f"({table.partition(snapshot, shards)})" for snapshot, shards in sorted(only.items())) or "false"


def published(lake: str) -> tuple[RunRow, dict[str, str]] | None:
    """The last released run and what the corpus holds since, `snapshot/shard` to the digest of its keep-set.

    None where an attempt that was never released has written since, or files were lost: nothing that is there can be relied on.
    """
    released = ledger.released(lake, "publish", pins.EVERY)
    if released is None or released.output("corpus") < table_log.changed_at(lake, "corpus") or intact.of_run(lake, released):
        return None
    state: dict[str, str] = {}
    for run in ledger.runs(lake, "publish"):
        if run.verdict in ledger.RELEASED:
            state.update(run.digests)
    return released, {part: digest for part, digest in state.items() if digest and "/" in part}


def suspects(context: Context, since: RunRow) -> set[str] | None:
    """Partitions whose rows can differ from those of an earlier run: documents changed side there, or what they are made of changed.

    Read from the change feed of `clusters`, so that a run costs what has changed. None: every partition.
    """
    before = pins.of(since)
    if since.digests.get(SETTINGS) != settings(context):
        return None
    came_from, at = before.get(("clusters", pins.EVERY)), context.pins["clusters", pins.EVERY]
    sides = None if came_from is None else feed.sides(context.spark, context.job.lake, came_from, at)
    if sides is None:
        return None
    try:
        found = {f"{row['snapshot']}/{row['shard']}" for row in sides.select("snapshot", "shard").distinct().collect()}
    except PySparkException:  # VACUUM has taken files of the feed
        return None
    for snapshot in pins.snapshots(context.pins):
        if any(before.get((name, snapshot)) != context.pins.get((name, snapshot)) for name in SOURCES):
            found |= {f"{snapshot}/{shard}" for shard in table.shards_of(context.job.lake, "clusters", snapshot)}
    # A captured page more or less gives derived ones of its snapshot more room or less.
    touched = {part.split("/")[0] for part in found}
    return found | {part for part in derived_parts(context) if part.split("/")[0] in touched}


def settings(context: Context) -> str:
    """The hash of the recipe's part and of the code's version."""
    return canonical_hash({**context.recipe.slice(STAGE.recipe), "stage": STAGE.version})


def keep_sets(context: Context, only: Parts | None) -> dict[str, str]:
    """`snapshot/shard` to the digest of the ids that are kept and of the versions that their columns come from."""
    hashed = F.xxhash64("id")
    sets = survivors(context, only).groupBy("snapshot", "shard").agg(
        F.count("id").alias("n"), F.bit_xor(hashed).alias("xor"), F.sum(hashed.cast("decimal(38,0)")).alias("sum")
    )  # fmt: skip
    found = {}
    for row in sets.collect():  # a row per partition
        versions = [context.pins.get((name, row["snapshot"])) for name in SOURCES]
        parts = [STAGE.version, context.recipe.slice(STAGE.recipe), versions, row["n"], row["xor"], str(row["sum"])]
        found[f"{row['snapshot']}/{row['shard']}"] = hashlib.sha256(ledger.dumps(parts).encode()).hexdigest()
    return found


def changes(context: Context) -> dict[str, str]:
    """Partitions to replace with their new digests; an empty digest where nothing is kept any more."""
    last = None if context.job.force else published(context.job.lake)
    before = last[1] if last else {}
    held = table.parts_of(context.job.lake, "corpus")
    looked_at = suspects(context, last[0]) if last and held == before.keys() else None
    after = keep_sets(context, None if looked_at is None else parts(dict.fromkeys(looked_at, "")))
    changed = {part: digest for part, digest in after.items() if before.get(part) != digest}
    gone = held - after.keys() if looked_at is None else (held & looked_at) - after.keys()
    return changed | dict.fromkeys(gone, "")


def transform(context: Context) -> dict[str, DataFrame]:
    """Rows of the changed partitions, a table per snapshot (`corpus@<snapshot>`) since each is a commit of its own."""
    changed = changes(context)
    context.notes["changed"] = parts(changed)
    context.digests = {**changed, SETTINGS: settings(context)}
    return {f"corpus@{snapshot}": rows(context, snapshot, shards) for snapshot, shards in parts(changed).items()}


def parts(changed: dict[str, str]) -> Parts:
    """Changed shards by snapshot."""
    found: Parts = {}
    for part in sorted(changed):
        snapshot, shard = part.split("/")
        found.setdefault(snapshot, []).append(int(shard))
    return found


def rows(context: Context, snapshot: str, shards: list[int]) -> DataFrame:
    """The corpus rows of some shards. Only ids and narrow columns are exchanged, never texts."""
    where = table.partition(snapshot, shards)

    def read(name: str) -> DataFrame:
        return table.read(context.spark, context.job.lake, name, context.pins[name, snapshot], where)

    keep = survivors(context).where(where).select(*KEYS)
    return corpus_rows(read, keep, derived=max(shards) >= MAX_SHARDS)


def commit(context: Context, commit: table.Commit, outputs: Outputs) -> dict[str, int]:
    """One commit a snapshot; with nothing changed, the version that is there."""
    changed: Parts = context.notes["changed"]
    versions = [
        commit.replace("corpus", frame, name.removeprefix("corpus@"), changed[name.removeprefix("corpus@")])
        for name, frame in outputs.items()
    ]
    return {"corpus": max(versions, default=table.version(context.job.lake, "corpus"))}


def check(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
    """Every survivor of the partitions that were written is in the corpus once, and nobody else is. Counts are of those partitions."""
    changed: Parts = context.notes["changed"]
    if not changed:
        return []
    rows = table.read(context.spark, context.job.lake, "corpus", versions["corpus"], within(changed))
    corpus, keep = rows.select("snapshot", "shard", "id"), survivors(context, changed)
    missing = keep.join(corpus, [*KEYS, "snapshot"], "left_anti").count()
    surplus = corpus.join(keep, [*KEYS, "snapshot"], "left_anti").count()
    if missing or surplus:
        raise CriticalFailure(
            f"corpus lacks {missing} survivors and has {surplus} rows that are none; not released: run publish again"
        )
    due = {row["shard"]: row["count"] for row in keep.groupBy("shard").count().collect()}  # at most 1,000 shards
    per_shard = reconcile.ids(corpus)
    return [
        {"shard": shard, "read": due.get(shard, 0), "written": n, "rejected": 0} for shard, (n, _) in sorted(per_shard.items())
    ]


STAGE = Stage(
    name="publish",
    reads=("clusters", "documents", "rewrites", "languages"),
    writes=("corpus",),
    recipe=("publish",),
    version=2,
    transform=transform,
    commit=commit,
    reconcile=check,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
