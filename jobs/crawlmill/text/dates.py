"""When a page says it was published: JSON-LD, meta elements, time elements, the URL, in this order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import urlsplit

from crawlmill.text.extractor.arrays import listed

FIRST_YEAR, LAST_YEAR = 1990, 2100  # the web's own; a later capture date is the caller's to compare with
HEAD = 200_000  # characters in which meta elements are sought

_LINKED = re.compile(r'"datePublished"\s*:\s*"([^"]{8,40})"')
_META = re.compile(r"<meta\s[^>]*>")
_CAPITAL_META = re.compile(r"<META\s[^>]*>")
_ATTRIBUTE = re.compile(
    r"""\b(name|property|itemprop|http-equiv|content)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_NAMES = frozenset(
    listed(
        "article:published_time article:published og:article:published_time og:published_time og:pubdate datepublished date pubdate publishdate "
        "publish-date publish_date published published_time publication_date publication-date date.published dc.date dc.date.issued dc.issued "
        "dc.date.created dcterms.date dcterms.issued dcterms.created citation_publication_date citation_date citation_online_date sailthru.date "
        "parsely-pub-date article.published article_date_original originalpublicationdate cxenseparse:recs:publishtime rnews:datepublished "
        "weibo:article:create_at apub:time release_date"
    )
)
_TIME = re.compile(r"<time\s[^>]*>")
_DATED = re.compile(r"""\b(?:datetime|content|title)\s*=\s*["']([^"']{8,40})["']""")
_SAYS_PUBLISHED = re.compile(r"datePublished|pubdate|published|entry-date|post-date")

_ISO = re.compile(r"(?<!\d)(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)|(?<!\d)(\d{4})(\d\d)(\d\d)(?=T?\d{4,6}Z?$|T|$)")
_NAMED = re.compile(r"(?:(\d{1,2})\.?\s+)?\b([A-Z][a-z]{2})[a-z]*\.?,?\s+(?:(\d{1,2})(?:st|nd|rd|th)?,?\s+)?(\d{4})")
_MONTHS = {
    name: at for at, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_IN_URL = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/_](0?[1-9]|1[0-2])[-/_](0?[1-9]|[12]\d|3[01])(?!\d)")


def published(html: str, url: str) -> date | None:
    """The first of these that is a date: see the module."""
    return next((found for text in _claims(html, url) if (found := parse(text))), None)


def _claims(html: str, url: str) -> Iterator[str]:
    named = html.find("datePublished")
    if named >= 0 and (found := _LINKED.search(html, named - 1)):
        yield found[1]
    yield from _metas(html)
    at = html.find('itemprop="datePublished"', max(named - 10, 0)) if named >= 0 else -1
    if at >= 0:
        yield from _DATED.findall(html, html.rfind("<", 0, at), html.find(">", at) + 1)
    for element in _times(html):
        if _SAYS_PUBLISHED.search(element):
            yield from _DATED.findall(element)
    try:
        path = urlsplit(url).path
    except ValueError:
        return
    if in_url := _IN_URL.search(path):
        yield "-".join(in_url.groups())


def _metas(html: str) -> Iterator[str]:
    """Contents of the meta elements that are called a date of publication, in page order."""
    end = html.find("</head", 0, HEAD)
    end = end if end >= 0 else HEAD
    for element in _META.findall(html, 0, end) or _CAPITAL_META.findall(html, 0, end):
        lower = element.lower()
        if "dat" not in lower and "publish" not in lower and "time" not in lower:
            continue
        values = {key.lower(): one or two or three for key, one, two, three in _ATTRIBUTE.findall(element)}
        if any(values.get(key, "").strip().lower() in _NAMES for key in ("property", "name", "itemprop")):
            yield values.get("content", "")


def _times(html: str) -> Iterator[str]:
    """Start tags of the time elements, in page order; sought as a plain string, which is faster."""
    at = html.find("<time")
    while at >= 0:
        if found := _TIME.match(html, at):
            yield found[0]
        at = html.find("<time", found.end() if found else at + 1)


def parse(text: str) -> date | None:
    """A date from ISO 8601, year/month/day, yyyymmdd or English month names (RFC 2822 too); None where there is none or no such day."""
    if found := _ISO.search(text):
        year, month, day = (int(part) for part in (found.groups()[:3] if found[1] else found.groups()[3:]))
    elif (named := _NAMED.search(text)) and named[2] in _MONTHS and (named[1] or named[3]):
        year, month, day = int(named[4]), _MONTHS[named[2]], int(named[1] or named[3])
    else:
        return None
    try:
        return date(year, month, day) if FIRST_YEAR <= year <= LAST_YEAR else None
    except ValueError:
        return None
