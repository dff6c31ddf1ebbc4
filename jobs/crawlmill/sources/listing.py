"""Which snapshots a crawl source has, and which crawl files a snapshot has."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal
from urllib.parse import urlsplit

from crawlmill.errors import UserError
from crawlmill.lake.snapshot import SNAPSHOT
from crawlmill.sources import fetch
from crawlmill.sources.patience import Patience

Kind = Literal["warc", "wet"]
QUICK = Patience(attempts=4, longest=8.0)  # a listing is asked for by people, who want to know soon
MOST = 1_000_000  # crawl files of a snapshot; Common Crawl's have up to 100,000
COMMON_CRAWL = "data.commoncrawl.org"
COMMON_CRAWL_INDEX = "https://index.commoncrawl.org/"  # Common Crawl keeps collinfo.json beside its index, not beside the data


@dataclass(frozen=True, slots=True)
class CrawlInfo:
    """A snapshot as collinfo.json lists it; `from_` and `to` are its first and last capture, ISO 8601, empty where unknown."""

    id: str
    name: str
    from_: str
    to: str


def collinfo(source: str) -> list[CrawlInfo]:
    """The snapshots of a crawl source, newest first as listed. Raises UserError: unreachable, not JSON, none in it."""
    base = COMMON_CRAWL_INDEX if urlsplit(source).hostname == COMMON_CRAWL else source
    where = f"{base.rstrip('/')}/collinfo.json"
    try:
        return parse_collinfo(json.loads(fetch.read_bytes(base, "collinfo.json", QUICK)), where)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error}): check that the source is a crawl mirror") from None


def parse_collinfo(data: Any, where: str) -> list[CrawlInfo]:
    """Snapshots from a decoded collinfo.json; `where` names it in the UserError that a wrong shape raises."""
    if not isinstance(data, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in data):
        raise UserError(f"{where} is not a list of snapshots with ids: check that the source is a crawl mirror")
    if not data:
        raise UserError(f"{where} lists no snapshot: check that the source is a crawl mirror")
    return [
        CrawlInfo(row["id"], str(row.get("name") or row["id"]), str(row.get("from") or ""), str(row.get("to") or ""))
        for row in data
    ]


def crawl_files(source: str, snapshot: str, kind: Kind = "warc") -> list[str]:
    """Paths of a snapshot's crawl files relative to the source, as listed. Raises UserError: absent or broken listing, none in it, unsafe paths."""
    path = f"crawl-data/{snapshot}/{kind}.paths.gz"
    found = [fetch.checked_path(line) for line in islice(fetch.lines(source, path, QUICK), MOST + 1)]
    if len(found) > MOST:
        raise UserError(f"{source.rstrip('/')}/{path} lists more than {MOST:,} crawl files: check the crawl source")
    if not found:
        raise UserError(f"{source.rstrip('/')}/{path} lists no crawl files: the snapshot is empty or not published yet")
    doubled = len(found) - len(set(found))
    if doubled:
        raise UserError(f"{source.rstrip('/')}/{path} lists {doubled} crawl files twice: fetch or build it again")
    return found


def check_snapshot(source: str, snapshot: str) -> CrawlInfo:
    """The snapshot's entry in collinfo.json; raises UserError with the nearest known ids where it has none."""
    known = {crawl.id: crawl for crawl in collinfo(source)}
    if snapshot in known:
        return known[snapshot]
    raise UserError(f"snapshot {snapshot} is not known to {source}: nearest are {', '.join(nearest(snapshot, known))}")


def nearest(snapshot: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known ids nearest in time to an id of the right form, else those that look most like it; nearest first, newer before older."""

    def distance(one: str) -> float:
        if SNAPSHOT.fullmatch(snapshot):
            return abs(_week(snapshot) - _week(one)) if SNAPSHOT.fullmatch(one) else float("inf")
        return -difflib.SequenceMatcher(None, snapshot, one).ratio()

    return sorted(sorted(known, reverse=True), key=distance)[:count]


def _week(snapshot: str) -> int:
    """A number that grows by one a week."""
    year, week = snapshot.split("-")[2:4]
    return 52 * int(year) + int(week)
