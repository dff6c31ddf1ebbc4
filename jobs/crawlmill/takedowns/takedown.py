"""Taking pages out of a lake: every row of them out of every table, and nothing that is run again brings them back.

The order is written down first, so nothing that it names comes in any more (`crawlmill.takedowns.orders`). The pages leave the corpus, attempts that may
still write are fenced off, rows go table by table, and the ledger learns which versions stand for the old ones: each run in force is entered again as it
was, with its new versions and counts, so nobody takes a table for changed by a stranger and no stage has to run again. What follows from a page's absence
(clusters, corpus, releases) is settled by those who always do it. Stopped anywhere, it is simply run again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import crawlmill
from crawlmill.errors import AnswerNeeded, UserError
from crawlmill.lake import failpoint, fence, ledger, pins, superseded, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import stage
from crawlmill.takedowns import orders, takedown_edits, takedown_rows
from crawlmill.takedowns.orders import Order
from crawlmill.takedowns.takedown_rows import Named

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from crawlmill.recipes.recipe import Recipe

WRITERS = (*stage.PER_SNAPSHOT, "load-scores")
TAKEN = "taken down"  # among the digests of a run that was entered again: by which order


@dataclass
class Plan:
    """What stands in a snapshot: its runs in force, oldest first, what else is pinned, and what of it is to go."""

    snapshot: str
    runs: list[RunRow]
    settled: pins.Pins
    named: Named | None = None
    moved: dict[tuple[str, int], int] = field(default_factory=dict)

    def versions(self, name: str) -> list[int]:
        """The versions of a table that its runs rest on."""
        return sorted({at for run in self.runs for key, at in pins.of(run).items() if key == (name, self.snapshot)})

    def now(self, name: str) -> set[int]:
        """The versions that stand for these after the takedown."""
        return {self.moved.get((name, at), at) for at in self.versions(name)}

    def beside(self, name: str, at: int, other: str) -> set[int]:
        """The versions of another table that runs pin together with a version of this one."""
        both = [pins.of(run) for run in self.runs]
        return {
            own[other, self.snapshot] for own in both if own.get((name, self.snapshot)) == at and (other, self.snapshot) in own
        }


def plans(lake: str) -> list[Plan]:
    """Every snapshot of which the lake has something, released or not."""
    runs: dict[str, list[RunRow]] = {}
    gone = superseded.versions(ledger.runs(lake, superseded.STAGE))
    for run in ledger.runs(lake):
        if run.snapshot != pins.EVERY:
            runs.setdefault(run.snapshot, []).append(run)
    dedup = ledger.released(lake, "dedup", pins.EVERY)
    settled = pins.of(dedup) if dedup else {}
    held = {part.split("/")[0] for part in table.parts_of(lake, "documents") | table.parts_of(lake, "rejects")}
    return [
        Plan(
            name,
            in_force(runs.get(name, [])),
            {key: at for key, at in settled.items() if key[1] == name and (*key, at) not in gone},
        )
        for name in sorted(runs.keys() | held)
    ]


def in_force(runs: Iterable[RunRow]) -> list[RunRow]:
    """The runs of a snapshot that later ones may rest on: each stage's last, and the last complete state while it is ingested again."""
    passed = [run for run in runs if run.verdict in ledger.RELEASED and run.stage != superseded.STAGE]
    kept = [*{run.stage: run for run in passed}.values(), *(pins.complete(passed) or ())]
    return [run for run in passed if any(run is other for other in kept)]


def look(spark: SparkSession, lake: str, known: orders.Orders, only: str | None = None) -> list[Plan]:
    """The snapshots, or the only one asked for, in which orders name records, with these records."""
    found = [plan for plan in plans(lake) if only in (None, plan.snapshot)]
    for plan in found:
        used = {name: {*plan.versions(name), *_settled(plan, name)} for name in takedown_rows.FIRST}
        plan.named = takedown_rows.look(spark, lake, plan.snapshot, used, known)
    return [plan for plan in found if plan.named]


def _settled(plan: Plan, name: str) -> set[int]:
    """The version that the last dedup rests on, unless another takedown has replaced it."""
    return {at for (own, _), at in plan.settled.items() if own == name}


def count(spark: SparkSession, lake: str, found: Iterable[Plan]) -> dict[str, dict[str, int]]:
    """Table -> snapshot -> rows of its newest version about records that are named."""
    counts: dict[str, dict[str, int]] = {}
    for plan in found:
        assert plan.named is not None
        ids = plan.named.ids().persist()
        for name in [*takedown_rows.tables(), "clusters", "corpus"]:
            rows = table.read(spark, lake, name, table.version(lake, name), table.partition(plan.snapshot))
            if name == "rejects":
                n = plan.named.rejects.drop("at").distinct().count()
            elif "id" not in rows.columns:
                continue
            else:
                n = rows.join(ids, ["shard", "id"], "left_semi").count()
            if n:
                counts.setdefault(name, {})[plan.snapshot] = n
        ids.unpersist()
    return counts


def delete(spark: SparkSession, lake: str, order: Order, say: Callable[[str], None]) -> dict[str, int]:
    """Write the order down and delete what it, or any order before it, names; returns the captured pages deleted, by snapshot.

    Raises UserError (see `takedown_rows.look`), and Fenced where a stage took a snapshot up meanwhile: run it again.
    """
    table.create_all(lake)
    orders.add(lake, order)
    failpoint.hit("takedown:listed")
    known = orders.ready(lake)
    _fence_unfinished(lake, order.name)
    _from_corpus(spark, lake, order, known)
    removed = {}
    for seen in look(spark, lake, known):
        assert seen.named is not None
        seen.named.release()
        say(f"deleting from {seen.snapshot}")
        tokens = _take_over(lake, order, seen.snapshot)
        # Once more: what another takedown or a stage has done before the tokens were drawn is in the ledger now, and later it does nothing.
        for plan in look(spark, lake, orders.ready(lake), seen.snapshot):
            assert plan.named is not None
            removed[plan.snapshot] = _sweep(spark, lake, order, plan, tokens)
            plan.named.release()
    return removed


def _fence_unfinished(lake: str, by: str) -> None:
    """Attempts at extract that have begun and not ended may hold rows from before the order: they may not commit any more."""
    ended = {run.fence for run in ledger.runs(lake)}
    for plan in plans(lake):
        if fence.newest(lake, "extract", plan.snapshot) not in {0, *ended}:
            fence.draw(lake, "extract", plan.snapshot, None, by, max(ended, default=0))


def _take_over(lake: str, order: Order, snapshot: str) -> dict[str, int]:
    """Fence off whoever writes to a snapshot; the tokens by stage."""
    highest = max((run.fence for run in ledger.runs(lake)), default=0)
    return {name: fence.draw(lake, name, snapshot, None, order.name, highest) for name in (*WRITERS, superseded.STAGE)}


def _sweep(spark: SparkSession, lake: str, order: Order, plan: Plan, tokens: dict[str, int]) -> int:
    """Delete the records of one snapshot from its tables and enter its runs again. Returns the captured documents deleted."""
    from crawlmill.takedowns import takedown_traces

    assert plan.named is not None
    identity = {"run_id": order.name, "code": crawlmill.__version__}
    commit = table.Commit(lake, superseded.STAGE, plan.snapshot, None, tokens[superseded.STAGE], identity)
    takedown_traces.answers(spark, commit, plan)
    takedown_traces.samples(spark, commit, plan)
    for name in takedown_rows.tables():
        plan.moved |= {(name, at): to for at, to in takedown_edits.clean(spark, commit, plan, name).items()}
        failpoint.hit(f"takedown:cleaned:{name}")
    gone = plan.named.per_shard()
    again = [_again(run, plan, order.name, tokens[run.stage], gone) for run in plan.runs]
    partly = [
        replace(run, verdict="committed") for run in again if run.stage == "extract"
    ]  # attempts at some shards go on from there
    entry = _entry(order, plan, tokens[superseded.STAGE], gone, ledger.runs(lake))
    ledger.append_runs(lake, [entry, *partly, *again])
    return plan.named.captured(plan.named.states["documents"]).count()


def _entry(order: Order, plan: Plan, token: int, gone: dict[int, int], every: Iterable[RunRow]) -> RunRow:
    """The audit row: the versions that must not be read any more, those in their place, how many documents went, who asked and why."""
    changed = {name: to for (name, at), to in sorted(plan.moved.items()) if at != to}
    pinned = {(name, at) for run in every for (name, own), at in pins.of(run).items() if own == plan.snapshot}
    stale = {(name, at) for name, at in pinned if (name in changed or not changed) and at not in plan.now(name)}
    return RunRow(
        run_id=order.name, stage=superseded.STAGE, snapshot=plan.snapshot, stage_key=order.key, verdict="passed", fence=token,
        inputs=[{"table": name, "snapshot": plan.snapshot, "version": at} for name, at in sorted(stale)],
        outputs=[{"table": name, "version": to} for name, to in changed.items()],
        counts=[{"shard": shard, "read": n, "written": 0, "rejected": n} for shard, n in sorted(gone.items())],
        code_version=crawlmill.__version__, message=f"{order}, asked for by {order.by}: {order.because}",
    )  # fmt: skip


def _again(run: RunRow, plan: Plan, by: str, token: int, gone: dict[int, int]) -> RunRow:
    """A run as it was, at the versions and with the counts that its rows have now."""

    def to(entry: dict[str, Any], snapshot: str) -> dict[str, Any]:
        at = int(entry["version"])
        return {**entry, "version": plan.moved.get((entry["table"], at), at) if snapshot == plan.snapshot else at}

    def less(entry: dict[str, Any]) -> dict[str, Any]:
        n = gone.get(entry["shard"], 0)
        if run.stage == "extract":
            return {**entry, "written": entry["written"] - n, "rejected": entry["rejected"] + n}
        return {**entry, "read": entry["read"] - n, "written": entry["written"] - n}

    key = run.stage_key
    if run.wrote("line_counts"):  # which copy of a line stays depends on all pages: due again
        key = hashlib.sha256(f"{key} {by}".encode()).hexdigest()
    return replace(
        run, fence=token, stage_key=key, digests={**run.digests, TAKEN: by}, counts=[less(entry) for entry in run.counts], shards=None,
        inputs=[to(entry, entry["snapshot"]) for entry in run.inputs], outputs=[to(entry, run.snapshot) for entry in run.outputs],
    )  # fmt: skip


def _from_corpus(spark: SparkSession, lake: str, order: Order, known: orders.Orders) -> None:
    """The pages leave the corpus at once, whatever publishing waits for. `publish` writes these partitions again."""
    before = table.version(lake, "corpus")
    gone = takedown_rows.matching(table.read(spark, lake, "corpus", before), known).select("snapshot", "shard", "id").persist()
    parts = {f"{row['snapshot']}/{row['shard']}" for row in gone.select("snapshot", "shard").distinct().collect()}
    highest = max((run.fence for run in ledger.runs(lake)), default=0)
    token = fence.draw(lake, "publish", pins.EVERY, None, order.name, highest)  # an attempt under way may bring them back
    if not parts:
        return
    last = ledger.released(lake, "publish", pins.EVERY)
    relied_on = last is not None and last.output("corpus") >= table_log.changed_at(lake, "corpus")
    commit = table.Commit(lake, superseded.STAGE, pins.EVERY, None, token, {"run_id": order.name, "code": crawlmill.__version__})
    on = "t.snapshot = s.snapshot AND t.shard = s.shard AND t.id = s.id"
    at = commit.edit(
        "corpus", spark, lambda target: target.merge(gone.alias("s"), on).whenMatchedDelete().execute(), commit.app_id("corpus")
    )
    gone.unpersist()
    old = {before, *(run.output("corpus") for run in ledger.runs(lake, "publish") if run.verdict in ledger.RELEASED)}
    entry = RunRow(
        run_id=order.name, stage=superseded.STAGE, snapshot=pins.EVERY, stage_key=order.key, verdict="passed", fence=token,
        inputs=[{"table": "corpus", "snapshot": pins.EVERY, "version": one} for one in sorted(old)],
        outputs=[{"table": "corpus", "version": at}], code_version=crawlmill.__version__,
        message=f"{order}, asked for by {order.by}: {order.because}",
    )  # fmt: skip
    ledger.append_runs(lake, [entry])
    if last is not None and relied_on:
        held = table.parts_of(lake, "corpus")
        digests = {name: value for name, value in last.digests.items() if "/" not in name}
        digests |= {part: TAKEN if part in held else "" for part in parts} | {TAKEN: order.name}
        ledger.append_runs(lake, [replace(last, fence=token, digests=digests, outputs=[{"table": "corpus", "version": at}])])


def require_recipe(lake: str, recipe: Recipe) -> None:
    """Raise UserError where the lake was deduplicated or published by another recipe: what is settled anew must follow the same."""
    for name, of, said in (("dedup", "settled_by", _settings(lake)), ("publish", "settings", _published(lake))):
        module = sys.modules[stage.load(name).transform.__module__]
        context = stage.Context(None, stage.Job(lake=lake, recipe=recipe, source=""), {})  # type: ignore[arg-type]
        if said is not None and getattr(module, of)(context) != said:
            raise UserError(
                f"the last {name} followed another recipe (or version of the code): give the same with --recipe, or run {name} first"
            )


def _settings(lake: str) -> str | None:
    found = table_log.noted(lake, "clusters")
    return None if found is None else str(found["note"]["settings"])


def _published(lake: str) -> str | None:
    run = ledger.released(lake, "publish", pins.EVERY)
    return None if run is None else run.digests.get("recipe")


def settle(spark: SparkSession, lake: str, recipe: Recipe, by: str, say: Callable[[str], None]) -> None:
    """What follows from what was deleted: clusters, corpus, releases in the place of withdrawn ones.

    Where a warning waits for an answer, clusters are settled, and the corpus, which the pages have left, and the releases wait for it.
    """
    from crawlmill.takedowns import withdrawal

    if ledger.released(lake, "dedup", pins.EVERY) is None:
        return
    try:
        for name in ("dedup", "publish"):
            if name == "dedup" or ledger.released(lake, name, pins.EVERY):
                stage.run(stage.load(name), stage.Job(lake=lake, recipe=recipe, source="", run_id=f"{by}-{name}"), spark, say)
        withdrawal.succeed(spark, lake, say)
    except AnswerNeeded as error:
        say(f"the pages are gone; what takes their place waits: {error}")


def preview(spark: SparkSession, lake: str, order: Order) -> dict[str, Any]:
    """What an order would delete: `tables` (table -> snapshot -> rows) and `releases`. Changes nothing."""
    from crawlmill.takedowns import withdrawal

    known = orders.Orders([*orders.held(lake), order])
    return {"tables": count(spark, lake, look(spark, lake, known)), "releases": withdrawal.concerned(spark, lake, known)}


def execute(spark: SparkSession, lake: str, order: Order, recipe: Recipe, say: Callable[[str], None]) -> dict[str, int]:
    """The whole of it: withdraw releases, delete rows, settle what follows. Returns the captured pages deleted, by snapshot."""
    from crawlmill.takedowns import withdrawal

    orders.add(lake, order)
    for name in withdrawal.concerned(spark, lake, orders.ready(lake)):
        say(f"release {name} is withdrawn; {withdrawal.withdraw(lake, name, order.name)} will take its place")
    removed = delete(spark, lake, order, say)
    settle(spark, lake, recipe, order.name, say)
    return removed
