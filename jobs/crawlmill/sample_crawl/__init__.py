"""A small crawl of invented pages, shaped like Common Crawl's and the same to the byte wherever it is written.

Two snapshots with some hundred pages each in twenty languages: articles, their exact and near copies within and across the snapshots, the
pages that no corpus wants, and records that are broken. `truth.jsonl` beside `collinfo.json` says of every capture what it is.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from crawlmill.errors import UserError
from crawlmill.sample_crawl.mirror import TRUTH, write_files
from crawlmill.sample_crawl.oddities import HEALED_CUT_URL, HEALED_URL
from crawlmill.sample_crawl.pages import KINDS, SNAPSHOTS

__all__ = ["HEALED_CUT_URL", "HEALED_URL", "KINDS", "SNAPSHOTS", "TRUTH", "Summary", "write"]


@dataclass(frozen=True)
class Summary:
    """What was written: captures by snapshot, distinct languages and scripts, captures by kind, and bytes on disk."""

    directory: Path
    pages: dict[str, int]
    languages: int
    scripts: int
    kinds: dict[str, int]
    files: int
    bytes: int

    def __str__(self) -> str:
        snapshots = ", ".join(f"{snapshot} ({count} pages)" for snapshot, count in self.pages.items())
        return f"{self.directory}: {snapshots}; {self.languages} languages, {self.scripts} scripts, {self.files} files, {self.bytes / 1e6:.1f} MB"


def write(directory: Path, earlier: int = 0) -> Summary:
    """Write the sample crawl below a directory, over an older one of its kind.

    Args:
        directory: made where absent; its root then serves as a crawl's base address.
        earlier: how many smaller snapshots to write beside the two: up to 4 of some 70 pages, then up to 20 of a dozen; the two are the same to the byte.

    Raises:
        UserError: the directory cannot be written.
    """
    try:
        mirror = write_files(directory, earlier)
    except OSError as error:
        raise UserError(
            f"cannot write the sample crawl to {directory} ({error.strerror}): name a folder that you may write to"
        ) from error
    rows = [json.loads(line) for line in mirror[TRUTH].splitlines()]
    written = [row for row in rows if row["language"] != "und"]
    return Summary(
        directory=directory, pages=dict(Counter(row["snapshot"] for row in rows)), languages=len({row["language"] for row in written}),
        scripts=len({row["script"] for row in written}), kinds=dict(sorted(Counter(row["kind"] for row in rows).items())), files=len(mirror),
        bytes=sum(map(len, mirror.values())),
    )  # fmt: skip
