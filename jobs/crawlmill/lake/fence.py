"""Locks and fencing tokens: what keeps two attempts at the same work apart.

An orphaned Spark driver may commit after its retry has started. Every attempt therefore draws a token that always grows; a commit is
allowed only while no later token covers its shards. Tokens and locks live in `<lake>/_control`.

In a folder a commit is made, and its token looked at, under the table's lock. In a bucket nobody holds a lock that is to be relied on: there the log store
(`infra/log-store`) looks at the holders before each conditional PUT of a commit, which is as tight and lets attempts at other shards commit at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from crawlmill.errors import Fenced
from crawlmill.lake.snapshot import format_shards
from crawlmill.storage import lake_files


def lock(lake: str, name: str) -> AbstractContextManager[None]:
    """Hold the lake's lock of this name; in a folder the kernel releases it when the process dies."""
    return lake_files.lock(lake, f"_control/{name}.lock")


def commits(lake: str, table: str) -> AbstractContextManager[None]:
    """Hold the right to commit to a table. In a bucket everybody has it: a commit is a conditional PUT, and Delta sorts out who was first."""
    return nullcontext() if lake_files.is_bucket(lake) else lock(lake, table)


def _holders(stage: str, snapshot: str) -> str:
    return f"_control/{stage}@{snapshot}.holders.json".replace("*", "all")


def draw(lake: str, stage: str, snapshot: str, shards: Sequence[int] | None, run_id: str, at_least: int = 0) -> int:
    """A token greater than every earlier one of this lake, recorded as the holder of these shards (None: all of them).

    `at_least` is the greatest token that the ledger knows: should `_control` be lost, tokens go on growing all the same.
    """
    last = "_control/fence.json"

    def grow(before: bytes | None) -> bytes:
        return str(max(int(lake_files.parsed(lake, last, before, 0)), at_least) + 1).encode()

    drawn, holders = lake_files.update(lake, last, grow), _holders(stage, snapshot)
    token, mine = int(drawn), None if shards is None else sorted(shards)

    def hold(before: bytes | None) -> bytes:
        # An earlier holder whose shards are all taken over needs no entry any more.
        held = [
            entry
            for entry in lake_files.parsed(lake, holders, before, [])
            if entry["token"] > token or not _covers(mine, entry["shards"])
        ]
        return json.dumps([*held, {"shards": mine, "token": token, "run_id": run_id}]).encode()

    lake_files.update(lake, holders, hold)
    return token


def _covers(mine: Sequence[int] | None, shards: Sequence[int] | None) -> bool:
    return mine is None or (shards is not None and set(mine).issuperset(shards))


def _held(lake: str, stage: str, snapshot: str) -> list[dict[str, Any]]:
    name = _holders(stage, snapshot)
    found: list[dict[str, Any]] = lake_files.parsed(lake, name, lake_files.read(lake, name), [])
    return found


def holder(lake: str, stage: str, snapshot: str, shard: int) -> int:
    """The token of the latest attempt that covers a shard; 0 where there is none."""
    held = _held(lake, stage, snapshot)
    return max((entry["token"] for entry in held if entry["shards"] is None or shard in entry["shards"]), default=0)


def newest(lake: str, stage: str, snapshot: str) -> int:
    """The token of the latest attempt at any shard; 0 where there is none."""
    return max((entry["token"] for entry in _held(lake, stage, snapshot)), default=0)


def check(lake: str, stage: str, snapshot: str, shards: Sequence[int] | None, token: int) -> None:
    """Raise Fenced if a later attempt holds any of these shards. Call it under the table's lock, right before the commit."""
    for entry in _held(lake, stage, snapshot):
        if entry["token"] > token and (shards is None or entry["shards"] is None or set(shards) & set(entry["shards"])):
            part = "all shards" if entry["shards"] is None else f"shards {format_shards(entry['shards'])}"
            raise Fenced(
                f"attempt {token} of {stage} on {snapshot} may not commit: attempt {entry['token']} (run {entry['run_id']}) "
                f"has taken over {part}; nothing is to be done if that one succeeds"
            )
