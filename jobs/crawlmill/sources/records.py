"""The records of a crawl file (WARC or WET): what could become a document, what cannot and why, and how many there were of each."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, Literal

from fastwarc.warc import HeaderMap, WarcRecord

from crawlmill.errors import SourceUnavailable
from crawlmill.limits import Limits
from crawlmill.sources.members import Frame, frames
from crawlmill.sources.record import Counts, Hint, Record, Reject
from crawlmill.sources.selection import EVERYTHING, Selection, languages_in, languages_of
from crawlmill.sources.sniff import mislabelled

Kind = Literal["warc", "wet"]
DAMAGED = frozenset({"truncated_file", "broken_member", "broken_record", "not_a_crawl_file"})
SKIPPED = frozenset({"warcinfo", "request", "metadata"})
CONTENT = {"warc": "response", "wet": "conversion"}
ANY_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")
UNKNOWN_MIMES = frozenset({"", "unk", "application/octet-stream", "binary/octet-stream", "unknown/unknown"})


def read_records(
    file: BinaryIO, kind: Kind | None, limits: Limits, counts: Counts, selection: Selection = EVERYTHING
) -> Iterator[Record | Reject]:
    """Every record of a crawl file that is a candidate for a document, as a Record or a Reject; updates `counts` on the way.

    `kind` None takes responses and conversions alike. `file` must be seekable. Never raises on the file's content. Where languages are selected a
    response is held back until the next record, which in Common Crawl's files is the metadata record that names its languages.
    """
    wanted = frozenset(CONTENT.values()) if kind is None else frozenset({CONTENT[kind]})
    counts.stored_bytes = file.seek(0, io.SEEK_END)
    held: Record | None = None
    for frame in _until_it_breaks(frames(file, limits), counts):
        counts.records += 1
        found = _read(frame, wanted, limits, counts, selection)
        if isinstance(found, (Record, Reject)) and held is not None:
            yield held
            held = None
        counts.reached = max(counts.reached, frame.offset + frame.length)
        if isinstance(found, Hint) and held is not None and found.about in (None, held.record_id):
            yield _judged(held, selection, found.languages)
            held = None
        if not isinstance(found, (Record, Reject)):
            counts.skipped += 1
        elif isinstance(found, Record) and found.record_type == "response" and selection.languages is not None:
            held = found
        else:
            yield found
    if held is not None:
        yield held
    if counts.failure:
        counts.records, counts.damaged = counts.records + 1, counts.damaged + 1
        yield Reject(counts.reached, max(0, counts.stored_bytes - counts.reached), "not_fetched", counts.failure)


def _until_it_breaks(found: Iterator[Frame], counts: Counts) -> Iterator[Frame]:
    """The frames up to the place where the source gives no more; `counts.failure` says why then."""
    try:
        yield from found
    except SourceUnavailable as error:
        counts.failure = str(error)


def _judged(record: Record, selection: Selection, languages: tuple[str, ...]) -> Record | Reject:
    verdict = selection.judge_languages(languages)
    return record if verdict is None else Reject(record.offset, record.length, *verdict, record.record_id, record.target_uri)


def _read(
    frame: Frame, wanted: frozenset[str], limits: Limits, counts: Counts, selection: Selection
) -> Record | Reject | Hint | None:
    try:
        record = _parsed(frame.data) if frame.data else None
    except (OSError, ValueError) as error:
        counts.damaged += 1
        message = frame.message or f"unreadable WARC header: {error}"
        return Reject(frame.offset, frame.length, frame.problem or "broken_record", message)
    counts.damaged += frame.problem in DAMAGED
    if record is None:
        return Reject(frame.offset, frame.length, frame.problem, frame.message)
    kind = (record.headers.get("WARC-Type") or "").strip().lower()
    if kind in SKIPPED and not frame.problem:
        if kind != "metadata" or selection.languages is None:
            return None
        return _hint(record, limits)
    return _candidate(frame, record, kind, wanted, limits, counts, selection)


def _candidate(
    frame: Frame, record: WarcRecord, kind: str, wanted: frozenset[str], limits: Limits, counts: Counts, selection: Selection
) -> Record | Reject:
    """A record that is not skipped."""
    headers = {name.lower(): value for name, value in record.headers.to_tuples()}
    record_id = headers.get("warc-refers-to" if kind == "conversion" else "warc-record-id", "").strip() or None
    url = headers.get("warc-target-uri", "").strip().removeprefix("<").removesuffix(">") or None
    counts.responses += kind in CONTENT.values()

    def reject(reason: str, message: str) -> Reject:
        return Reject(frame.offset, frame.length, reason, message, record_id, url)

    if (taken := selection.judge_record(url, record_id)) is not None:
        if record_id is not None:
            counts.is_new(record_id)  # what comes later is a second record all the same
        return Reject(frame.offset, frame.length, *taken, record_id)  # without its address
    if frame.problem:
        return reject(frame.problem, frame.message)
    if trouble := _unwanted(kind, wanted, headers):
        return reject(*trouble)
    if record_id is None or url is None or record.record_date is None:
        return reject("missing_header", "the record has no id, no target URI or no valid date")
    if not counts.is_new(record_id):
        return reject("duplicate_id", "an earlier record of the file has this id")
    verdict = selection.judge_url(url)
    if verdict is None and kind == "conversion":
        verdict = selection.judge_languages(languages_of(headers))
    if verdict is not None:
        return reject(*verdict)
    base = Record(frame.offset, frame.length, kind, record_id, url, record.record_date, headers, None, None, "", "",
                  headers.get("warc-truncated", "").strip().lower() or None, b"")  # fmt: skip
    if frame.message == "mended" and base.truncated is None:
        base = replace(base, truncated="unspecified")
    found = _conversion(base, record, limits) if kind == "conversion" else _response(base, frame, record, limits)
    return found if isinstance(found, Record) else reject(*found)


def _unwanted(kind: str, wanted: frozenset[str], headers: dict[str, str]) -> tuple[str, str] | None:
    if kind == "revisit":
        return "revisit", f"the content was seen before: {headers.get('warc-refers-to-target-uri', 'elsewhere')}"
    return None if kind in wanted else ("record_type", f"a {kind or 'nameless'} record is not read here")


def _hint(record: WarcRecord, limits: Limits) -> Hint:
    about = record.headers.get("WARC-Concurrent-To") or record.headers.get("WARC-Refers-To")
    return Hint(about.strip() if about else None, languages_in(_content(record, limits.max_payload_bytes)))


def _parsed(data: bytes) -> WarcRecord:
    """The record by fastwarc, which knows the version line in capitals only."""
    return WarcRecord.from_reader(io.BytesIO(data if data.startswith(b"WARC") else b"WARC" + data[4:]), quirks_mode=True)


def _conversion(base: Record, record: WarcRecord, limits: Limits) -> Record | tuple[str, str]:
    payload = _content(record, limits.max_payload_bytes)
    if not payload.strip():
        return "empty", "the record has no text"
    if len(payload) > limits.max_payload_bytes:
        return "too_large", f"the text has more than {limits.max_payload_bytes} bytes"
    mime = base.headers.get("content-type", "text/plain").split(";")[0].strip().lower()
    return replace(base, mime=mime, payload=payload, digest=_digest(base, payload))


def _response(base: Record, frame: Frame, record: WarcRecord, limits: Limits) -> Record | tuple[str, str]:
    try:
        record.parse_http(auto_decode="none", quirks_mode=True)
    except (OSError, ValueError) as error:
        return "bad_http", f"unreadable HTTP header: {error}"
    http = record.http_headers
    if http is None:
        return "mime", f"{base.headers.get('content-type', 'content of no type')[:80]} is no HTTP response"
    if http.status_code is None and (single := _without_doubles(frame.data)) != frame.data:
        return _response(base, replace(frame, data=single), _parsed(single), limits)
    if http.status_code is None:
        return "bad_http", "the record does not begin with an HTTP status line"
    if not 200 <= http.status_code < 300:
        return "http_status", f"HTTP {http.status_code}"
    raw = _content(record, limits.max_record_bytes)
    if not raw:
        return "empty", "the response has no body"
    payload = _decoded(frame, http, raw, limits)
    mime = _mime(record, base.headers, payload)
    if not limits.reads(mime):
        return "mime", f"media type {mime[:80] or 'unknown'}"
    if len(payload) > limits.max_payload_bytes:
        return "too_large", f"the body has more than {limits.max_payload_bytes} bytes"
    if not payload.strip():
        return "empty", "the response has an empty body"
    identified = base.headers.get("warc-identified-payload-type", "").split(";")[0].strip().lower()
    if other := mislabelled(payload, identified):
        return "mislabelled", f"called {mime[:60]}, but the payload {other}"
    charset, digest = _charset(http), _digest(base, raw)
    return replace(base, http_status=http.status_code, http_charset=charset, mime=mime, digest=digest, payload=payload)


def _without_doubles(data: bytes) -> bytes:
    """The record without WARC header lines whose name has stood before: fastwarc finds no HTTP in a record with two WARC-Type lines."""
    head, blank, content = data.partition(b"\r\n\r\n")
    kept: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        kept.setdefault(line.partition(b":")[0].strip().lower(), line)
    return b"\r\n".join(kept.values()) + blank + content


def _content(record: WarcRecord, most: int) -> bytes:
    return record.reader.read(most + 1) if record.reader is not None else b""


def _decoded(frame: Frame, http: HeaderMap, raw: bytes, limits: Limits) -> bytes:
    """The body without transfer and content encodings, one byte more than the limit at most; as it is where they are not what is there.

    Crawlers often store the decoded body under the server's original headers, so a header that does not fit is no error.
    """
    if not (http.get("Transfer-Encoding") or http.get("Content-Encoding")):
        return raw
    for mode in ("all", "content", "transfer"):
        try:
            again = _parsed(frame.data)
            again.parse_http(auto_decode=mode, quirks_mode=True)
            payload = _content(again, limits.max_payload_bytes)
        except (OSError, ValueError):
            continue
        if payload or not raw:
            return payload
    return raw


def _mime(record: WarcRecord, headers: dict[str, str], payload: bytes) -> str:
    """The server's media type, else the crawler's guess, else text/html where the body begins like it."""
    mime = (record.http_content_type or "").strip().lower()
    if mime not in UNKNOWN_MIMES:
        return mime
    guessed = headers.get("warc-identified-payload-type", "").split(";")[0].strip().lower()
    if guessed not in UNKNOWN_MIMES:
        return guessed
    return "text/html" if payload[:1024].lstrip().lower().startswith(ANY_HTML) else mime


def _charset(http: HeaderMap) -> str | None:
    """The charset parameter of the last Content-Type, unquoted."""
    for part in (http.get("Content-Type") or "").split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset" and (label := value.strip().strip("\"'").strip()):
            return label
    return None


def _digest(base: Record, payload: bytes) -> str:
    known = base.headers.get("warc-payload-digest" if base.record_type == "response" else "warc-block-digest")
    return known or "sha1:" + base64.b32encode(hashlib.sha1(payload, usedforsecurity=False).digest()).decode()
