"""Which pages of a crawl file are wanted: by URL, by lists, by the language that the crawl itself found. What is not is a reject with its reason."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crawlmill.sources import lists
from crawlmill.takedowns import orders
from crawlmill.text.url import host

if TYPE_CHECKING:
    from crawlmill.recipes.recipe_extract import Select
    from crawlmill.takedowns.orders import Orders

Verdict = tuple[str, str] | None  # reason and message of a reject

# Common Crawl names languages by CLD2's ISO 639-3 codes, which are those of whole families where fastText's are single languages.
CRAWLS_CODE = {
    "cmn": "zho", "arb": "ara", "pes": "fas", "prs": "fas", "zsm": "msa", "ekk": "est", "lvs": "lav", "npi": "nep", "swh": "swa", "uzn": "uzb",
    "azj": "aze", "khk": "mon", "plt": "mlg", "als": "sqi", "ydd": "yid", "kmr": "kur", "ory": "ori", "nob": "nor", "pbt": "pus", "gug": "grn",
}  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """A recipe's choice, ready to judge. `languages` are ISO 639-3 codes as the crawl writes them; None: all."""

    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    opt_out: tuple[lists.UrlList, ...] = ()
    blocklist: tuple[lists.UrlList, ...] = ()
    languages: frozenset[str] | None = None
    orders: Orders | None = None

    def judge_record(self, url: str | None, record_id: str | None) -> Verdict:
        """Why a record may not be read at all: a takedown order of the lake names it. Comes before everything else."""
        name = self.orders.find(url, record_id) if self.orders else None
        return None if name is None else (orders.REASON, orders.message(name))

    def judge_url(self, url: str) -> Verdict:
        """Why a page of this address is not wanted; None where it is. Opt-outs come first: they are promises."""
        if self.opt_out or self.blocklist:
            name = host(url)
            for reason in ("opt_out", "blocklist"):
                for listed in getattr(self, reason):
                    if entry := listed.find(url, name):
                        return reason, f"{listed.kind} of {listed.name} name {entry[:120]}"
        if self.include and not any(pattern.search(url) for pattern in self.include):
            return "url_excluded", "no pattern of select.urls.include is in the URL"
        for pattern in self.exclude:
            if pattern.search(url):
                return "url_excluded", f"{pattern.pattern[:120]} of select.urls.exclude is in the URL"
        return None

    def judge_languages(self, found: tuple[str, ...]) -> Verdict:
        """Why a page in these languages is not wanted; one of those wanted is enough, and so is that the crawl names none."""
        if self.languages is None or not found or self.languages.intersection(found):
            return None
        return "other_language", f"the crawl found {','.join(found)[:60]}"


EVERYTHING = Selection()


def selection(options: Select) -> Selection:
    """The selection of a recipe. Raises UserError where a list is absent or was changed since the recipe was read."""
    return Selection(
        tuple(re.compile(pattern) for pattern in options.urls.include),
        tuple(re.compile(pattern) for pattern in options.urls.exclude),
        tuple(lists.load(entry.kind, entry.path, entry.sha256) for entry in options.opt_out),
        tuple(lists.load(entry.kind, entry.path, entry.sha256) for entry in options.blocklist),
        None if options.languages is None else frozenset(CRAWLS_CODE.get(code, code) for code in options.languages),
    )


def languages_of(headers: dict[str, str]) -> tuple[str, ...]:
    """The languages that a WET record names (WARC-Identified-Content-Language), most text first."""
    named = headers.get("warc-identified-content-language", "")
    return tuple(code.strip() for code in named.split(",") if code.strip())


def languages_in(metadata: bytes) -> tuple[str, ...]:
    """The languages of the page that a metadata record of Common Crawl is about (CLD2, three at most), most text first."""
    for line in metadata.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "languages-cld2":
            return _codes(value)
    return ()


@lru_cache(maxsize=1024)
def _codes(value: str) -> tuple[str, ...]:
    try:
        found: Any = json.loads(value)
        return tuple(str(one["code-iso-639-3"]) for one in found.get("languages", ()) if one.get("code-iso-639-3"))
    except (ValueError, TypeError, AttributeError):
        return ()
