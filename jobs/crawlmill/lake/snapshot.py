"""Snapshot ids and shards: the two partition keys of every per-document table."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crawlmill.errors import UserError

SNAPSHOT = re.compile(r"CC-MAIN-20\d\d-\d\d(?:-\d\d)?", re.ASCII)
FILES_PER_SHARD = 90  # where that makes no more than MAX_SHARDS: 90,000 crawl files of a real snapshot are 900 shards of 100
MAX_SHARDS = 900  # of captured pages
RESERVED = tuple(range(MAX_SHARDS, 1000))  # shards of derived documents


def parse(snapshot: str) -> str:
    """The id itself if it has the form of a Common Crawl id; raises UserError otherwise.

    Ids reach `replaceWhere` and paths, so nothing else may pass: `x' OR 1=1` would replace a whole table.
    """
    if not SNAPSHOT.fullmatch(snapshot):
        raise UserError(
            f"snapshot id {snapshot[:100]!r} is not of the form CC-MAIN-YYYY-WW; `crawlmill snapshots` lists the known ones"
        )
    return snapshot


def shard_count(files: int, setting: int | str = "auto") -> int:
    """Shards of a snapshot with this many listed crawl files; fixed per snapshot, since it depends on the whole listing only."""
    if setting != "auto":
        return int(setting)
    return min(MAX_SHARDS, max(min(2, files), -(-files // FILES_PER_SHARD)))


def shard_of(file_path: str, count: int) -> int:
    """The shard of a crawl file: a function of its path and the count, never of the order of the listing."""
    return int.from_bytes(hashlib.sha256(file_path.encode()).digest()[:8], "big") % count


def segment_of(file_path: str) -> str:
    """The segment of a crawl file, by Common Crawl's layout `…/segments/<segment>/…`; empty where the path has none."""
    return file_path.rpartition("segments/")[2].partition("/")[0] if "segments/" in file_path else ""


def reserved(shard: int) -> int:
    """The shard of documents that are derived from one of a shard of captured pages."""
    return RESERVED[shard % len(RESERVED)]


@dataclass(frozen=True)
class Listing:
    """The crawl files of a snapshot that a recipe selects, by shard."""

    snapshot: str
    count: int
    shards: dict[int, list[str]]

    @property
    def digest(self) -> str:
        """What the extract stage's key depends on: the shard count and every path."""
        lines = [str(self.count), *(f"{shard} {path}" for shard, paths in sorted(self.shards.items()) for path in paths)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def files(self, shards: Iterable[int] | None = None) -> list[tuple[int, str]]:
        """(shard, path) of the given shards, all by default."""
        wanted = sorted(self.shards) if shards is None else sorted(shards)
        return [(shard, path) for shard in wanted for path in self.shards.get(shard, [])]


def listing(
    snapshot: str,
    paths: Sequence[str],
    setting: int | str = "auto",
    sample: int | None = None,
    seed: int = 0,
    segments: Sequence[str] | None = None,
) -> Listing:
    """Shard a snapshot's crawl files, of all segments or of some.

    `sample` keeps that many, chosen by the hash of seed and path and so the same ones always. A file's shard does not depend on what is chosen.
    """
    count = shard_count(len(paths), setting)
    wanted = None if segments is None else set(segments)
    chosen = sorted(path for path in paths if wanted is None or segment_of(path) in wanted)
    if sample is not None:
        chosen = sorted(sorted(chosen, key=lambda path: hashlib.sha256(f"{seed} {path}".encode()).digest())[:sample])
    shards: dict[int, list[str]] = {}
    for path in chosen:
        shards.setdefault(shard_of(path, count), []).append(path)
    return Listing(snapshot, count, shards)


def parse_shards(text: str | None) -> list[int] | None:
    """`0-3,7` as [0, 1, 2, 3, 7]; None and '' mean all."""
    if not text:
        return None
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not match or not int(match[1]) <= int(match[2] or match[1]) < MAX_SHARDS:
            raise UserError(f"shards {text!r} are not of the form 0-3,7 with numbers below {MAX_SHARDS}")
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return sorted(found)


def format_shards(shards: Sequence[int]) -> str:
    """The reverse of parse_shards: [0, 1, 2, 7] as `0-2,7`."""
    runs: list[list[int]] = []
    for shard in sorted(shards):
        if runs and shard == runs[-1][1] + 1:
            runs[-1][1] = shard
        else:
            runs.append([shard, shard])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def groups(found: Listing, files_per_group: int = FILES_PER_SHARD) -> list[list[int]]:
    """Shards in groups of about so many crawl files: the units that Airflow maps over and retries."""
    out: list[list[int]] = []
    files = files_per_group
    for shard, paths in sorted(found.shards.items()):
        if files >= files_per_group or files + len(paths) > files_per_group:
            out.append([])
            files = 0
        out[-1].append(shard)
        files += len(paths)
    return out
