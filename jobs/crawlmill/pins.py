"""Which versions of which tables a stage run reads: lineage as data.

A pin is (table, snapshot, version): the version at which that snapshot's partition passed. A run records the pins that it read and those
that its upstream runs read, so two runs can be told to rest on the same documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crawlmill import ledger
from crawlmill.errors import UserError
from crawlmill.ledger import RunRow

Pins = dict[tuple[str, str], int]  # (table, snapshot) -> version

WRITTEN_BY = {
    "crawl_files": "extract", "documents": "extract", "rejects": "extract", "languages": "identify", "rewrites": "rewrite",
    "rewrite_steps": "rewrite", "line_counts": "rewrite", "duplicate_lines": "rewrite",
    "signals": "measure", "contamination": "measure", "signatures": "sketch", "bands": "sketch", "verdicts": "gate",
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


def ingested(lake: str) -> tuple[Pins, dict[str, str]]:
    """Pins and keys of every snapshot that has passed gate and sketch on the same documents, newest such pair of runs.

    A snapshot that is just being ingested again keeps its last complete state; one that never was complete is not in it.
    """
    pins: Pins = {}
    keys: dict[str, str] = {}
    for snapshot in ledger.released_snapshots(lake, "gate"):
        gates = [run for run in ledger.runs(lake, "gate", snapshot) if run.verdict in ledger.RELEASED]
        sketches = [run for run in ledger.runs(lake, "sketch", snapshot) if run.verdict in ledger.RELEASED]
        pair = next(((g, s) for g in reversed(gates) for s in reversed(sketches) if agree(of(g), of(s))), None)
        if pair:
            pins |= of(pair[0]) | of(pair[1])
            keys[f"gate@{snapshot}"], keys[f"sketch@{snapshot}"] = pair[0].stage_key, pair[1].stage_key
    return pins, keys


def snapshots(pins: Pins) -> list[str]:
    """The snapshots that are pinned, in order."""
    return sorted({snapshot for _, snapshot in pins if snapshot != EVERY})
