"""A crawl file as Arrow batches for the extract stage; a file that cannot be had is a row, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from crawlmill.errors import CrawlmillError
from crawlmill.sources import fetch
from crawlmill.sources.guard import Progress, guarded
from crawlmill.sources.pages import read_pages
from crawlmill.sources.patience import Patience
from crawlmill.sources.quarantine import Entry, Place, Quarantine
from crawlmill.sources.selection import selection
from crawlmill.takedowns import orders
from crawlmill.text import charset, html, url
from crawlmill.text.options import Options

if TYPE_CHECKING:
    from crawlmill.recipes.recipe_extract import Extract

BATCH_CHARS = 4 << 20
BATCH_ROWS = 1000


@dataclass(frozen=True)
class Reading:
    """How crawl files are read: where they are, the recipe's section `extract`, the lake's quarantine list, the schema
    of the batches, how long to ask for a file."""

    source: str
    options: Extract
    schema: pa.Schema = field(repr=False)
    quarantine: Quarantine | None = None
    patience: Patience = field(default_factory=Patience)

    def batches(self, file_path: str, shard: int) -> Iterator[pa.RecordBatch]:
        """Batches of (shard, document, reject, file, links): in each row one of the structs is set; `links` belongs to its document.

        With `guard_seconds` pages are extracted in a child process that may be killed. Raises UserError where a list of the recipe is absent.
        """
        wanted = selection(self.options.select)
        if self.quarantine:
            wanted = replace(wanted, orders=orders.ready(self.quarantine.lake))
        _warm_up(self.options.text_options())  # both once a process: children inherit them
        try:
            with fetch.open_file(self.source, file_path, self.patience) as stream:
                yield from self._read(stream, file_path, shard, wanted)
        except CrawlmillError as error:
            yield self._batch([{"shard": shard, "file": _not_had(file_path, self.options.kind, str(error))}])

    def _read(self, stream: BinaryIO, file_path: str, shard: int, wanted: Any) -> Iterator[pa.RecordBatch]:
        listed = self.quarantine.of_file(file_path, self.options.backend) if self.quarantine else {}
        work = partial(self._work, stream, file_path, shard, wanted)
        if self.options.guard_seconds is None:
            yield from work(Progress(quarantined=listed))
            return
        yield from guarded(work, self.schema, self.options.guard_seconds, listed, partial(self._give_up, file_path))

    def _give_up(self, file_path: str, place: Place, message: str) -> None:
        if self.quarantine:
            self.quarantine.add(Entry(file_path, *place, self.options.backend, message))

    def _work(self, stream: BinaryIO, file_path: str, shard: int, wanted: Any, progress: Progress) -> Iterator[pa.RecordBatch]:
        options, rows, chars = self.options, list[dict[str, Any]](), 0
        stream.seek(0)
        for row in read_pages(stream, file_path, options.kind, options.read_limits(), options.text_options(), wanted, progress):
            rows.append({"shard": shard, "links": row.pop("links", None), row.pop("row"): row})
            chars += len(row.get("text") or "")
            if chars >= BATCH_CHARS or len(rows) >= BATCH_ROWS:
                yield self._batch(rows)
                rows, chars = [], 0
        yield self._batch(rows)

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(rows, schema=self.schema)


@cache
def _warm_up(how: Options) -> None:
    """Load models, lists and libraries here: otherwise the child of every crawl file would."""
    prose = "A page of prose, so that a backend has something to find and loads what it needs for that. " * 5
    html.extract(f"<html><body><main><p>{prose}</p><p>{prose}</p></main></body></html>", "https://www.example.org/", how)
    charset.decode(b"caf\xe9")
    url.domain("www.example.org")


def _not_had(file_path: str, kind: str, error: str) -> dict[str, Any]:
    """The row of a crawl file of which nothing could be read."""
    counts = dict.fromkeys(("bytes", "records", "responses", "documents", "rejects", "damaged"), 0)
    return {"file_path": file_path, "kind": kind, "state": "failed", "attempts": 1, "error": error, **counts}
