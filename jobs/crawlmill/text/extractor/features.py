"""What the first pass knows of a block: numbers of its own, of what is around it, of its page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crawlmill.text.extractor.arrays import Floats, Ints, Octets, Singles, listed
from crawlmill.text.extractor.blocks import Blocks
from crawlmill.text.extractor.lexicon import GROUPS as TEXT_GROUPS
from crawlmill.text.extractor.lexicon import block_words, heading_words
from crawlmill.text.extractor.markup import Markup
from crawlmill.text.extractor.tags import ANCESTOR_BITS, ANCESTORS, IS_INLINE, OWN, OWN_TABLE, TAG
from crawlmill.text.extractor.words import GROUPS, attribute_words

LEVELS = 5  # containers above a block that are looked at
PROSE_WEIGHT = 60  # Latin letters from which a block with punctuation counts as prose: about ten English words
PROSE_LINKED = 0.4  # unless so much of it is in links
COSTS = (1.3, 2.0, 4.0)  # weight of prose against all text, by which the best subtree is found
WINDOWS = (5, 15)  # blocks on each side
_P, _LI, _H1, _H2, _ARTICLE, _MAIN, _FORM, _TABLE, _IMG = (TAG[name] for name in listed("p li h1 h2 article main form table img"))
_SUMS = ("weight", "linked", "punctuation", "prose", "paragraphs", "words", "long")

_CHAIN = (
    "log weight", "linked share", "punctuation share", "prose share", "share of page", "share of prose", "blocks", "paragraphs", "long blocks",
    "place inside", "share of parent's", "repeated", "weight a block",
)  # fmt: skip
_OWN = (
    "log weight", "linked share", "punctuation share", "punctuation", "words", "word length", "digits", "capitals", "symbols", "foreign",
    "pieces", "sentence", "colon", "breaks", "head below a", "prose", "twins",
)  # fmt: skip
_PAGE = (
    "blocks", "log weight", "linked share", "punctuation share", "prose share", "paragraphs", "long blocks", "h1", "h2", "article", "main", "form", "table",
    "li share", "links a block", "elements", "most repeated", "weight a block", "foreign share", "prose blocks",
)  # fmt: skip
NAMES = (
    *(f"above: {'/'.join(group)[:12]}" for group in ANCESTORS),
    *(f"above: words {name}" for name in GROUPS),
    "repeated element", "repeated container", "depth",
    *(f"container {level}: {name}" for name in _CHAIN for level in range(LEVELS)),
    *(f"best subtree {cost}: {name}" for cost in COSTS for name in ("inside", "distance", "share of prose", "share of page")),
    *(f"own: {name}" for name in _OWN),
    *(f"own: in {'/'.join(group)}" for group in OWN),
    *(f"{where}: {name}" for where in ("before", "after") for name in ("log weight", "linked share", "punctuation share", "sentence", *map("/".join, OWN))),
    *(f"{where}: {name}" for where in ("before 2", "after 2") for name in ("log weight", "linked share", "punctuation share", "sentence")),
    *(f"{where}: {name}" for where in ("before 3", "after 3") for name in ("log weight", "linked share")),
    *(f"window {size}: {name}" for size in WINDOWS for name in ("log weight", "linked share", "prose share")),
    "tags before", "tags after", "images before",
    "place", "blocks to the end", "blocks from the start", "text before", "prose before", "from h1", "before h1",
    *(f"page: {name}" for name in _PAGE),
    *(f"page: words {name}" for name in GROUPS),
    *(f"own: says {name}" for name in TEXT_GROUPS),
    *(f"heading: says {name}" for name in TEXT_GROUPS),
    "blocks from heading",
    *(f"page: prose in {'/'.join(group)[:12]}" for group in ANCESTORS),
    *(f"page: prose in words {name}" for name in GROUPS),
)  # fmt: skip


@dataclass(slots=True)
class Analysis:
    """A page ready to be classified. `x`: features, shape (len(NAMES), n). Containers: `chain` (LEVELS, n) elements; the blocks of element i are
    `begin[i]` to `end[i] - 1`."""

    markup: Markup
    blocks: Blocks
    x: Singles
    chain: Ints
    begin: Ints
    end: Ints


def analyse(markup: Markup, blocks: Blocks) -> Analysis:
    """The features of every block of a page."""
    begin, end = _extents(markup, blocks)
    bits, likeness = attribute_words(markup)
    repeated = _repeated(markup, likeness)
    prose = _prose(blocks)
    own_tag = OWN_TABLE[markup.kind[blocks.element]].T
    sums = np.zeros((len(_SUMS), blocks.n + 1))
    np.cumsum(
        np.array((blocks.weight, blocks.linked, blocks.punctuation, prose, own_tag[0], blocks.words, blocks.weight > PROSE_WEIGHT)),
        axis=1, out=sums[:, 1:],
    )  # fmt: skip
    chain = _chain(markup, blocks, end - begin)
    own = _own(blocks, prose)
    above = _above(markup, blocks, bits)
    x = np.empty((len(NAMES), blocks.n), np.float32)
    at = 0
    for rows in (
        above,
        np.array((repeated[blocks.element], repeated[chain[0]], markup.depth[blocks.element])),
        _containers(blocks, sums, chain, begin, end, repeated),
        _subtrees(blocks, sums, begin, end),
        own,
        own_tag,
        _neighbours(own, own_tag),
        _windows(blocks, sums),
        _gaps(markup, blocks),
        _places(blocks, sums, own_tag),
        _page(markup, blocks, sums, own_tag, repeated, prose)[:, None],
        _page_words(bits)[:, None],
        *_said(markup, blocks, own_tag),
        ((above > 0) @ (prose / (sums[3, -1] + 1)))[:, None],  # how much of the page's prose stands in elements of each group
    ):
        x[at : at + len(rows)] = rows
        at += len(rows)
    return Analysis(markup, blocks, x, chain, begin, end)


def _extents(markup: Markup, blocks: Blocks) -> tuple[Ints, Ints]:
    """First block of each element and the one after its last."""
    before = np.zeros(len(markup.lt) + 1, np.int64)
    before[blocks.first + 1] = 1
    before = np.cumsum(before)
    return before[markup.opens], before[markup.closes]


def _repeated(markup: Markup, likeness: Ints) -> Floats:
    """Log of 1 + the number of siblings of an element that look like it, itself among them: equal tag and attribute words. Shape (E,)."""
    mixed = (likeness * 1000003 + markup.parent) * -7046029254386353131
    slots = (mixed >> 49) & 0x7FFF
    repeats: Floats = np.log1p(np.bincount(slots, minlength=0x8000).take(slots))
    return repeats


def _prose(blocks: Blocks) -> Floats:
    """Weight of a block that reads as prose, less what is in links; 0 for others. Scripts from Greek on need no punctuation: Thai has none."""
    marked = (blocks.punctuation > 0) | (blocks.foreign > 0.3 * blocks.words)
    reads = (blocks.weight > PROSE_WEIGHT) & marked & (blocks.linked < PROSE_LINKED * blocks.weight)
    return np.where(reads, blocks.weight - 0.3 * blocks.linked, 0.0)


def _chain(markup: Markup, blocks: Blocks, inside: Ints) -> Ints:
    """The containers above each block: each time the outermost element with the same blocks, then its parent's. Shape (LEVELS, n)."""
    parent = markup.parent
    top = np.where(inside[parent] == inside, parent, np.arange(len(parent)))
    for _ in range(5):
        top = top[top]
    at = top[blocks.element]
    chain = [at]
    for _ in range(LEVELS - 1):
        at = top[parent[at]]
        chain.append(at)
    return np.array(chain)


def _above(markup: Markup, blocks: Blocks, bits: Ints) -> Octets:
    """Counts of elements of each group that are open around a block."""
    deltas = np.zeros((4, len(markup.lt)), np.int64)
    np.multiply(ANCESTOR_BITS[:, markup.tag], markup.delta, out=deltas[:2])
    deltas[2:, markup.opens] = bits.T
    deltas[2:, markup.closes] = -bits.T
    counts = np.ascontiguousarray(np.cumsum(deltas, axis=1)[:, blocks.first].T).view(np.uint8)
    return counts.T[: len(ANCESTORS) + len(GROUPS)]


def _containers(blocks: Blocks, sums: Floats, chain: Ints, begin: Ints, end: Ints, repeated: Floats) -> Floats:
    first = begin[chain]
    total = sums[:, end[chain]] - sums[:, first]
    count = np.maximum(end[chain] - first, 1)
    weight = total[0] + 1
    below = np.concatenate((blocks.weight[None], total[0][:-1]))
    rows = np.array((
        np.log1p(total[0]), total[1] / weight, total[2] / weight, total[3] / weight, total[0] / (sums[0, -1] + 1), total[3] / (sums[3, -1] + 1), count,
        total[4], total[6], (np.arange(blocks.n) - first) / count, below / weight, repeated[chain], total[0] / count,
    ))  # fmt: skip
    return rows.reshape(-1, blocks.n)


def _subtrees(blocks: Blocks, sums: Floats, begin: Ints, end: Ints) -> Floats:
    """Where a block lies to the subtree with the most prose for its text, at several prices of text."""
    gain = np.array(COSTS)[:, None] * sums[3] - sums[0]
    best = np.argmax(gain[:, end] - gain[:, begin], axis=1)
    first, after = begin[best][:, None], end[best][:, None]
    at = np.arange(blocks.n)
    rows = np.empty((len(COSTS), 4, blocks.n))
    rows[:, 0] = (at >= first) & (at < after)
    rows[:, 1] = np.clip(np.where(at < first, at - first, np.where(at >= after, at - after + 1, 0)), -50, 50)
    rows[:, 2] = (sums[3, after] - sums[3, first]) / (sums[3, -1] + 1)
    rows[:, 3] = (sums[0, after] - sums[0, first]) / (sums[0, -1] + 1)
    return rows.reshape(-1, blocks.n)


def _own(blocks: Blocks, prose: Floats) -> Floats:
    weight = blocks.weight + 1
    slots = (blocks.likeness * -7046029254386353131 >> 51) & 0x1FFF
    twins = np.bincount(slots, minlength=0x2000)[slots]
    return np.array((
        np.log1p(blocks.weight), blocks.linked / weight, blocks.punctuation / weight, blocks.punctuation, blocks.words, blocks.weight / (blocks.words + 1),
        blocks.digits / weight, blocks.capitals / weight, blocks.symbols / weight, blocks.foreign / weight, blocks.pieces, blocks.sentence, blocks.colon,
        blocks.breaks, blocks.head < 97, prose > 0, twins,
    ))  # fmt: skip


def _neighbours(own: Floats, own_tag: Singles) -> Floats:
    n = own.shape[1]
    padded = np.zeros((4 + len(own_tag), n + 6))
    padded[:4, 3:-3] = own[[0, 1, 2, 11]]
    padded[4:, 3:-3] = own_tag
    return np.concatenate((
        padded[:, 2 : 2 + n], padded[:, 4 : 4 + n], padded[:4, 1 : 1 + n], padded[:4, 5 : 5 + n], padded[:2, :n], padded[:2, 6:],
    ))  # fmt: skip


def _windows(blocks: Blocks, sums: Floats) -> Floats:
    at = np.arange(blocks.n)
    rows = []
    for size in WINDOWS:
        total = sums[:, np.minimum(at + size + 1, blocks.n)] - sums[:, np.maximum(at - size, 0)]
        rows += [np.log1p(total[0]), total[1] / (total[0] + 1), total[3] / (total[0] + 1)]
    return np.array(rows)


def _gaps(markup: Markup, blocks: Blocks) -> Ints:
    gap = np.zeros(blocks.n + 1, np.int64)
    gap[1:-1] = blocks.first[1:] - blocks.last[:-1]
    images = np.zeros(blocks.n + 1, np.int64)
    images[1:] = (markup.tag == _IMG).cumsum()[blocks.first]
    return np.array((gap[:-1], gap[1:], images[1:] - images[:-1]))


def _places(blocks: Blocks, sums: Floats, own_tag: Singles) -> Floats:
    at = np.arange(blocks.n)
    headings = np.flatnonzero(own_tag[3])
    from_heading = at - headings[0] if len(headings) else np.full(blocks.n, -999)
    before = at < (headings[0] if len(headings) else -1)
    return np.array((
        at / blocks.n, blocks.n - at, at, sums[0, :-1] / (sums[0, -1] + 1), sums[3, :-1] / (sums[3, -1] + 1), from_heading, before,
    ))  # fmt: skip


def _said(markup: Markup, blocks: Blocks, own_tag: Singles) -> tuple[Floats, Floats, Floats]:
    """What a short block says, what the heading before it says, and how many blocks before it that heading is."""
    words = block_words(markup, blocks)
    at = np.arange(blocks.n)
    heading = np.flatnonzero(own_tag[3:6].any(axis=0))
    last = np.full(blocks.n, -1)
    last[heading] = heading
    distance = np.where((last := np.maximum.accumulate(last)) >= 0, at - last, -1)
    return words, heading_words(words, heading), np.minimum(distance, 60)[None].astype(np.float64)


def _page(markup: Markup, blocks: Blocks, sums: Floats, own_tag: Singles, repeated: Floats, prose: Floats) -> Floats:
    total = sums[:, -1]
    weight = total[0] + 1
    tags = np.bincount(markup.tag[markup.opens], minlength=len(IS_INLINE))
    elements = len(markup.opens)
    return np.array((
        blocks.n, np.log(weight), total[1] / weight, total[2] / weight, total[3] / weight, total[4], total[6], own_tag[3].sum(), own_tag[4].sum(),
        tags[_ARTICLE], tags[_MAIN], tags[_FORM], tags[_TABLE], tags[_LI] / elements, tags[TAG["a"]] / (blocks.n + 1), elements, repeated.max(),
        weight / blocks.n, blocks.foreign.sum() / weight, np.count_nonzero(prose),
    ))  # fmt: skip


def _page_words(bits: Ints) -> Floats:
    """Log of 1 + the number of elements whose attributes speak of each group."""
    counts = np.ascontiguousarray(bits).view(np.uint8).sum(axis=0, dtype=np.int64)
    logs: Floats = np.log1p(counts[: len(GROUPS)])
    return logs
