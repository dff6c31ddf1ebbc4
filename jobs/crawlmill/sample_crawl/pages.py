"""A page of the sample crawl: what a server would have sent, and what is true about it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from crawlmill.sample_crawl.legacy import UTF8, Encoding
from crawlmill.sample_crawl.templates import NAMES, Content, render
from crawlmill.sample_crawl.texts import Article, Language, languages

SNAPSHOTS = ("CC-MAIN-2026-38", "CC-MAIN-2026-43")
SMALLER = ("CC-MAIN-2026-33", "CC-MAIN-2026-28", "CC-MAIN-2026-23", "CC-MAIN-2026-18")  # written only where they are asked for
SMALLEST = (  # twenty of a dozen pages each: a long life in minutes
    "CC-MAIN-2026-13", "CC-MAIN-2026-08", "CC-MAIN-2026-03", "CC-MAIN-2025-50", "CC-MAIN-2025-45", "CC-MAIN-2025-40", "CC-MAIN-2025-35",
    "CC-MAIN-2025-30", "CC-MAIN-2025-25", "CC-MAIN-2025-20", "CC-MAIN-2025-15", "CC-MAIN-2025-10", "CC-MAIN-2025-05", "CC-MAIN-2024-52",
    "CC-MAIN-2024-47", "CC-MAIN-2024-42", "CC-MAIN-2024-37", "CC-MAIN-2024-32", "CC-MAIN-2024-27", "CC-MAIN-2024-22",
)  # fmt: skip
EARLIER = (*SMALLER, *SMALLEST)
KINDS = (
    "article", "exact_copy", "near_copy", "far_copy", "boilerplate", "short", "spam", "adult", "lorem", "repetition", "mojibake",
    "personal_data", "empty", "status", "revisit", "binary", "plain_text", "broken",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One capture.

    `text` is the main text a perfect extractor returns ("" where there is none); `of` is the (snapshot, url) that this is a copy of;
    `charset` is the encoding of the bytes whatever was declared; `wire` is how the body is sent (`gzip`, `chunked` or "");
    `defect` is what is wrong with its record (see `warc.exchange` and `mirror`); `file` the crawl file where it must lie.
    """

    url: str
    kind: str
    body: bytes
    text: str = ""
    detail: str = ""
    language: str = "und"
    script: str = "Zyyy"
    content_type: str = "text/html"
    charset: str = "utf-8"
    declared: str = "none"
    status: int = 200
    location: str | None = None
    of: tuple[str, str] | None = None
    wire: str = ""
    defect: str = ""
    file: int | None = None

    @property
    def mime(self) -> str:
        return self.content_type.split(";")[0]


def url_of(article: Article, number: int) -> str:
    """The address of an article on its own site: the same in every snapshot."""
    hosts = article.language.site.hosts
    host = hosts[number % len(hosts)]
    paths = (
        f"https://{host}/2026/0{1 + number % 8}/{article.slug}-{number}.html",
        f"http://{host}/{article.slug}/?id={number}&lang={article.language.html}",
        f"https://{host}/{quote(article.title.replace(' ', '-'))}/{number}",
        f"https://{host}/articles/{number}/",
    )
    return paths[number % len(paths)]


def article_page(
    article: Article,
    url: str,
    template: str,
    *,
    number: int,
    nonce: str,
    kind: str = "article",
    detail: str = "",
    of: tuple[str, str] | None = None,
    encoding: Encoding = UTF8,
    paragraphs: list[str] | None = None,
) -> Page:
    """A page with that article (or with other paragraphs in its place) on the site that the number stands for."""
    language = article.language
    shown = article.paragraphs if paragraphs is None else paragraphs
    others = [topic.title for topic in language.topics if topic.slug != article.slug]
    content = Content(
        language=language, title=article.title, paragraphs=shown, site=language.site.sites[number % len(language.site.sites)],
        related=[others[(number + step) % len(others)] for step in (1, 3, 4)], charset=encoding.meta, nonce=nonce,
    )  # fmt: skip
    content_type = encoding.content_type
    if template == "xhtml" and encoding is UTF8 and number % 2:  # strict authors send their XHTML as XML
        content_type = content_type.replace("text/html", "application/xhtml+xml")
    return Page(
        url=url, kind=kind, detail=detail, text="\n".join(shown), language=language.code, script=language.script,
        body=encoding.encode(render(template, content)), content_type=content_type, charset=encoding.codec,
        declared=encoding.declared, of=of,
    )  # fmt: skip


def notice(
    url: str, title: str, lines: list[str], kind: str, detail: str = "", language: Language | None = None, status: int = 200
) -> Page:
    """A page that holds a few lines and nothing else."""
    spoken = language or languages()["eng"]
    content = Content(spoken, title, lines, site=spoken.site.sites[0], related=[], charset="utf-8", nonce="0")
    return Page(
        url=url, kind=kind, detail=detail, text="\n".join(lines), language=spoken.code, script=spoken.script, status=status,
        body=UTF8.encode(render("plain", content)), content_type=UTF8.content_type, declared=UTF8.declared,
    )  # fmt: skip


def template_of(article: Article, number: int) -> str:
    """The template of the site that an article stands on."""
    return NAMES[(sum(map(ord, article.language.code)) + number) % len(NAMES)]
