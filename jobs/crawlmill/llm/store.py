"""Where answers are kept: the table `llm_answers`, and a journal in front of it that loses nothing when the process dies.

An answer is appended to the journal (`<lake>/_control/llm_<snapshot>.jsonl`) the moment it is there, which a killed process does not undo,
and is on the disk a second later, which a machine that fails does not undo. The journal is folded into the table now and then, and
before anything else is asked. Where the lake is a bucket the journal lies on the driver's disk (CRAWLMILL_JOURNALS), which must then outlive
the process. The earliest answer to a request counts, so an answer never changes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from crawlmill import layout
from crawlmill.lake import fence, ledger
from crawlmill.text.hooks.chat import Response

TABLE = "llm_answers"
SYNC = 1.0  # seconds between two waits for the disk: one an answer would hold up all the others
Place = tuple[str, int]  # snapshot and shard: the partition in which an answer lies
_FIELDS = [name for name in Response.__dataclass_fields__ if name != "request"]


def _dataset(lake: str, at: int | None = None) -> Any:
    from deltalake import DeltaTable

    return DeltaTable(f"{lake}/{TABLE}", version=at).to_pyarrow_dataset()


@lru_cache(maxsize=8)
def of_shard(lake: str, at: int, snapshot: str, shard: int) -> Mapping[str, Response]:
    """The answers of a partition at a version, by the request's hash. Kept for the last few shards of a process."""
    import pyarrow.dataset as ds

    where = (ds.field("snapshot") == snapshot) & (ds.field("shard") == shard)
    rows = _dataset(lake, at).to_table(columns=["request", "answered_at", *_FIELDS], filter=where).to_pylist()
    found: dict[str, Response] = {}
    for row in sorted(rows, key=lambda row: (row.pop("answered_at"), row["text"])):
        found.setdefault(row["request"], Response(**row))
    return found


def places(lake: str) -> dict[str, Place]:
    """Where each request that was ever answered lies, for all snapshots; some 200 bytes a request."""
    found: dict[str, Place] = {}
    for batch in _dataset(lake).to_batches(columns=["request", "snapshot", "shard"]):
        rows = zip(*(batch.column(name).to_pylist() for name in ("request", "snapshot", "shard")), strict=True)
        found.update({request: (snapshot, shard) for request, snapshot, shard in rows})
    return found


def spent(lake: str, snapshot: str) -> tuple[int, float]:
    """Tokens and money that a snapshot's answers have taken; answers taken over from other requests cost nothing."""
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    columns = ["prompt_tokens", "completion_tokens", "cost"]
    where = (ds.field("snapshot") == snapshot) & ~ds.field("copied")
    rows = _dataset(lake).to_table(columns=columns, filter=where)
    tokens, written, cost = (pc.sum(rows[name]).as_py() or 0 for name in columns)
    return int(tokens + written), float(cost)


@dataclass
class Journal:
    """Answers of a snapshot that are not in the table yet. Opened under a lock: one process at a time asks for a snapshot."""

    lake: str
    snapshot: str
    handle: TextIO | None = None
    synced: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return layout.beside(self.lake) / f"llm_{self.snapshot}.jsonl"

    def add(self, shard: int, response: Response, copied: bool = False) -> None:
        """Write an answer down; when this returns, a kill of the process loses nothing."""
        row = {**asdict(response), "shard": shard, "copied": copied, "answered_at": datetime.now(UTC).isoformat()}
        if self.handle is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.handle = self.path.open("a", encoding="utf-8")
        self.handle.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.handle.flush()
        if time.monotonic() - self.synced > SYNC:
            os.fsync(self.handle.fileno())
            self.synced = time.monotonic()
        self.rows.append(row)

    def fold(self) -> int:
        """Move the journal into the table; returns how many answers were new. A crash in the middle leaves doubles in neither."""
        if self.handle:
            self.handle.close()
            self.handle = None
        rows = self._read() if self.path.exists() else []
        held = self._held({row["shard"] for row in rows})
        new = [row for row in rows if row["request"] not in held[row["shard"]]]
        if new:
            values = [
                {**row, "snapshot": self.snapshot, "answered_at": datetime.fromisoformat(row["answered_at"])} for row in new
            ]
            ledger.append_rows(self.lake, TABLE, values)
        self.path.unlink(missing_ok=True)
        self.rows.clear()
        return len(new)

    def _held(self, shards: set[int]) -> dict[int, Mapping[str, Response]]:
        from crawlmill.lake import table

        at = table.version(self.lake, TABLE)
        return {shard: of_shard(self.lake, at, self.snapshot, shard) for shard in shards}

    def _read(self) -> list[dict[str, Any]]:
        """The journal's whole lines; the first of several answers to a request in a shard. A line cut by a crash is no answer."""
        found: dict[tuple[int, str], dict[str, Any]] = {}
        with self.path.open("rb") as handle:
            for raw in handle:
                try:
                    row = json.loads(raw)
                    found.setdefault((row["shard"], row["request"]), row)
                except (ValueError, KeyError, TypeError):
                    continue
        return list(found.values())


def lock(lake: str, snapshot: str) -> Any:
    """Hold the right to ask for a snapshot."""
    return fence.lock(lake, f"llm@{snapshot}")


def fetch(lake: str, wanted: Iterable[tuple[str, Place]]) -> dict[str, Response]:
    """Answers by hash from the partitions in which they lie."""
    from crawlmill.lake import table

    at = table.version(lake, TABLE)
    found = {}
    for key, (snapshot, shard) in wanted:
        if response := of_shard(lake, at, snapshot, shard).get(key):
            found[key] = response
    return found
