"""The small files of a lake beside its tables: tokens, holders, lists, manifests. The lake is a folder that all share, or a bucket (`s3a://bucket/prefix`).

A file appears whole or not at all. Of several processes that create one file, one succeeds; of several that change one file, each sees what the
others left: by hard links and locks in a folder, by conditional PUTs in a bucket (`bucket.py`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crawlmill.errors import UserError
from crawlmill.storage import bucket


@dataclass(frozen=True)
class File:
    """A file of a lake in a bucket, read as a path is."""

    root: str
    name: str

    def is_file(self) -> bool:
        return read(self.root, self.name) is not None

    def read_text(self) -> str:
        return (read(self.root, self.name) or b"").decode()

    def __str__(self) -> str:
        return f"{self.root}/{self.name}"


def at(root: str, name: str) -> Path | File:
    """A file of a lake, wherever the lake is."""
    return File(root, name) if is_bucket(root) else Path(root) / name


def is_bucket(root: str) -> bool:
    """Whether a lake lies in object storage."""
    return root.startswith("s3a://")


def read(root: str, name: str) -> bytes | None:
    """A file's content; None where it is not there."""
    if is_bucket(root):
        return bucket.read(root, name)[0]
    path = Path(root) / name
    return path.read_bytes() if path.is_file() else None


def create(root: str, name: str, content: bytes) -> bool:
    """Write a file that must not be there yet, whole or not at all; False where another process was first."""
    if is_bucket(root):
        return bucket.put(root, name, content, bucket.ABSENT)
    path = Path(root) / name
    draft = path.with_name(f".{uuid.uuid4()}.draft")
    try:
        _write(draft, content)
        os.link(draft, path)
        return True
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            draft.unlink()


def replace(root: str, name: str, content: bytes) -> None:
    """Write a file, in place of one of that name: a reader or a crash sees the old or the new one."""
    if is_bucket(root):
        bucket.put(root, name, content)
        return
    path = Path(root) / name
    draft = path.with_name(f".{uuid.uuid4()}.draft")
    try:
        _write(draft, content)
        draft.replace(path)
    finally:  # on a full disk
        draft.unlink(missing_ok=True)


def update(root: str, name: str, change: Callable[[bytes | None], bytes]) -> bytes:
    """Change a file as one step among all processes; `change` may be called again. Returns what was written."""
    if is_bucket(root):
        return bucket.update(root, name, change)
    with lock(root, f"{name}.lock"):
        content = change(read(root, name))
        replace(root, name, content)
        return content


def parsed(root: str, name: str, content: bytes | None, absent: Any) -> Any:
    """The JSON of a file that says who may write; `absent` where there is no such file.

    Raises UserError for one that is empty or no JSON: taken for absent, it would let a forgotten attempt write, too.
    """
    if content is None:
        return absent
    try:
        return json.loads(content)
    except ValueError:
        raise UserError(
            f"{root}/{name} is damaged: put it back from a copy, or delete it while no job of this lake runs (infra/RUNBOOK.md, ControlFileDamaged)"
        ) from None


def append(root: str, name: str, line: str) -> None:
    """Add a line at a file's end. In a folder that is one write, which a kill of the process does not undo.

    A line that an earlier writer has left half is ended first, so that it does not take this one with it. Raises OSError where this one comes out half.
    """
    content = f"{line}\n".encode()
    if is_bucket(root):
        bucket.update(root, name, lambda before: (before or b"") + content)
        return
    path = Path(root) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            content = b"\n" + content
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def names(root: str, folder: str) -> list[str]:
    """The files below a folder of the lake, as paths from the lake's root, sorted."""
    if is_bucket(root):
        return bucket.names(root, folder)
    base = Path(root)
    return sorted(str(path.relative_to(base)) for path in (base / folder).rglob("*") if path.is_file())


def holds(root: str, folder: str, suffix: str) -> bool:
    """Whether a folder of the lake has a file of this kind."""
    if is_bucket(root):
        return any(name.endswith(suffix) for name in bucket.names(root, folder, 100))
    return any((Path(root) / folder).glob(f"*{suffix}"))


def remove(root: str, name: str) -> None:
    """Take away a file, or a folder with everything in it; nothing happens where there is none."""
    if is_bucket(root):
        bucket.remove(root, name)
    elif (path := Path(root) / name).is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def sweep(root: str, hours: float) -> int:
    """Take away drafts that processes killed so many hours ago have left in a folder; returns how many. A bucket has none."""
    old = [] if is_bucket(root) else [path for path in Path(root).rglob(".*.draft") if path.is_file()]
    gone = 0
    for path in old:
        with suppress(FileNotFoundError):  # its writer is through
            if path.stat().st_mtime <= time.time() - 3600 * hours:
                path.unlink()
                gone += 1
    return gone


def dated(root: str, folder: str) -> list[tuple[str, datetime]]:
    """The files below a folder of the lake, as paths from the lake's root, sorted, and when each was written."""
    if is_bucket(root):
        return bucket.dated(root, folder)
    return [(name, datetime.fromtimestamp((Path(root) / name).stat().st_mtime, UTC)) for name in names(root, folder)]


def sizes(root: str, folder: str) -> dict[str, int]:
    """The files below a folder of the lake, as paths from the lake's root, and their bytes."""
    if is_bucket(root):
        return bucket.sizes(root, folder)
    return {name: (Path(root) / name).stat().st_size for name in names(root, folder)}


@contextmanager
def lock(root: str, name: str) -> Iterator[None]:
    """Hold a lock of a lake. In a folder the kernel releases it when the process dies; in a bucket it runs out after a minute.

    A lock in a bucket keeps work from being done twice; it does not make writing safe. What must not happen twice is a conditional PUT.
    """
    if is_bucket(root):
        with bucket.lease(root, name):
            yield
        return
    path = Path(root) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("w")
    except OSError as error:
        raise UserError(
            f"lake {root} cannot be written ({error.strerror}): give a folder with --lake or CRAWLMILL_LAKE"
        ) from None
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
