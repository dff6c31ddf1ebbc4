"""What is found in a crawl file: records that can become documents, what cannot, and how many there were of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Record:
    """A record that can become a document. `offset` and `length` are bytes of the crawl file as stored; `payload` is the body, decoded."""

    offset: int
    length: int
    record_type: str  # response or conversion
    record_id: str  # of a conversion: that of the record it refers to
    target_uri: str
    date: datetime  # UTC
    headers: dict[str, str]  # WARC, lower-case names
    http_status: int | None
    http_charset: str | None  # as the server wrote it
    mime: str
    digest: str  # of the payload as sent, `sha1:` and base32
    truncated: str | None  # WARC-Truncated, or `unspecified` where less is there than announced
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reject:
    """A record or a stretch of the file that is no document; `reason` is a key of REASONS."""

    offset: int
    length: int
    reason: str
    message: str
    record_id: str | None = None
    url: str | None = None


@dataclass(slots=True)
class Counts:
    """Of one crawl file. `records` = documents to be + rejects + skipped; a stretch that holds no record counts as one."""

    stored_bytes: int = 0
    records: int = 0
    responses: int = 0  # response and conversion records
    skipped: int = 0  # warcinfo, request and metadata records
    damaged: int = 0  # stretches in which no record could be read
    reached: int = 0  # place behind the last stretch
    failure: str = ""  # why the file could not be read to its end
    seen: set[bytes] = field(default_factory=set, repr=False)

    def is_new(self, record_id: str) -> bool:
        """Whether this id was not asked for before; 16 bytes of memory an id."""
        key = hashlib.blake2b(record_id.encode("utf-8", "replace"), digest_size=16).digest()
        if key in self.seen:
            return False
        self.seen.add(key)
        return True


@dataclass(frozen=True, slots=True)
class Hint:
    """What the crawl says about another record in a metadata record."""

    about: str | None
    languages: tuple[str, ...]
