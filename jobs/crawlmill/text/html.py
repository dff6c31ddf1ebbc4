"""Main text of an HTML page, by a named backend, within limits that are counted before the parser is started (`complexity`)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from crawlmill.errors import UserError
from crawlmill.limits import Limits
from crawlmill.text import dates
from crawlmill.text.complexity import too_complex
from crawlmill.text.extractor.markdown import marked
from crawlmill.text.extractor.model import TooManyBlocks, read, select
from crawlmill.text.extractor.render import plain as lines_of
from crawlmill.text.links import Link, outlinks
from crawlmill.text.options import Options

__all__ = ["BACKENDS", "NoPage", "Page", "confidence", "extract", "plain", "scalar", "too_complex"]

PROSE_BYTES = 80  # UTF-8 bytes from which a line counts as prose: about 13 English words, 27 Chinese characters
SPARSE = 80  # characters of HTML per character of main content above which it is compared with all text: a fifth of the pages
LEAST_MAIN = 0.05  # share of all text below which main content is not believed
LEAST_PROSE = 0.25  # share of prose from which a page is then taken whole
WHOLE_PAGE = 0.75  # weight of the confidence of such a page
DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says. `confidence`, 0 to 1, is the backend's own.

    Of `crawlmill` it is the mean F1 that pages of the same expected F1 had in cross-validation. Of the others it is the share of the text's bytes that
    stand in lines of 80 UTF-8 bytes or more: menus, link lists and teasers come in short lines. On 1,630 pages of five benchmarks the rank
    correlation of that share with resiliparse's F1 is .47; it is weighted .75 where all text of the page was taken, and is no probability.
    """

    text: str
    title: str | None
    html_lang: str | None
    confidence: float
    published: date | None = None
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class NoPage:
    """Why there is no text: `reason` is too_complex, parse_error or no_text."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """A page as the backends take it: decoded, parsed, with its address."""

    html: str
    tree: HTMLTree
    url: str
    limits: Limits = DEFAULT


def extract(html: str, url: str, how: Options | str = "crawlmill", limits: Limits = DEFAULT, main: bool = True) -> Page | NoPage:
    """The page's main text (`main` False: all its text, for XML and feeds), title, declared language and date of publication. Never raises on a page.

    `how`: a backend's name, or options. Raises UserError where no backend has the given name.
    """
    options = how if isinstance(how, Options) else Options(backend=how)  # type: ignore[arg-type]
    if options.backend not in BACKENDS:
        raise UserError(f"no extraction backend is called {options.backend!r}: there are {', '.join(BACKENDS)}")
    html, encoded = _scalar(html)
    if trouble := too_complex(html, limits, encoded):
        return NoPage("too_complex", trouble)
    try:
        source = Source(html, HTMLTree.parse(html), url, limits)
        text, sure = BACKENDS[options.backend](source, options) if main else _everything(source)
        text = _tidy(text)
        page = Page(text, _title(source.tree), _language(source.tree), sure, dates.published(html, url))
        if options.outlinks:
            page = replace(page, links=outlinks(source.tree, url))
    except TooManyBlocks as error:
        return NoPage("too_complex", str(error))
    except Exception as error:  # a page may break a parser in any way; it must cost one row, not the crawl file
        return NoPage("parse_error", f"{options.backend} failed: {type(error).__name__}: {error}"[:300])
    return page if text else NoPage("no_text", "no main content was found")


def plain(text: str) -> Page | NoPage:
    """A page that is plain text already."""
    text = _tidy(scalar(text))
    return Page(text, None, None, confidence(text)) if text else NoPage("no_text", "the text is blank")


def confidence(text: str) -> float:
    """Share of the bytes in lines of at least 80 UTF-8 bytes, 0 to 1; see Page."""
    lengths = list(map(len, text.encode("utf-8", "replace").split(b"\n")))
    total = sum(lengths)
    return round(sum(length for length in lengths if length >= PROSE_BYTES) / total, 6) if total else 0.0


def scalar(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot hold: U+FFFD in their place."""
    return _scalar(text)[0]


def _scalar(text: str) -> tuple[str, bytes]:
    try:
        return text, text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return text, text.encode("utf-8")


def _crawlmill(source: Source, options: Options) -> tuple[str, float]:
    """The learned extractor; where it is less sure than `cascade_below`, the backend that is then asked, if that gives text."""
    body = source.tree.body
    page = read(body.html, source.limits.max_blocks) if body is not None else None
    if page is None:
        return "", 0.0
    found = select(page)
    if found.confidence < options.cascade_below:
        text, _ = BACKENDS[options.cascade_to](source, options)
        if text.strip():
            return text, round(found.confidence, 6)
    if options.links or options.markdown:
        return marked(page, found.keep, source.url, options.links, options.markdown), round(found.confidence, 6)
    return lines_of(page, found.keep), round(found.confidence, 6)


def _resiliparse(source: Source, options: Options) -> tuple[str, float]:
    """Main content, or all text of the page if that is prose and main content hardly any of it; and its confidence.

    On 1,641 pages of five benchmarks resiliparse finds less than a twentieth of such a page 88 times, mostly nothing but a headline; all text
    instead raises the mean F1 of these pages by .73, of all pages from .774 to .813. Where less than a quarter of a page is prose, it is menus.
    """
    text = extract_plain_text(source.tree, main_content=True, alt_texts=False, list_bullets=False, comments=False).strip()
    if len(text) * SPARSE < len(source.html):
        everything, prose = _everything(source)
        if len(text) < LEAST_MAIN * len(everything) and prose >= LEAST_PROSE:
            return everything, WHOLE_PAGE * prose
    return text, confidence(_tidy(text))


def _trafilatura(source: Source, options: Options) -> tuple[str, float]:
    """trafilatura as its benchmark runs it. Its `deduplicate` is a cache of the process, so the text would depend on the order of pages."""
    from trafilatura import extract as trafilatura_extract

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    text = trafilatura_extract(
        source.html,
        url=source.url if options.links else None,
        output_format="markdown" if options.markdown else "txt",
        include_comments=False,
        include_tables=True,
        include_links=options.links,
        deduplicate=False,
    )
    return text or "", confidence(_tidy(text or ""))


def _everything(source: Source) -> tuple[str, float]:
    """All text of the page and its share of prose."""
    text = _tidy(extract_plain_text(source.tree, main_content=False, alt_texts=False, list_bullets=False, comments=False))
    return text, confidence(text)


BACKENDS: dict[str, Callable[[Source, Options], tuple[str, float]]] = {
    "crawlmill": _crawlmill,
    "resiliparse": _resiliparse,
    "trafilatura": _trafilatura,
}


def _tidy(text: str) -> str:
    """Line feeds only, no NUL (which some readers of the tables take for an end), no blank ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip()


def _title(tree: HTMLTree) -> str | None:
    title = " ".join((tree.title or "").replace("\0", "").split())
    return title or None


def _language(tree: HTMLTree) -> str | None:
    root = tree.document.document_element if tree.document is not None else None
    language = root.get_attribute("lang") if root is not None else None
    return ((language or "").replace("\0", "").strip() or None) if language else None
