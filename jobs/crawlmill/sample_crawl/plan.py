"""Which pages each snapshot holds: articles, their copies and what becomes of them by the next crawl."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from crawlmill.sample_crawl import legacy
from crawlmill.sample_crawl.oddities import odd_pages
from crawlmill.sample_crawl.pages import SMALLER, SMALLEST, SNAPSHOTS, Page, article_page, notice, template_of, url_of
from crawlmill.sample_crawl.texts import Article, Language, brief, compose, edit, languages, rearrange

OLDER, NEWER = SNAPSHOTS
READER = "https://reader.example.net"  # re-publishes texts as they are
DIGEST = "http://digest.example.org"  # re-publishes texts with small changes

# What becomes of the article with number n by the newer snapshot: FATE[n % 9].
FATE = ("same", "same", "same", "same", "edited", "edited", "gone", "gone", "rewritten")
_NEW_ARTICLES = 2


def articles_of(language: Language) -> int:
    """How many articles a language has in the older snapshot; English has the most, as in the real crawl."""
    return 24 if language.code == "eng" else 9


@cache
def pages(snapshot: str) -> tuple[Page, ...]:
    """All captures of a snapshot, in the order of the crawl. Raises KeyError for a snapshot that the sample does not have.

    One of the smaller ones has every fourth page of the older, unchanged, one of the smallest every twentieth.
    """
    for group in (SMALLER, SMALLEST):
        if snapshot in group:
            return tuple(
                page for page in pages(OLDER)[group.index(snapshot) :: len(group)] if page.file is None and not page.defect
            )
    builders = {OLDER: _older, NEWER: _newer}
    built = builders[snapshot]
    found = [page for language in languages().values() for page in built(language)]
    return (*found, *odd_pages(SNAPSHOTS.index(snapshot)))


def _position(language: Language) -> int:
    """Place of a language among all: what varies from one language to the next hangs on it."""
    return list(languages()).index(language.code)


def _own(article: Article, number: int, snapshot: str, kind: str = "article", detail: str = "", of: str | None = None) -> Page:
    """The article on its own site."""
    moved = snapshot == NEWER
    encoding = legacy.usual(number) if moved else legacy.OLDER.get((article.language.code, number), legacy.usual(number))
    return article_page(
        article, url_of(article, number), template_of(article, number), number=number, nonce=f"{snapshot}-{number}",
        kind=kind, detail=detail, of=(of, url_of(article, number)) if of else None, encoding=encoding,
    )  # fmt: skip


def _exact(article: Article, number: int, snapshot: str) -> Page:
    """The same text elsewhere: in some languages byte for byte, in others in the layout of another site."""
    same_html = _position(article.language) % 2 == 0
    template = template_of(article, number if same_html else number + 1)
    return article_page(
        article, f"{READER}/{article.language.html}/{article.slug}/{number}", template, number=number, nonce=f"{snapshot}-{number}",
        kind="exact_copy", detail="same_html" if same_html else "other_site", of=(snapshot, url_of(article, number)), encoding=legacy.usual(number),
    )  # fmt: skip


def _near(article: Article, number: int, snapshot: str) -> Page:
    """The same text with other words in one or two sentences."""
    changed = edit(article, f"{snapshot} {article.language.code} {number}", 1 + _position(article.language) % 2)
    return article_page(
        changed, f"{DIGEST}/{article.language.html}/{article.slug}-{number}", template_of(article, number + 2), number=number, nonce=snapshot,
        kind="near_copy", detail="other_site", of=(snapshot, url_of(article, number)), encoding=legacy.usual(number),
    )  # fmt: skip


def _older(language: Language) -> Iterator[Page]:
    texts = [compose(language.code, number) for number in range(articles_of(language))]
    for number, article in enumerate(texts):
        yield _own(article, number, OLDER)
    yield _exact(texts[0], 0, OLDER)
    longest = max(range(len(texts)), key=lambda number: (texts[number].sentences, -number))
    yield _near(texts[longest], longest, OLDER)
    yield _poor(language, 0)


def _newer(language: Language) -> Iterator[Page]:
    count = articles_of(language)
    for number in range(count):
        yield from _revisited(compose(language.code, number), number)
    fresh = {number: compose(language.code, number) for number in range(count, count + _NEW_ARTICLES)}
    for number, article in fresh.items():
        yield _own(article, number, NEWER, detail="new")
    yield _exact(fresh[count], count, NEWER)
    longest = max(fresh, key=lambda number: (fresh[number].sentences, -number))
    yield _near(fresh[longest], longest, NEWER)
    related = rearrange(compose(language.code, 0), fresh[count])
    yield article_page(
        related, f"{DIGEST}/{language.html}/mixed-{count}", "news", number=count, nonce=NEWER,
        kind="far_copy", detail="half", of=(OLDER, url_of(compose(language.code, 0), 0)), encoding=legacy.UTF8,
    )  # fmt: skip
    yield _poor(language, 1)


def _revisited(article: Article, number: int) -> Iterator[Page]:
    """The capture of an older article in the newer snapshot, if there is one."""
    fate = FATE[number % len(FATE)]
    if fate == "same":
        yield _own(article, number, NEWER, kind="exact_copy", detail="unchanged", of=OLDER)
    elif fate == "edited":
        changed = edit(article, f"revisit {article.language.code} {number}")
        yield _own(changed, number, NEWER, kind="near_copy", detail="edited", of=OLDER)
    elif fate == "rewritten":
        other = compose(
            article.language.code, number + 900
        )  # a multiple of 9 further on: the same main topic, so the same title and address
        if (other.slug, other.title) != (article.slug, article.title):
            other = Article(article.language, article.slug, article.title, other.body)
        yield _own(other, number, NEWER, detail="rewritten")


def _poor(language: Language, turn: int) -> Page:
    """A page in this language that a quality rule should turn away."""
    words, host = language.site, language.site.hosts[-1]
    position = (_position(language) + turn) % 4
    if position == 0:
        return notice(f"https://{host}/login", words.nav[0], [words.login], "boilerplate", "login", language)
    if position == 1:
        return notice(
            f"https://{host}/welcome", words.sites[-1], [words.cookies, words.accept], "boilerplate", "cookie_wall", language
        )
    if position == 2:
        return notice(f"https://{host}/notice", words.sites[-1], [brief(language.code, f"{turn}")], "short", "notice", language)
    titles = [topic.title for topic in language.topics]
    lines = [line for title in titles for line in (title, words.more)]
    return notice(f"https://{host}/archive", words.nav[5], lines, "boilerplate", "listing", language)
