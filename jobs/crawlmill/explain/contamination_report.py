"""Overlap with reference sets in the lake, by snapshot and set, read without Spark: the table holds overlapping documents only."""

from __future__ import annotations

from typing import Any

from crawlmill.lake import ledger, table


def report(lake: str) -> list[dict[str, Any]]:
    """A row per snapshot and set: documents that overlap, examples of the set that they meet, the longest stretch in tokens.

    Of the last released run of measure on each snapshot; a snapshot measured without reference sets has no row, one in which nothing
    overlaps neither.
    """
    found: list[dict[str, Any]] = []
    for snapshot, run in ledger.released_snapshots(lake, "measure").items():
        versions = [int(entry["version"]) for entry in run.outputs if entry["table"] == "contamination"]
        if versions:
            found += _of_snapshot(lake, snapshot, versions[0])
    return found


def _of_snapshot(lake: str, snapshot: str, version: int) -> list[dict[str, Any]]:
    from deltalake import DeltaTable

    held = DeltaTable(table.path(lake, "contamination"), version=version)
    columns = ["reference", "kind", "ngram", "overlaps", "longest", "share", "examples"]
    sets: dict[tuple[str, str], dict[str, Any]] = {}
    for batch in held.to_pyarrow_dataset(partitions=[("snapshot", "=", snapshot)]).to_batches(columns=columns):
        for row in batch.to_pylist():
            own = sets.setdefault(
                (row["kind"], row["reference"]), {"documents": 0, "examples": set(), "longest": 0, "ngram": row["ngram"]}
            )
            own["documents"] += 1
            own["examples"].update(row["examples"])
            own["longest"] = max(own["longest"], row["longest"])
    return [
        {
            "snapshot": snapshot, "reference": reference, "kind": kind, "ngram": own["ngram"], "documents": own["documents"],
            "examples met": len(own["examples"]), "longest": own["longest"],
        }
        for (kind, reference), own in sorted(sets.items())
    ]  # fmt: skip
