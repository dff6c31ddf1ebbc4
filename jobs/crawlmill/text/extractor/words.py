"""Words in the attributes of block-level elements (class, id, role, itemprop, data-...): which kinds of page part they speak of."""

from __future__ import annotations

import numpy as np

from crawlmill.text.extractor.arrays import Ints, Lookup, Octets, code, eight, first_bytes, spans
from crawlmill.text.extractor.compiled import native
from crawlmill.text.extractor.markup import Markup
from crawlmill.text.extractor.tags import IS_INLINE

GROUPS = {
    "comment": "comment comments disqus reply replies respond livefyre",
    "navigation": "nav menu navbar navi navigation submenu dropdown tab tabs toolbar topbar offcanvas pager pagination paging",
    "related": "related recommend recommended more popular trending also similar latest recent mostread teaser teasers promo upsell",
    "content": "content contents article articles body articlebody entry story main maintext bodytext text post postbody blog",
    "sign_up": "newsletter subscribe signup login register search form modal popup overlay cookie cookies consent gdpr banner paywall",
    "shop": "product products price prices cart buy sku shop basket stock rating ratings review reviews star stars variant",
    "thread": "forum thread threads message messages msg topic topics discussion answer answers question questions qa quote bbcode",
    "document": "toc docs documentation markdown prose wiki mw rst highlight code api doc docutils",
    "side": "sidebar side rail widget widgets secondary footer foot bottom copyright colophon legal complementary contentinfo",
    "share": "share sharing social facebook twitter addthis follow sns btn button cta action actions tool tools",
    "advert": "ad ads advert adverts advertisement sponsor sponsored outbrain taboola dfp adsense",
    "meta": (
        "meta author byline date time published posted info tag tags category categories cat label labels breadcrumb breadcrumbs crumb user profile "
        "signature avatar"
    ),
    "title": "title titles headline heading subtitle hed dek lead intro summary standfirst header head hero",
    "hidden": "hidden hide none sr screen visually collapse collapsed tooltip",
    "description": "description desc details detail spec specs specification features feature overview faq accordion panel",
    "items": "list lists grid card cards item items tile tiles row rows col slider carousel gallery thumb caption figure image photo media",
}
"""English words as sites use them in their markup, whatever the language of the text; matched by their first eight letters."""

_BITS = np.zeros((2, len(GROUPS) + 1), np.int64)
for _at in range(len(GROUPS)):
    _BITS[_at // 8, _at] = 1 << (8 * (_at % 8))
_LOOKUP = Lookup({code(word): at for at, words in enumerate(GROUPS.values()) for word in words.split()})
LONGEST = 160  # bytes of a tag that are read
_MIX = np.uint64(0xC2B2AE3D27D4EB4F)


def attribute_words(markup: Markup) -> tuple[Ints, Ints]:
    """Per element: one packed byte for each group of which its tag names a word (shape (E, 2)), and a number for its words (shape (E,)).

    Words are runs of letters, parted also where a capital follows a small letter. Inline elements and tags without attributes have none.
    """
    bits = np.zeros((len(markup.opens), 2), np.int64)
    likeness = markup.kind.copy()
    lt, gt = markup.lt[markup.opens], markup.gt[markup.opens]
    having = np.flatnonzero((gt - lt > 10) & ~IS_INLINE[markup.kind])
    if not len(having):
        return bits, likeness
    starts = lt[having] + 1
    ends = np.minimum(gt[having], starts + LONGEST)
    if native is not None:
        native.attributes(markup.a, having, starts, ends, *_LOOKUP.table, bits, likeness, *_LOOKUP.slots, int(_MIX))
    else:
        in_numpy(markup.a, having, starts, ends, bits, likeness)
    return bits, likeness


def in_numpy(a: Octets, having: Ints, starts: Ints, ends: Ints, bits: Ints, likeness: Ints) -> None:
    """The words of some elements' tags, without a compiler: writes their bits and adds to their likeness."""
    at, begins = spans(starts, ends)
    raw = a.take(at)
    lower = np.empty(len(raw) + 8, np.uint8)
    np.bitwise_or(raw, 32, out=lower[:-8])
    letter = (lower[:-8] - np.uint8(97)) < 26
    capital = raw < 97  # of letters
    begin = letter.copy()
    begin[1:] &= ~letter[:-1] | (capital[1:] & ~capital[:-1])
    begin[begins] = letter[begins]  # the tag's name
    final = letter.copy()
    final[:-1] &= ~letter[1:] | begin[1:]
    final[begins[1:] - 1] = letter[begins[1:] - 1]
    first, last = np.flatnonzero(begin), np.flatnonzero(final)
    words = first_bytes(eight(lower, first), last - first + 1)
    counts = np.add.reduceat(begin, begins, dtype=np.int64)
    having, counts = having[counts > 0], counts[counts > 0]
    edges = np.cumsum(counts) - counts
    known = _LOOKUP(words)
    for half in range(2):
        bits[having, half] = np.bitwise_or.reduceat(_BITS[half][known], edges)
    mixed = ((words ^ (words >> np.uint64(29))) * _MIX).view(np.int64)
    likeness[having] += np.add.reduceat(mixed, edges)
