"""A page's text as blocks, what stands between two block-level tags, with counts of what each is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crawlmill.text.extractor.arrays import Bools, Floats, Ints, Octets, eight, spans
from crawlmill.text.extractor.compiled import native
from crawlmill.text.extractor.markup import Markup
from crawlmill.text.extractor.tags import IS_DROPPED, IS_INLINE, TAG

FIELD = 21  # bits of a count; three of them share a machine word while they are summed up
MASK = (1 << FIELD) - 1
_SYMBOLS = frozenset(b"|/>-_+*#@=&;()[]{}$<~^")
_BR, _A = TAG["br"], TAG["a"]
_ENDINGS = np.isin(
    np.arange(256), [ord(c) for c in '.!?"'] + [0x82, 0x81, 0xA4, 0x9F, 0x94, 0x99, 0x9D, 0xA6]
)  # last bytes of 。 ！ ؟ । ” ’ …


def _weight(byte: int) -> int:
    """Latin letters that a character stands for, by its first byte: two for Han, kana and Hangul, none for bytes that follow."""
    if byte <= 32 or 0x80 <= byte < 0xC0:
        return 0
    return 2 if 0xE3 <= byte < 0xEF else 1


_TEXT = np.array([_weight(b) | (b in b".,;:!?") << FIELD for b in range(256)], np.int64)
_KIND = np.array(
    [(48 <= b < 58) | (65 <= b < 91) << FIELD | (b in _SYMBOLS) << (2 * FIELD) for b in range(256)],
    np.int64,
)
_FOREIGN = np.array([b >= 0xCE for b in range(256)], np.int64)  # first bytes of Greek letters and all that follow in Unicode


_SUMMED = ("weight", "linked", "punctuation", "words", "digits", "capitals", "symbols", "foreign")


@dataclass(slots=True)
class Blocks:
    """Shapes: (n,) but `page`. `first`, `last`: tokens before a block's first and last text; `start`, `end`: bytes from one block-level tag to the next.

    Counts: `weight` (Latin letters, Han characters twice), `linked` (of it in links), `punctuation`, `words`, `digits`, `capitals`, `symbols`,
    `foreign` (letters from Greek on), `pieces` (runs of text), `breaks` (br). `element`: the innermost block-level element around it. `text`,
    `text_end`: bytes of its first run of text, `head`: the first of them; `likeness`: a number that equal blocks share.
    """

    n: int
    first: Ints
    last: Ints
    start: Ints
    end: Ints
    element: Ints
    weight: Floats
    linked: Floats
    punctuation: Floats
    words: Floats
    digits: Floats
    capitals: Floats
    symbols: Floats
    foreign: Floats
    pieces: Floats
    breaks: Floats
    text: Ints
    text_end: Ints
    head: Ints
    sentence: Bools
    colon: Bools
    likeness: Ints


def blocks(markup: Markup) -> Blocks | None:
    """The blocks of a page in page order; None where it has no text. Elements without readable text (select, template, svg) have none."""
    starts, ends = markup.gt[:-1] + 1, markup.lt[1:]
    shown = np.cumsum(np.where(IS_DROPPED[markup.tag], markup.delta, 0))[:-1] == 0
    tokens = np.flatnonzero((ends > starts) & shown)
    if not len(tokens):
        return None
    s, e = starts[tokens], ends[tokens]
    found = counts(markup.a, s, e)
    full = np.flatnonzero(found[0] & MASK)
    if not len(full):
        return None
    return _grouped(markup, tokens[full], s[full], e[full], *found.take(full, axis=1))


def counts(a: Octets, s: Ints, e: Ints) -> Ints:
    """What the runs of text from bytes `s` to `e` hold, shape (3, n): weight, punctuation and words; digits, capitals and symbols; foreign letters."""
    if native is None:
        return counts_in_numpy(a, s, e)
    found = np.empty((3, len(s)), np.int64)
    native.counts(a, s, e, _TEXT, _KIND, found, FIELD)
    return found


def counts_in_numpy(a: Octets, s: Ints, e: Ints) -> Ints:
    """The same without a compiler."""
    at, begins = spans(s, e)
    text = a.take(at)
    foreign = np.add.reduceat(_FOREIGN.take(text), begins) if int(text.max()) >= 0xCE else np.zeros(len(s), np.int64)
    return np.array((np.add.reduceat(_text_counts(text, begins), begins), np.add.reduceat(_KIND.take(text), begins), foreign))


def _text_counts(text: Octets, begins: Ints) -> Ints:
    """Per byte: weight, punctuation and whether a word begins there."""
    counts = _TEXT.take(text)
    visible = text > 32
    opening = visible.copy()
    opening[1:] &= ~visible[:-1]
    opening[begins] = visible[begins]
    counts += opening.astype(np.int64) << (2 * FIELD)
    if int(text.max()) >= 0xD8:
        counts[_foreign_punctuation(text)] += 1 << FIELD
    return counts


def _foreign_punctuation(text: Octets) -> Ints:
    """Where UTF-8 of 、 。 「 (E3 80), full-width marks (EF BC), Devanagari's danda (E0 A5 A4/A5) or Arabic marks (D8 8C/9B/9F, DB 94) begins."""
    leads = np.flatnonzero(text[:-2] >= 0xD8) if len(text) > 2 else np.zeros(0, np.int64)
    one, two, three = text[leads], text[leads + 1], text[leads + 2]
    marks = (one == 0xE3) & (two == 0x80)
    marks |= (one == 0xEF) & (two == 0xBC) & ((three < 0x90) | (three >= 0x9A))
    marks |= (one == 0xE0) & (two == 0xA5) & ((three == 0xA4) | (three == 0xA5))
    marks |= (one == 0xD8) & ((two == 0x8C) | (two == 0x9B) | (two == 0x9F))
    marks |= (one == 0xDB) & (two == 0x94)
    found: Ints = leads[marks]
    return found


def _borders(markup: Markup, tokens: Ints) -> Bools:
    """Which tokens part blocks: block-level tags, and a br that follows a br with nothing between."""
    parts = ~IS_INLINE[markup.tag]
    breaks = markup.tag == _BR
    if breaks.any():
        silent = np.ones(len(markup.tag), bool)
        silent[tokens] = False
        parts[1:] |= breaks[1:] & breaks[:-1] & silent[:-1]
    return parts


def _grouped(markup: Markup, tokens: Ints, s: Ints, e: Ints, counts: Ints, kinds: Ints, foreign: Ints) -> Blocks:
    """Blocks from runs of text: `tokens` before each run, its bytes `s` to `e`, its counts."""
    parts = _borders(markup, tokens)
    group = np.cumsum(parts)[tokens]
    begin = np.ones(len(tokens), bool)
    begin[1:] = group[1:] != group[:-1]
    first = np.flatnonzero(begin)
    last = np.append(first[1:], len(tokens)) - 1
    weight = counts & MASK
    in_link = np.cumsum(np.where(markup.tag == _A, markup.delta, 0))[tokens] > 0
    sums = np.add.reduceat(
        np.array((weight, weight * in_link, (counts >> FIELD) & MASK, counts >> 2 * FIELD, kinds & MASK, (kinds >> FIELD) & MASK, kinds >> 2 * FIELD, foreign)),
        first, axis=1,
    ).astype(np.float64)  # fmt: skip
    borders = np.append(np.flatnonzero(parts), len(markup.lt) - 1)
    number = group[first]
    breaks = np.cumsum(markup.tag == _BR)
    final = markup.a[e[last] - 1]
    final = np.where(final <= 32, markup.a[e[last] - 2], final)
    likeness = (eight(markup.a, s[first]) * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    likeness += (sums[0] * 8191 + sums[5] * 131 + sums[4]).astype(np.int64)
    return Blocks(
        n=len(first),
        first=tokens[first],
        last=tokens[last],
        start=markup.gt[borders[number - 1]] + 1,
        end=markup.lt[borders[number]],
        element=_block_element(markup, tokens[first]),
        text=s[first],
        text_end=e[first],
        head=markup.a[s[first]].astype(np.int64),
        sentence=_ENDINGS[final],
        colon=final == ord(":"),
        likeness=likeness,
        pieces=(last - first + 1).astype(np.float64),
        breaks=(breaks[tokens[last]] - breaks[tokens[first]]).astype(np.float64),
        **dict(zip(_SUMMED, sums, strict=True)),
    )


def _block_element(markup: Markup, tokens: Ints) -> Ints:
    """The innermost block-level element that is open after each token."""
    element = markup.around(tokens)
    for _ in range(30):
        inline = IS_INLINE[markup.kind[element]] & (element != markup.parent[element])
        if not inline.any():
            break
        element = np.where(inline, markup.parent[element], element)
    return element
