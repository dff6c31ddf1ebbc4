"""Craw4LLM (Yu et al. 2025): which page to fetch next, by the scores of pages, not by how often they are linked. `crawlmill frontier`."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.text.selection import chance

BATCH = 10_000  # pages that Craw4LLM takes at a time, and seeds that it begins with


@dataclass
class Frontier:
    """Where a crawl stands: pages that wait (less the score, address), and every address that ever waited."""

    waiting: list[tuple[float, str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def add(self, urls: Iterable[str], scores: Mapping[str, float]) -> None:
        """Let pages wait that never did. One without a score cannot be fetched: it is seen, and not asked for again."""
        for url in urls:
            if url not in self.seen:
                self.seen.add(url)
                if url in scores:
                    heapq.heappush(self.waiting, (-scores[url], url))

    def crawl(self, links: Mapping[str, Sequence[str]], scores: Mapping[str, float], batch: int = BATCH) -> Iterator[list[str]]:
        """Batches of pages in the order in which they are fetched, best first; stopped between two, it goes on from there."""
        while self.waiting:
            taken = [heapq.heappop(self.waiting)[1] for _ in range(min(batch, len(self.waiting)))]
            for url in taken:
                self.add(links.get(url, ()), scores)
            yield taken


def next_pages(links: Mapping[str, Sequence[str]], scores: Mapping[str, float]) -> list[tuple[str, float, str]]:
    """(address, priority, best parent) of pages that are linked and have no score yet, best first; the priority is the best parent's score.

    Craw4LLM scores a page once it is fetched; what its parents say is ours, for pages that nobody has fetched.
    """
    best: dict[str, tuple[float, str]] = {}
    for parent, targets in links.items():
        if parent in scores:
            for target in targets:
                if target not in scores:
                    best[target] = max(best.get(target, (float("-inf"), "")), (scores[parent], parent))
    return sorted(((url, score, parent) for url, (score, parent) in best.items()), key=lambda row: (-row[1], row[0]))


def read(rows: Iterable[dict[str, Any]], name: str, score: str) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Links and scores by address. Raises UserError for a row without address or links, and where no row has the score."""
    links: dict[str, list[str]] = {}
    scores: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        url, targets = row.get("url"), row.get("links")
        if not isinstance(url, str) or not isinstance(targets, list):
            raise UserError(f"{name} row {number} has no url with links: make it by `crawlmill text` with `outlinks: true`")
        links[url] = [str(target["url"] if isinstance(target, dict) else target) for target in targets]
        value = dict(row.get("scores") or {}).get(score, row.get(score))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            scores[url] = float(value)
    if not scores:
        raise UserError(f"no row of {name} has a score {score!r}: name a scorer of the recipe, or a column of numbers")
    return links, scores


@click.command()
@click.argument("file")
@click.option("--score", required=True, help="A scorer of the recipe that `crawlmill measure` ran with, or a column.")
@click.option("--replay", is_flag=True, help="The order in which FILE's own pages would be fetched, from seeds drawn among them.")
@click.option("--seeds", type=click.IntRange(1), default=BATCH, show_default=True, help="Pages that --replay begins with.")
@click.option("--batch", type=click.IntRange(1), default=BATCH, show_default=True, help="Pages that --replay takes at a time.")
@click.option("--out", "-o", default="-", metavar="FILE", help="Rows to write [standard output].")
def frontier(file: str, score: str, replay: bool, seeds: int, batch: int, out: str) -> None:
    """What to fetch next: pages that good pages link to (rows with url, links, scores in FILE), the best parent's score first.

    \b
    Example: crawlmill frontier measured.parquet --score quality -o next.jsonl
    """
    links, scores = read(rowfile.read(file), file, score)
    if not replay:
        found = next_pages(links, scores)
        rowfile.write(out, ({"url": url, "priority": value, "best_parent": parent} for url, value, parent in found))
        return
    state = Frontier()
    state.add(sorted(scores, key=lambda url: chance(url, 0))[:seeds], scores)
    order = ((number, url) for number, urls in enumerate(state.crawl(links, scores, batch)) for url in urls)
    rowfile.write(out, ({"url": url, "priority": scores[url], "iteration": number} for number, url in order))
