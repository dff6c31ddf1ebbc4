"""Lists of what must not be read: opt-outs and blocklists, as plain files of one entry a line, compact in memory.

Four kinds, the first three as the blocklists of the University of Toulouse (which FineWeb uses) come:

* `domains`: `example.org` means the host and everything below it;
* `urls`: exactly this page; scheme, `www.`, fragment and a last slash do not count;
* `prefixes`: `example.org/gallery/`, a host with everything below it and the beginning of a path, as a Disallow line of robots.txt;
* `words`: a word that stands in the URL, letter case aside.

Empty lines and those that begin with `#` are passed over.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import numpy as np
import xxhash

from crawlmill.errors import UserError

Kind = Literal["domains", "urls", "prefixes", "words"]
SCHEME = re.compile(r"\A[a-z][a-z0-9+.-]*://", re.IGNORECASE)
WORD = re.compile(r"[^\W_]+")


class Hashes:
    """A set of strings by their 64-bit hashes: 8 bytes an entry, so that millions of domains cost megabytes.

    A string that is not in it passes for one that is with a probability of entries / 2^64: 3e-13 for five million.
    """

    def __init__(self, entries: Iterator[str]) -> None:
        found = np.fromiter((xxhash.xxh3_64_intdigest(entry.encode()) for entry in entries), np.uint64)
        self.sorted = array("Q", np.unique(found).tobytes())

    def __contains__(self, entry: str) -> bool:
        key = xxhash.xxh3_64_intdigest(entry.encode("utf-8", "replace"))
        at = bisect_left(self.sorted, key)
        return at < len(self.sorted) and self.sorted[at] == key

    def __len__(self) -> int:
        return len(self.sorted)


class UrlList:
    """One list file. `find(url, host)` gives the entry that a URL meets."""

    def __init__(self, kind: Kind, path: str, sha256: str = "") -> None:
        self.kind, self.name = kind, Path(path).name
        entries = _entries(Path(path), sha256)
        self.prefixes: dict[str, tuple[str, ...]] = {}
        self.hashes = Hashes(iter(()))
        if kind == "prefixes":
            for entry in entries:
                host, slash, rest = _bare(entry).partition("/")
                self.prefixes[host] = (*self.prefixes.get(host, ()), slash + rest)
        else:
            plain = {"domains": as_domain, "urls": as_page, "words": str.lower}[kind]
            self.hashes = Hashes(plain(entry) for entry in entries)

    def find(self, url: str, host: str) -> str | None:
        """The listed entry that this URL of this host (lower case, ASCII) meets, None where there is none."""
        if self.kind == "urls":
            page = as_page(url)
            return page if page in self.hashes else None
        if self.kind == "words":
            return next((word for word in WORD.findall(unquote(url).lower()) if word in self.hashes), None)
        for name in parents(host):
            if self.kind == "domains" and name in self.hashes:
                return name
            if self.kind == "prefixes" and name in self.prefixes:
                path = "/" + _bare(url).partition("/")[2]
                if (found := next((start for start in self.prefixes[name] if path.startswith(start)), None)) is not None:
                    return name + found
        return None


@lru_cache(maxsize=64)
def load(kind: Kind, path: str, sha256: str) -> UrlList:
    """The list, read once a process. Raises UserError where the file is absent or another than it was when the recipe was read."""
    return UrlList(kind, path, sha256)


def digest(path: Path) -> str:
    """sha256 (hex) of a list file; raises UserError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"list {path} cannot be read ({error.strerror}): check the path in the recipe") from None


def _entries(path: Path, sha256: str) -> Iterator[str]:
    if sha256 and digest(path) != sha256:
        raise UserError(
            f"list {path} is not the file that the recipe was read with (sha256 {sha256[:12]}…): start the stage again"
        )
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if (entry := line.strip()) and not entry.startswith("#"):
                yield entry


def parents(host: str) -> Iterator[str]:
    """The host and its parents, the top-level domain last."""
    yield host
    while "." in host:
        host = host.partition(".")[2]
        yield host


def as_domain(entry: str) -> str:
    host = _bare(entry).partition("/")[0].lstrip("*.").rstrip(".")
    return host if host.isascii() else _ascii(host)


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host


def as_page(url: str) -> str:
    """A URL as it is compared: without scheme, `www.`, fragment and last slash, host in lower case."""
    host, slash, rest = _bare(url).partition("/")
    return (host.removeprefix("www.") + slash + rest).removesuffix("/")


def _bare(url: str) -> str:
    """Without scheme, user, default port and fragment; the host in lower case."""
    rest = SCHEME.sub("", url.strip()).partition("#")[0]
    end = next((at for at, char in enumerate(rest) if char in "/?"), len(rest))
    host = rest[:end].rpartition("@")[2].lower().removesuffix(":80").removesuffix(":443")
    path = rest[end:]
    return host + ("/" + path if path.startswith("?") else path)
