"""Which versions of which tables a stage run reads: lineage as data.

A pin is (table, snapshot, version): the version at which that snapshot's partition passed. A run records the pins that it read and those
that its upstream runs read, so two runs can be told to rest on the same documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.lake.ledger import RunRow

Pins = dict[tuple[str, str], int]  # (table, snapshot) -> version

WRITTEN_BY = {
    "crawl_files": "extract", "documents": "extract", "rejects": "extract", "languages": "identify", "rewrites": "rewrite",
    "rewrite_steps": "rewrite", "line_counts": "rewrite", "duplicate_lines": "rewrite",
    "signals": "measure", "contamination": "measure", "signatures": "sketch", "bands": "sketch", "verdicts": "gate", "page_index": "gate",
    "recycled": "recycle",
    "pairs": "dedup", "clusters": "dedup", "removals": "dedup", "corpus": "publish",
    "external_scores": "load-scores",
}  # fmt: skip
EVERY = "*"  # the snapshot of a run over all snapshots


def of(run: RunRow) -> Pins:
    """What may be read together with this run: its outputs and everything it rests on."""
    pins = {(entry["table"], entry["snapshot"]): int(entry["version"]) for entry in run.inputs}
    return pins | {(entry["table"], run.snapshot): int(entry["version"]) for entry in run.outputs}


def rows(pins: Pins) -> list[dict[str, Any]]:
    """Pins as the ledger stores them."""
    return [{"table": table, "snapshot": snapshot, "version": at} for (table, snapshot), at in sorted(pins.items())]


def agree(left: Pins, right: Pins) -> bool:
    """Whether two runs rest on the same versions wherever both rest on the same table and snapshot."""
    return all(right.get(key, at) == at for key, at in left.items())


def for_snapshot(lake: str, stage: str, snapshot: str, reads: Iterable[str]) -> tuple[Pins, dict[str, str]]:
    """Pins and upstream stage keys of a stage that works on one snapshot.

    Raises UserError where an upstream stage has not passed, or rests on other versions than its siblings.
    """
    pins: Pins = {}
    keys: dict[str, str] = {}
    for upstream in dict.fromkeys(WRITTEN_BY[name] for name in reads):
        run = ledger.released(lake, upstream, snapshot)
        if run is None:
            raise UserError(
                f"{stage} needs what {upstream} writes for {snapshot}, and {upstream} has not passed: run {upstream} first"
            )
        if not agree(pins, of(run)):
            raise UserError(
                f"{upstream} of {snapshot} rests on other versions than the stages beside it: run {upstream} again first"
            )
        pins |= of(run)
        keys[upstream] = run.stage_key
    return pins, keys


def ingested(lake: str, recycled: bool = False) -> tuple[Pins, dict[str, str]]:
    """Pins and keys of every snapshot that has passed gate and sketch on the same documents, newest such pair of runs.

    `recycled`: with derived documents, at the versions that the newest run of recycle left, which rests on such a pair.
    A snapshot that is just being ingested again keeps its last complete state; one that never was complete is not in it.
    """
    pins: Pins = {}
    keys: dict[str, str] = {}
    done = ledger.released_snapshots(lake, "recycle") if recycled else {}
    for snapshot in ledger.released_snapshots(lake, "gate"):
        if snapshot in done:
            pins |= of(done[snapshot])
            keys[f"recycle@{snapshot}"] = done[snapshot].stage_key
            continue
        if pair := complete(ledger.runs(lake, snapshot=snapshot)):
            pins |= of(pair[0]) | of(pair[1])
            keys[f"gate@{snapshot}"], keys[f"sketch@{snapshot}"] = pair[0].stage_key, pair[1].stage_key
    return pins, keys


def complete(runs: Iterable[RunRow]) -> tuple[RunRow, RunRow] | None:
    """Of a snapshot's runs, oldest first, the newest released ones of gate and sketch that rest on the same versions."""
    passed = [run for run in runs if run.verdict in ledger.RELEASED]
    gates, sketches = ([run for run in passed if run.stage == name] for name in ("gate", "sketch"))
    return next(((g, s) for g in reversed(gates) for s in reversed(sketches) if agree(of(g), of(s))), None)


def snapshots(pins: Pins) -> list[str]:
    """The snapshots that are pinned, in order."""
    return sorted({snapshot for _, snapshot in pins if snapshot != EVERY})


def newest(lake: str, snapshot: str) -> dict[str, int]:
    """Table -> version of a snapshot's tables as far as it has come in one piece; empty where extract has not passed."""
    return together(ledger.runs(lake, snapshot=snapshot))


def every_newest(lake: str) -> dict[str, dict[str, int]]:
    """The same for every snapshot that has passed extract, with derived documents; from one reading of the ledger, oldest snapshot first."""
    by_snapshot: dict[str, list[RunRow]] = {}
    for run in ledger.runs(lake):
        by_snapshot.setdefault(run.snapshot, []).append(run)
    found = {snapshot: together(own) for snapshot, own in sorted(by_snapshot.items()) if snapshot != EVERY}
    return {snapshot: at | derived(by_snapshot[snapshot], at) for snapshot, at in found.items() if at}


def derived(runs: Iterable[RunRow], at: dict[str, int]) -> dict[str, int]:
    """The versions with derived documents: what the last run of recycle wrote, where it rests on the versions `at`; else nothing."""
    done = [run for run in runs if run.stage == "recycle" and run.verdict in ledger.RELEASED]
    if not done:
        return {}
    read = {entry["table"]: int(entry["version"]) for entry in done[-1].inputs if entry["snapshot"] == done[-1].snapshot}
    if any(read.get(table, version) != version for table, version in at.items()):
        return {}
    return {entry["table"]: int(entry["version"]) for entry in done[-1].outputs}


def together(runs: Iterable[RunRow]) -> dict[str, int]:
    """The versions of one snapshot's runs that belong together, those of the last gate while stages before it are run again."""
    latest = {run.stage: run for run in runs if run.verdict in ledger.RELEASED}
    extract = latest.get("extract")
    if extract is None:
        return {}
    whole = latest.get("gate") or latest.get("identify") or extract
    both = of(extract) | of(whole)
    return {table: version for (table, snapshot), version in both.items() if snapshot == extract.snapshot}
