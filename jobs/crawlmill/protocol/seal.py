"""The end of a stage run: once every shard is committed, judge the snapshot and release it, or not.

Counts and CHECK constraints hold per shard; expectations are run once per (table, snapshot), by whichever attempt completes the set.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from crawlmill.contracts import contract
from crawlmill.lake import fence, ledger, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol.stage import Context, Stage, judge

SEVERITY = {"passed": 0, "warned": 1, "failed": 2}


def settle(stage: Stage, context: Context, row: RunRow, say: Callable[[str], None]) -> RunRow:
    """Record the attempt and, if it completes the snapshot, the verdict on it."""
    lake = context.job.lake
    if row.shards is not None:
        ledger.append_run(lake, row)
        with fence.lock(lake, f"seal@{stage.name}@{row.snapshot.replace('*', 'all')}"):
            complete = _all_shards(stage, context, row)
            if complete is None:
                say(f"{stage.name} {row.snapshot}: committed; other shards are still to come")
                return row
            _drop_other_shards(stage, context, complete)
            return _release(stage, context, complete, say)
    return _release(stage, context, row, say)


def _drop_other_shards(stage: Stage, context: Context, row: RunRow) -> None:
    """Delete partitions of shards that the listing no longer has (another sample, another count): nobody else would replace them."""
    wanted = set(context.listing.shards) if context.listing else set()
    for entry in row.outputs:
        left = table.shards_of(context.job.lake, entry["table"], row.snapshot) - wanted
        if left:
            commit = table.Commit(
                context.job.lake, stage.name, row.snapshot, sorted(left), row.fence, {"run_id": row.run_id, "drops": True}
            )
            entry["version"] = commit.drop(entry["table"], context.spark)


def _all_shards(stage: Stage, context: Context, row: RunRow) -> RunRow | None:
    """The run of the whole snapshot, put together from the attempts on its shards; None while some are missing."""
    wanted = set(context.listing.shards) if context.listing else set()
    latest: dict[int, RunRow] = {}
    for run in ledger.runs(context.job.lake, stage.name, row.snapshot):  # oldest first, whatever their key
        if run.verdict == "committed":
            latest.update(dict.fromkeys(run.shards or sorted(wanted), run))
    # A shard counts if the attempt that holds it is the one that committed under this key: what another recipe, a whole run or an
    # attempt that died after its commit has left in the table is not what the ledger says.
    held = {
        shard for shard, run in latest.items() if run.fence == fence.holder(context.job.lake, stage.name, row.snapshot, shard)
    }
    if not wanted or any(shard not in held or latest[shard].stage_key != row.stage_key for shard in wanted):
        return None
    latest = {shard: latest[shard] for shard in sorted(wanted)}
    parts = {id(run): run for run in latest.values()}.values()
    counts = [count for shard, run in latest.items() for count in run.counts if count["shard"] == shard]
    written = [*stage.writes, *(name for name in stage.optional if all(run.wrote(name) for run in parts))]
    outputs = [{"table": name, "version": max(run.output(name) for run in parts)} for name in written]
    digests = {name: digest for run in parts for name, digest in run.digests.items()}
    whole = {
        **vars(row),
        "shards": None,
        "verdict": "committed",
        "digests": digests,
        "counts": counts,
        "outputs": outputs,
        "seconds": sum(run.seconds for run in parts),
    }
    return RunRow(**whole)


def _release(stage: Stage, context: Context, row: RunRow, say: Callable[[str], None]) -> RunRow:
    """Run the expectations on what was written, write `quality` and `runs`; raise CriticalFailure where a critical one fails."""
    from crawlmill.contracts import audit, facts
    from crawlmill.protocol import drift

    say(f"{stage.name} {row.snapshot}: judging what was written")
    results: list[tuple[str, int, Any]] = []
    for entry in row.outputs:
        name, at = entry["table"], entry["version"]
        own = None if row.snapshot == pins.EVERY else row.snapshot
        stage_partition = stage.name if "stage" in contract.load(name).partition_columns else None
        rows = table.read(context.spark, context.job.lake, name, at, table.partition(own, stage.owns(name), stage_partition))
        written = contract.load(name)
        if name in stage.borrows and not any(count["written"] for count in row.counts):
            continue  # nothing was derived, which breaks no expectation on documents
        if written.expectations:
            results += [(name, at, result) for result in audit.audit(rows, written, parameters(context, row))]
        if written.comparisons:
            found = facts.of(name, rows)
            results += [(name, at, result) for result in drift.judge(context.job.lake, row, written, context.recipe, found)]
            row.by_language = facts.by_language(found.documents) or row.by_language
    row.verdict = audit.verdict([result for _, _, result in results])
    broken = [f"{name}: {message(result)}" for name, _, result in results if not result.success and result.severity != "info"]
    row.message = "; ".join(broken) or None
    row.finished_at = datetime.now(UTC)
    ledger.append_quality(context.job.lake, [_quality(row, name, at, result) for name, at, result in results])
    ledger.append_run(context.job.lake, row)
    critical = [f"{name}: {message(r)}" for name, _, r in results if not r.success and r.severity == "critical"]
    judge(row, critical)
    return row


def parameters(context: Context, row: RunRow) -> dict[str, Any]:
    """What expectations may refer to by `$PARAMETER`: the counts of this run, of the nearest older snapshot that passed, and of the listing."""
    from crawlmill.protocol import drift

    written = sum(count["written"] for count in row.counts)
    older = drift.baseline(context.job.lake, row.stage, row.snapshot)
    found = {"written": written, "baseline_written": sum(count["written"] for count in older.counts) if older else None}
    return found | ({"listed_files": len(context.listing.files(None))} if context.listing else {})


def message(result: Any) -> str:
    """One clause on a failed expectation: what was expected, what was seen, three rows."""
    seen = result.error or f"observed {result.observed}"
    rows = f", for example {ledger.dumps(result.samples)}" if result.samples else ""
    return f"{result.description} ({seen}{rows})"


def _quality(row: RunRow, name: str, at: int, result: Any) -> dict[str, Any]:
    return {
        "snapshot": row.snapshot, "stage": row.stage, "table": name, "version": at, "run_id": row.run_id, "expectation": result.expectation,
        "column": result.column, "severity": result.severity, "description": result.description, "success": result.success,
        "observed": ledger.dumps(result.observed), "limit": ledger.dumps(result.limit), "samples": ledger.dumps(result.samples),
        "error": result.error, "answer": None, "checked_at": row.finished_at,
    }  # fmt: skip
