"""How fast one sees: `why`, the report of 100 languages in a browser, the workbench on 10,000 documents.

    python tests/bench/see.py [--documents 12000] [--lake FOLDER] [--url URL]

Without --lake it writes a lake of invented documents to a temporary folder (100 languages, `page_index`, texts of 3,000 characters). Prints a table
and nothing else is kept. Times are wall seconds; the first workbench answer reads the sample, later ones have it in memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fixtures import seen
from tests.fixtures.lakes import NEW

from crawlmill import report
from crawlmill.explain import why
from crawlmill.lake import ledger
from crawlmill.recipes import defined_at, recipe
from crawlmill.report import data
from crawlmill.workbench import expression, sample, trying

ROWS: list[tuple[str, float, str]] = []


def timed(name: str, work: Callable[[], Any], told: Callable[[Any], str] = lambda _: "") -> Any:
    began = time.perf_counter()
    found = work()
    ROWS.append((name, time.perf_counter() - began, told(found)))
    return found


def invented(folder: str, documents: int) -> str:
    """A lake as the tests have it, larger: 100 labels, long texts."""
    seen.SIZE, seen.SHARDS = documents, 8
    codes = [f"{a}{b}{c}" for a in "qbc" for b in "abcdefg" for c in "abcde"][:94]
    seen.LABELS = [*seen.LABELS, *((code, "Latn") for code in codes)]
    plain = seen.text
    seen.text = lambda number, language, snapshot: plain(number, language if language in seen.TEXTS else "eng", snapshot) * 6
    return seen.make(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=12_000, help="of each of two snapshots [12000]")
    parser.add_argument("--lake", help="an existing lake instead")
    parser.add_argument("--url", help="a page of it for why")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = arguments.lake or invented(f"{folder}/lake", arguments.documents)
        newest = list(ledger.released_snapshots(lake, "gate"))[-1] if arguments.lake else NEW
        see(lake, newest, arguments.url or seen.url(1000), Path(folder))
    width = max(len(name) for name, *_ in ROWS)
    for name, seconds, words in ROWS:
        print(f"{name:<{width}}  {seconds:8.3f} s  {words}")


def see(lake: str, snapshot: str, url: str, folder: Path) -> None:
    book = timed("recipe read, with its tables of limits", defined_at.rulebook)
    for turn in ("first", "again"):
        timed(
            f"why, {turn}",
            lambda: why.explain(lake, url, book),
            lambda found: f"{len(found['captures'])} captures, {len(found['files'])} files",
        )
    found = timed(
        "report gathered", lambda: data.gather(lake, snapshot, book), lambda found: f"{len(found['languages'])} languages"
    )
    page = timed("report written", lambda: report.render(found), lambda text: f"{len(text) / 1e6:.2f} MB")
    (folder / "report.html").write_text(page, encoding="utf-8")
    browsed(folder / "report.html")
    drawn = timed("workbench: sample read", lambda: sample.draw(lake, snapshot), lambda one: f"{len(one)} documents")
    tried: dict[str, Callable[[], Any]] = {
        "expression": lambda: trying.condition(
            drawn, expression.parse("gopher_word_count < 60 or fineweb_list_ratio > 0.2", drawn.measured)
        ),
        "pattern": lambda: trying.pattern(drawn, r"(?i)\bsand\b.{0,40}\bdelta\b"),
        "limit": lambda: trying.limit(drawn, book.gate, "gopher_short_doc", "60"),
    }
    for name, work in tried.items():
        timed(f"workbench: {name}", work, lambda one: f"{one.hits} of {one.n}")
    other = recipe.from_mapping({"gate": {"rules": {"gopher_short_doc": {"limit": 60}}}}).gate
    timed(
        "workbench: two recipes", lambda: trying.compare(drawn, book.gate, other), lambda one: f"{one.a} and {one.b} of {one.n}"
    )


def browsed(path: Path) -> None:
    """Opening the report in Chromium: until its load event has ended."""
    try:
        from playwright import sync_api
    except ImportError:
        ROWS.append(("report opened", float("nan"), "playwright is not installed"))
        return
    from tests.e2e.conftest import CHROMIUM

    if not CHROMIUM:
        ROWS.append(("report opened", float("nan"), "there is no Chromium on this machine"))
        return
    with sync_api.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for turn in ("first", "again"):
            page = browser.new_page()
            page.goto(path.as_uri())
            ms = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            ROWS.append((f"report opened in Chromium, {turn}", ms / 1e3, "until its load event has ended"))
        browser.close()


if __name__ == "__main__":
    main()
