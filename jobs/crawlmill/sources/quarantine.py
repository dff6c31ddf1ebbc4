"""The sticky quarantine list of a lake: pages that held up or killed the extracting process.

A wall clock decides once. From then on the list does, so every later run of the lake rejects the same pages without trying them. It lies beside the
lake's locks, `_control/quarantine/<snapshot>.jsonl`, a line a page; to give a page another chance, delete its line. A page is listed for one
extraction backend, since another may well read it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from crawlmill.lake.snapshot import parse
from crawlmill.storage import lake_files

Place = tuple[int, int]  # offset and length of a record in its crawl file


@dataclass(frozen=True)
class Entry:
    """A listed page; `message` is what its reject says, now and later."""

    file_path: str
    offset: int
    length: int
    backend: str
    message: str


@dataclass(frozen=True)
class Quarantine:
    """The list of one snapshot of a lake. Safe for any number of writers: a line is one append."""

    lake: str
    snapshot: str

    @property
    def name(self) -> str:
        """The list's file in the lake."""
        return f"_control/quarantine/{parse(self.snapshot)}.jsonl"

    def add(self, entry: Entry) -> None:
        """List a page."""
        lake_files.append(self.lake, self.name, json.dumps(asdict(entry), sort_keys=True))

    def entries(self) -> list[Entry]:
        """All listed pages, oldest first; a line that a crash cut short is passed over."""
        found = []
        for line in (lake_files.read(self.lake, self.name) or b"").splitlines():
            try:
                found.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def of_file(self, file_path: str, backend: str) -> dict[Place, str]:
        """Place -> message of the pages of a crawl file; the first entry of a place holds."""
        found: dict[Place, str] = {}
        for entry in self.entries():
            if entry.file_path == file_path and entry.backend == backend:
                found.setdefault((entry.offset, entry.length), entry.message)
        return found
