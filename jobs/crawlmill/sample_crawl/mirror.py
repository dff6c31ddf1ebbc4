"""The mirror on disk: crawl files with their damage, listings, collinfo.json and truth.jsonl."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

from crawlmill.sample_crawl import warc
from crawlmill.sample_crawl.pages import EARLIER, SNAPSHOTS, Page
from crawlmill.sample_crawl.plan import pages
from crawlmill.sample_crawl.texts import seeded
from crawlmill.sample_crawl.warc import Capture

FILES = 4  # WARC files of a snapshot, two a segment
TRUTH = "truth.jsonl"


@dataclass(frozen=True)
class Crawl:
    """A snapshot's calendar: when it ran, and the names of its two segments."""

    id: str
    name: str
    start: datetime
    end: datetime
    segments: tuple[str, str]

    def path(self, number: int, kind: str) -> str:
        """Path of a crawl file below the root, in Common Crawl's naming; kind is `warc` or `wet`."""
        begin = self.start + timedelta(hours=7 * (number // 2))
        stem = f"CC-MAIN-{begin:%Y%m%d%H%M%S}-{begin + timedelta(hours=3):%Y%m%d%H%M%S}-{number % 2:05}"
        suffix = "warc.gz" if kind == "warc" else "warc.wet.gz"
        return f"crawl-data/{self.id}/segments/{self.segments[number // 2]}/{kind}/{stem}.{suffix}"


CRAWLS = (
    Crawl(SNAPSHOTS[0], "September 2026 Index", datetime(2026, 9, 7, 1, 14, 52), datetime(2026, 9, 20, 23, 41, 8), ("1788912000123.45", "1788912000123.67")),
    Crawl(SNAPSHOTS[1], "October 2026 Index", datetime(2026, 10, 12, 2, 5, 31), datetime(2026, 10, 25, 22, 17, 40), ("1791936000456.12", "1791936000456.89")),
)  # fmt: skip


def crawls(earlier: int) -> tuple[Crawl, ...]:
    """The crawls of a mirror, oldest first: so many earlier ones, five weeks apart, and the two that are always there."""
    first, found = CRAWLS[0], []
    for number, name in enumerate(EARLIER[:earlier], 1):
        start, end = (day - timedelta(weeks=5 * number) for day in (first.start, first.end))
        segments = (f"{int(start.timestamp())}000.01", f"{int(start.timestamp())}000.02")
        found.append(Crawl(name, f"{start:%B %Y} Index", start, end, segments))
    return (*reversed(found), *CRAWLS)


def collinfo(earlier: int = 0) -> str:
    """collinfo.json, the newest crawl first."""
    rows = [
        {
            "id": crawl.id, "name": crawl.name, "timegate": f"https://index.commoncrawl.org/{crawl.id}/",
            "cdx-api": f"https://index.commoncrawl.org/{crawl.id}-index", "from": f"{crawl.start:%Y-%m-%dT%H:%M:%S}", "to": f"{crawl.end:%Y-%m-%dT%H:%M:%S}",
        }
        for crawl in reversed(crawls(earlier))
    ]  # fmt: skip
    return json.dumps(rows, indent=2) + "\n"


def _deal(snapshot: str) -> list[list[Page]]:
    """The pages of each crawl file, scattered as a crawler's queues do; a cut-off record is the last of its file."""
    hands: list[list[Page]] = [[] for _ in range(FILES)]
    queue = list(pages(snapshot))
    seeded("order", snapshot).shuffle(queue)
    for position, page in enumerate(queue):
        hands[position % FILES if page.file is None else page.file].append(page)
    for hand in hands:
        hand.sort(key=lambda page: page.defect == "cut_off")
        for page in [page for page in hand if page.defect == "gzip_member"]:
            hand.remove(page)
            hand.insert(len(hand) // 2, page)
    return hands


def captures(crawl: Crawl) -> list[list[Capture]]:
    """The captures of a snapshot by crawl file, in order."""
    found = []
    for number, hand in enumerate(_deal(crawl.id)):
        info = warc.record_id(crawl.id, "warcinfo", str(number))
        begin = crawl.start + timedelta(days=3 * number)
        found.append(
            [Capture(crawl.id, page, begin + timedelta(seconds=97 * position), info) for position, page in enumerate(hand)]
        )
    return found


def wet_text(page: Page) -> str:
    """All visible text of a page, navigation included, as a WET file has it."""
    html = page.body.decode(page.charset, "replace").lstrip("\ufeff")
    html = re.sub(r"<!--.*?-->|<\?.*?\?>|<!doctype[^>]*>", "", html, flags=re.DOTALL | re.IGNORECASE)
    html = re.sub(r"(?is)<(script|style)\b.*?</\1>", "", html)
    lines = (" ".join(unescape(line).split()) for line in re.sub(r"<[^>]*>", "\n", html).split("\n"))
    return "\n".join(line for line in lines if line) + "\n"


def warc_file(crawl: Crawl, number: int, hand: list[Capture]) -> bytes:
    """The bytes of a WARC file, damage included."""
    name = crawl.path(number, "warc").rsplit("/", 1)[1]
    members = [warc.warcinfo(hand[0].warcinfo_id, hand[0].date, name, crawl.id, "Invented pages in the shape of a wide crawl")]
    for capture in hand:
        request, response, metadata = warc.exchange(capture)
        if capture.page.defect == "cut_off":
            members += [request, response[: len(response) // 2]]
            continue
        if capture.page.defect == "gzip_member":
            middle = len(response) // 2
            response = response[:middle] + b"\xff" * 48 + response[middle + 48 :]
        members += [request, response, metadata]
    return b"".join(members)


def wet_file(crawl: Crawl, number: int, hand: list[Capture]) -> bytes:
    """The bytes of a WET file: the pages that a converter could read."""
    name = crawl.path(number, "wet").rsplit("/", 1)[1]
    identity = warc.record_id(crawl.id, "wet", str(number))
    members = [warc.warcinfo(identity, hand[0].date, name, crawl.id, "Text of the pages")]
    for capture in hand:
        page = capture.page
        if page.status == 200 and page.kind not in ("revisit", "broken", "binary") and (text := wet_text(page)).strip():
            members.append(warc.conversion(capture, text))
    return b"".join(members)


def truth(crawl: Crawl, number: int, hand: list[Capture]) -> list[str]:
    """A JSON line a capture: what it is and what it is a copy of."""
    lines = []
    for capture in hand:
        page = capture.page
        row = {
            "snapshot": crawl.id, "url": page.url, "id": capture.response_id, "file": crawl.path(number, "warc"), "kind": page.kind, "detail": page.detail,
            "of": warc.record_id(page.of[0], "response", page.of[1]) if page.of else None, "language": page.language, "script": page.script,
            "charset": page.charset, "declared": page.declared, "status": page.status, "mime": page.mime, "text_digest": warc.digest(page.text.encode()),
        }  # fmt: skip
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return lines


def files(earlier: int = 0) -> dict[str, bytes]:
    """The whole mirror: path below the root -> bytes."""
    mirror = {"collinfo.json": collinfo(earlier).encode()}
    rows: list[str] = []
    for crawl in crawls(earlier):
        hands = captures(crawl)
        for number, hand in enumerate(hands):
            mirror[crawl.path(number, "warc")] = warc_file(crawl, number, hand)
            mirror[crawl.path(number, "wet")] = wet_file(crawl, number, hand)
            rows += truth(crawl, number, hand)
        for kind in ("warc", "wet"):
            listing = "".join(crawl.path(number, kind) + "\n" for number in range(FILES))
            mirror[f"crawl-data/{crawl.id}/{kind}.paths.gz"] = warc.gzip_member(listing.encode())
    mirror[TRUTH] = "".join(rows).encode()
    return mirror


def write_files(directory: Path, earlier: int = 0) -> dict[str, bytes]:
    """Write the mirror below the directory and return it. Raises OSError where that is impossible."""
    mirror = files(earlier)
    for path, data in mirror.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return mirror
