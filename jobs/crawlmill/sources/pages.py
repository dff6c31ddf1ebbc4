"""A crawl file as rows: documents, rejects and the file's own counts. What the extract stage and `crawlmill text` share."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from crawlmill.limits import Limits
from crawlmill.sources.fetch import open_local
from crawlmill.sources.guard import Progress
from crawlmill.sources.reasons import REASONS
from crawlmill.sources.record import Counts, Record, Reject
from crawlmill.sources.records import Kind, read_records
from crawlmill.sources.selection import EVERYTHING, Selection
from crawlmill.text import charset, html, url
from crawlmill.text.links import Link
from crawlmill.text.options import Options

DEFAULT = Limits()
XML = frozenset({"text/xml", "application/xml", "application/rss+xml", "application/atom+xml"})
UNFIT = {
    "empty_file": "failed",
    "not_a_crawl_file": "failed",
    "truncated_file": "damaged",
}  # reason of a reject -> state of the file
EVERY_TEXT = ("text/html", "application/xhtml+xml", "text/plain", *sorted(XML))
"""Media types for a reader that wants every page with text, feeds too: `Limits(mimes=EVERY_TEXT)`."""


def read_pages(
    stream_or_path: BinaryIO | str | Path,
    file_path: str,
    kind: Kind | None = "warc",
    limits: Limits = DEFAULT,
    how: Options | str = "crawlmill",
    selection: Selection = EVERYTHING,
    progress: Progress | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of one crawl file, in file order. Each dict has `row`, one of

    * `document`: the columns of `documents` but snapshot and shard,
    * `reject`: the columns of `rejects` but snapshot, shard and stage,
    * `file`, once and last: the columns of `crawl_files` but snapshot and shard, and `skipped`, the warcinfo, request and metadata records;
      records = documents + rejects + skipped.

    `kind` None takes WARC responses and WET conversions alike. `how`: a backend's name, or options; where they ask for outlinks a document has `links`, too
    (position, url, host, text, rel). `progress` says which rows and pages to pass over and is told of every step. Memory holds
    one record. Raises UserError: unreadable path, unknown backend.
    """
    counts, progress = Counts(), progress or Progress()
    state, failure = "done", ""
    with ExitStack() as stack:
        file = _seekable(stream_or_path, stack)
        for number, found in enumerate(read_records(file, kind, limits, counts, selection)):
            if isinstance(found, Reject) and found.reason in UNFIT:
                state, failure = UNFIT[found.reason], found.message
            if number < progress.skip:
                continue
            row = _row(found, file_path, limits, how, progress)
            progress.rows += 1
            progress.documents += row["row"] == "document"
            progress.rejects += row["row"] == "reject"
            yield row
        attempts = getattr(file, "attempts", 1)
    yield {
        "row": "file",
        "file_path": file_path,
        "kind": kind or "warc",
        "state": "failed" if counts.failure else state,
        "bytes": counts.reached if counts.failure else counts.stored_bytes,
        "records": counts.records,
        "responses": counts.responses,
        "documents": progress.documents,
        "rejects": progress.rejects,
        "damaged": counts.damaged,
        "skipped": counts.skipped,
        "attempts": attempts,
        "error": counts.failure or failure or None,
    }


def _row(found: Record | Reject, file_path: str, limits: Limits, how: Options | str, progress: Progress) -> dict[str, Any]:
    if isinstance(found, Reject):
        return _reject(found, file_path)
    if (message := progress.quarantined.get((found.offset, found.length))) is not None:
        return _reject(Reject(found.offset, found.length, "quarantined", message, found.record_id, found.target_uri), file_path)
    progress.begin(found.offset, found.length)
    row = _page(found, file_path, limits, how)
    progress.end()
    return row


def _seekable(stream_or_path: BinaryIO | str | Path, stack: ExitStack) -> BinaryIO:
    if isinstance(stream_or_path, (str, Path)):
        return stack.enter_context(open_local(Path(stream_or_path)))
    if stream_or_path.seekable():
        return stream_or_path
    spool = stack.enter_context(tempfile.TemporaryFile(prefix="crawlmill-"))
    shutil.copyfileobj(stream_or_path, spool, io.DEFAULT_BUFFER_SIZE * 16)
    return spool


def _page(record: Record, file_path: str, limits: Limits, how: Options | str) -> dict[str, Any]:
    page, name, source = _read(record, limits, how)
    if isinstance(page, html.NoPage):
        found = Reject(record.offset, record.length, page.reason, page.message, record.record_id, record.target_uri)
        return _reject(found, file_path)
    host = url.host(record.target_uri)
    row: dict[str, Any] = {
        "row": "document",
        "id": record.record_id,
        "url": record.target_uri,
        "host": host,
        "domain": url.domain(host),
        "date": record.date,
        "file_path": file_path,
        "offset": record.offset,
        "length": record.length,
        "mime": record.mime,
        "charset": name,
        "charset_source": source,
        "title": page.title,
        "html_lang": page.html_lang,
        "published": page.published,
        "truncated": record.truncated,
        "digest": record.digest,
        "extraction_confidence": None if source == "wet" else page.confidence,
        "parent_id": None,
        "text": page.text,
    }
    if isinstance(how, Options) and how.outlinks:
        row["links"] = [_link(position, link) for position, link in enumerate(page.links)]
    return row


def _link(position: int, link: Link) -> dict[str, Any]:
    return {
        "position": position,
        "url": link.url,
        "host": url.host(link.url),
        "text": link.text or None,
        "rel": " ".join(link.rel) or None,
    }


def _read(record: Record, limits: Limits, how: Options | str) -> tuple[html.Page | html.NoPage, str, str]:
    """The page, its charset and where that came from."""
    if record.record_type == "conversion":
        return html.plain(record.payload.decode("utf-8", "replace")), "utf-8", "wet"
    text, name, source = charset.decode(record.payload, record.http_charset)
    if record.mime == "text/plain":
        return html.plain(text), name, source
    return html.extract(text, record.target_uri, how, limits, main=record.mime not in XML), name, source


def _reject(reject: Reject, file_path: str) -> dict[str, Any]:
    assert reject.reason in REASONS
    return {
        "row": "reject",
        "file_path": file_path,
        "offset": reject.offset,
        "length": reject.length,
        "id": reject.record_id,
        "url": reject.url,
        "reason": reject.reason,
        "message": reject.message,
    }
