"""Locks and fencing tokens: what keeps two attempts at the same work apart on a shared folder.

An orphaned Spark driver may commit after its retry has started. Every attempt therefore draws a token that always grows; a commit is
allowed only while no later token covers its shards. Tokens and locks live in `<lake>/_control`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crawlmill.errors import Fenced, UserError
from crawlmill.snapshot import format_shards


def _control(lake: str) -> Path:
    folder = Path(lake) / "_control"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"lake {lake} cannot be written ({error.strerror}): give a folder with --lake or CRAWLMILL_LAKE"
        ) from None
    return folder


@contextmanager
def lock(lake: str, name: str) -> Iterator[None]:
    """Hold the lake's lock of this name; released by the kernel when the process dies."""
    with (_control(lake) / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _write(path: Path, value: object) -> None:
    """Replace a small JSON file so that a reader or a crash sees the old or the new one."""
    draft = path.with_suffix(".draft")
    with draft.open("w") as handle:
        json.dump(value, handle)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)


def _holders(lake: str, stage: str, snapshot: str) -> Path:
    name = f"{stage}@{snapshot}".replace("*", "all")
    return _control(lake) / f"{name}.holders.json"


def draw(lake: str, stage: str, snapshot: str, shards: Sequence[int] | None, run_id: str, at_least: int = 0) -> int:
    """A token greater than every earlier one of this lake, recorded as the holder of these shards (None: all of them).

    `at_least` is the greatest token that the ledger knows: should `_control` be lost, tokens go on growing all the same.
    """
    with lock(lake, "fence"):
        counter = _control(lake) / "fence.json"
        token = max(json.loads(counter.read_text()) if counter.exists() else 0, at_least) + 1
        _write(counter, token)
        path = _holders(lake, stage, snapshot)
        held = json.loads(path.read_text()) if path.exists() else []
        if shards is None:
            held = []
        else:  # an earlier holder whose shards are all taken over needs no entry any more
            mine = set(shards)
            held = [entry for entry in held if entry["shards"] is None or not mine.issuperset(entry["shards"])]
        held.append({"shards": None if shards is None else sorted(shards), "token": token, "run_id": run_id})
        _write(path, held)
    return token


def holder(lake: str, stage: str, snapshot: str, shard: int) -> int:
    """The token of the latest attempt that covers a shard; 0 where there is none."""
    path = _holders(lake, stage, snapshot)
    held = json.loads(path.read_text()) if path.exists() else []
    return max((entry["token"] for entry in held if entry["shards"] is None or shard in entry["shards"]), default=0)


def newest(lake: str, stage: str, snapshot: str) -> int:
    """The token of the latest attempt at any shard; 0 where there is none."""
    path = _holders(lake, stage, snapshot)
    return max((entry["token"] for entry in (json.loads(path.read_text()) if path.exists() else [])), default=0)


def check(lake: str, stage: str, snapshot: str, shards: Sequence[int] | None, token: int) -> None:
    """Raise Fenced if a later attempt holds any of these shards. Call it under the table's lock, right before the commit."""
    path = _holders(lake, stage, snapshot)
    for entry in json.loads(path.read_text()) if path.exists() else []:
        if entry["token"] > token and (shards is None or entry["shards"] is None or set(shards) & set(entry["shards"])):
            part = "all shards" if entry["shards"] is None else f"shards {format_shards(entry['shards'])}"
            raise Fenced(
                f"attempt {token} of {stage} on {snapshot} may not commit: attempt {entry['token']} (run {entry['run_id']}) "
                f"has taken over {part}; nothing is to be done if that one succeeds"
            )
