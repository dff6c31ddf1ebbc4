"""Open a path below a crawl's base as a binary file: over HTTP or S3 with patience, or from a folder."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO, cast
from urllib.parse import SplitResult, urlsplit

from crawlmill.errors import UserError
from crawlmill.sources.arriving import Arriving, Remote, Tries, download
from crawlmill.sources.patience import Again, Patience, pace
from crawlmill.sources.s3 import S3File
from crawlmill.sources.web import WebFile

UNSAFE = re.compile(r"[\x00-\x20\x7f\\?#%]")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LONGEST = 4096  # characters of a line of a listing; Common Crawl's have some 140
GRACE = 5.0  # seconds that a download gets to notice that nobody reads any more


def checked_path(path: str) -> str:
    """The path itself if it stays below any base; raises UserError for `..`, absolute paths and URLs, and control characters."""
    parts = path.split("/")
    if ":" in parts[0] or UNSAFE.search(path) or any(part in ("", ".", "..") for part in parts):
        raise UserError(f"crawl path {path!r} is not a plain relative path: the listing it comes from is broken or forged")
    return path


@contextlib.contextmanager
def open_file(source: str, path: str, patience: Patience = Patience()) -> Iterator[BinaryIO]:
    """The file at `path` below `source` as a seekable binary file, for the length of the `with` block.

    `source` is an http(s) base address, `s3://bucket/prefix` or a folder (also as file:// URL). What comes over the network goes to an unnamed
    temporary file (TMPDIR) while it is read, so memory stays flat. Raises UserError naming the address and the remedy, and of that kind
    SourceUnavailable where a later call may succeed: no connection, no answer in time, HTTP 403, 429 or 5xx, a body that breaks off. A read raises
    them, too.
    """
    remote = _remote(source, checked_path(path))
    if remote is None:
        with open_local(_folder(source, urlsplit(source)) / path) as file:
            yield file
        return
    with tempfile.TemporaryFile(prefix="crawlmill-") as spool:
        arriving, stop = Arriving(spool.fileno()), Event()
        arguments = (remote, arriving, os.dup(spool.fileno()), patience, pace(remote.host), stop)
        thread = Thread(target=download, args=arguments, daemon=True, name="crawlmill-download")
        thread.start()
        try:
            arriving.size()
            yield cast(BinaryIO, arriving)
        finally:
            stop.set()
            thread.join(GRACE)


def read_range(source: str, path: str, offset: int, length: int, patience: Patience = Patience()) -> bytes:
    """`length` bytes at `offset` of a file, fewer at its end, without the rest of it. Raises UserError, SourceUnavailable as `open_file` does."""
    remote = _remote(source, checked_path(path))
    if remote is None:
        with open_local(_folder(source, urlsplit(source)) / path) as file:
            file.seek(offset)
            return file.read(length)
    data, keeping, tries = bytearray(), pace(remote.host), Tries()
    try:
        while True:
            Event().wait(keeping.turn())
            try:
                for place, piece in remote.pieces(offset + len(data), offset + length):
                    skipped = max(0, offset + len(data) - place)  # a server that knows no ranges sends the whole file
                    data += piece[skipped : skipped + length - len(data)]
                    if len(data) >= length:
                        break
                return bytes(data)
            except Again as failure:
                tries.rest(remote.name, failure, patience, keeping, Event())
    finally:
        remote.close()


def stored_bytes(source: str, paths: Sequence[str]) -> int:
    """About how many bytes these files have, asking no server: none where one on this machine serves them, as it does samples, elsewhere a GiB each."""
    base = urlsplit(source)
    if base.scheme in ("http", "https", "s3"):
        return 0 if base.hostname in LOOPBACK else len(paths) << 30
    files = (_folder(source, base) / checked_path(path) for path in paths)
    return sum(file.stat().st_size for file in files if file.is_file())


def _remote(source: str, path: str) -> Remote | None:
    """The file of a server; None where the source is a folder."""
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        return WebFile(source.rstrip("/") + "/" + path)
    return S3File(source, path) if scheme == "s3" else None


@contextlib.contextmanager
def open_local(path: Path) -> Iterator[BinaryIO]:
    """A local file for reading; raises UserError where it is absent or unreadable."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the crawl source and the path") from None
    with file:
        yield file


def lines(source: str, path: str, patience: Patience = Patience()) -> Iterator[str]:
    """The lines of a gzip-compressed text file, without line ends and without empty ones.

    Raises UserError where it is not gzip or not text, or where a line is longer than any path: some kilobytes can unfold to gigabytes.
    """
    where = f"{source.rstrip('/')}/{path}"
    with open_file(source, path, patience) as file:
        try:
            with gzip.open(file, "rt", encoding="utf-8", errors="strict") as text:
                while line := text.readline(LONGEST + 1):
                    if len(line) > LONGEST:
                        raise UserError(
                            f"{where} has a line of more than {LONGEST} characters and is no listing: check the crawl source"
                        )
                    if line := line.strip():
                        yield line
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise UserError(f"{where} is not a whole gzip text file ({error}): fetch or build it again") from None


def read_bytes(source: str, path: str, patience: Patience = Patience(), most: int = 64 << 20) -> bytes:
    """A small file whole; raises UserError where it has more than `most` bytes."""
    with open_file(source, path, patience) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise UserError(f"{source.rstrip('/')}/{path} has more than {most} bytes and is no listing: check the crawl source")
    return data


def _folder(source: str, base: SplitResult) -> Path:
    if base.scheme not in ("", "file") and len(base.scheme) > 1:
        raise UserError(f"crawl source {source!r}: only http, https, s3, file and folders can be read")
    folder = Path(urllib.request.url2pathname(base.path) if base.scheme == "file" else source)
    if not folder.is_dir():
        raise UserError(f"crawl source {folder} is no folder: give a base address or a folder with CRAWLMILL_SOURCE or --source")
    return folder
