"""What the log of a lake's table tells without Spark: what was said with its last commit, how large it is, whether an old version can still be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from crawlmill.lake.snapshot import parse
from crawlmill.storage import lake_files

# What Delta and `contract` commit without changing a row.
UNCHANGING = (
    "OPTIMIZE", "REORG", "VACUUM START", "VACUUM END", "CHANGE CONTRACT", "CREATE TABLE", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES",
    "UPGRADE PROTOCOL", "ADD CONSTRAINT", "COMPUTE STATS",
)  # fmt: skip


def changed_at(lake: str, table: str) -> int:
    """The newest version in which rows changed: maintenance makes versions that hold the same rows."""
    from deltalake import DeltaTable

    history = DeltaTable(f"{lake}/{table}").history()
    return int(next((entry["version"] for entry in history if entry.get("operation") not in UNCHANGING), 0))


def noted(lake: str, table: str) -> dict[str, Any] | None:
    """What the last commit that changed a table's rows was told to remember, with its `fence`; None where it was told nothing."""
    from deltalake import DeltaTable

    for entry in DeltaTable(f"{lake}/{table}").history():
        if entry.get("operation") not in UNCHANGING:
            found: dict[str, Any] = json.loads(entry.get("userMetadata") or "{}")
            return found if "note" in found else None
    return None


def versions(lake: str, table: str, most: int) -> list[dict[str, Any]]:
    """The newest versions of a table: when, by which operation, stage and run, on which snapshot, how many rows and files."""
    from deltalake import DeltaTable

    return [_version(entry) for entry in DeltaTable(f"{lake}/{table}").history(most)]


def _version(entry: dict[str, Any]) -> dict[str, Any]:
    who = json.loads(entry.get("userMetadata") or "{}")
    metrics = entry.get("operationMetrics") or {}
    return {
        "version": entry["version"], "time": datetime.fromtimestamp(entry["timestamp"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "operation": entry.get("operation", ""), "stage": who.get("stage", ""), "snapshot": who.get("snapshot", ""),
        "rows": str(metrics.get("numOutputRows", metrics.get("num_added_rows", ""))),
        "files": str(metrics.get("numFiles", metrics.get("num_added_files", ""))), "run": who.get("run_id", ""),
    }  # fmt: skip


def size(lake: str, table: str, snapshot: str | None = None) -> int:
    """Bytes of the data files of a table's newest version, or of a snapshot's partition of it."""
    from deltalake import DeltaTable

    files = DeltaTable(f"{lake}/{table}").get_add_actions(flatten=True)
    sizes = files["size_bytes"].to_pylist()
    if snapshot is None:
        return sum(sizes)
    return sum(size for size, of in zip(sizes, files["partition.snapshot"].to_pylist(), strict=True) if of == snapshot)


def empty(lake: str, table: str) -> bool:
    """Whether a table's newest version has no data file."""
    from deltalake import DeltaTable

    return not DeltaTable(f"{lake}/{table}").file_uris()


def readable(lake: str, table: str, at: int, snapshot: str | None = None) -> bool:
    """Whether a version, or a snapshot's partition of it, can still be read: VACUUM may have taken its files or its log."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        files = DeltaTable(f"{lake}/{table}", version=at).file_uris([("snapshot", "=", parse(snapshot))] if snapshot else None)
    except (DeltaError, OSError, FileNotFoundError):
        return False
    if not files:
        return True
    if lake_files.is_bucket(lake):  # a listing is a request a thousand files
        held = set(lake_files.names(lake, f"{table}/snapshot={snapshot}" if snapshot else table))
        return all(f"{table}/{name.partition(f'/{table}/')[2]}" in held for name in files)
    return all(Path(unquote(name)).exists() for name in files)


def unbroken(lake: str, table: str, first: int, last: int) -> bool:
    """Whether the log still holds every commit from one version to another, and none of them changed the contract."""
    from deltalake import DeltaTable

    held = {entry["version"]: entry.get("operation") for entry in DeltaTable(f"{lake}/{table}").history()}
    return held.keys() >= set(range(first, last + 1)) and "CHANGE CONTRACT" not in (held[at] for at in range(first + 1, last + 1))


def writers(lake: str, table: str, snapshot: str, since: int, until: int) -> set[str]:
    """The stages that wrote to a snapshot's partitions after one version, up to another."""
    from deltalake import DeltaTable

    found = set()
    for entry in DeltaTable(f"{lake}/{table}", version=until).history():  # newest first
        if entry["version"] <= since:
            break
        said = json.loads(entry.get("userMetadata") or "{}")
        if said.get("snapshot") == snapshot:
            found.add(str(said.get("stage")))
    return found
