"""A page's body as tokens and elements: the parser's serialisation, read with numpy.

The serialisation is well formed (lower case, every element closed), so positions of `<` and `>` are the tokens, a running sum of +1 and -1
is the depth, and a stable sort by depth brings each start tag next to its end tag. No loop goes over nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crawlmill.text.extractor.arrays import PAD, Bools, Ints, Octets, code, eight, names, octets
from crawlmill.text.extractor.compiled import native
from crawlmill.text.extractor.repair import balance, escape_attributes, matched, odd
from crawlmill.text.extractor.tags import BY_CODE, IS_VOID, UNKNOWN

_LESS, _GREATER, _SLASH, _BLANK = 60, 62, 47, 32
_NAMED = np.array([97 <= byte <= 122 or byte == _SLASH for byte in range(256)])  # what may follow the `<` of a serialised tag
_AMPERSAND, _SIX, _NBSP = 38, np.uint64((1 << 48) - 1), np.uint64(code(b"&nbsp;"))
_BLANK_OF_SIX = np.array([_BLANK, 0, 0, 0, 0, 0], np.uint8)
DEEPEST = 30_000  # levels that a 16-bit sort key holds


@dataclass(slots=True)
class Markup:
    """Tokens (tags in page order) and elements (pairs of them, sorted by depth, then position) of a page.

    Shapes: tokens N: `lt`, `gt` (byte positions of `<` and `>`), `tag`, `delta` (+1 start, -1 end, 0 void), `level` (open elements after it);
    elements E: `opens`, `closes` (tokens), `parent` (elements), `depth`, `kind` (tag), `key` (depth * N + opens, sorted).
    """

    a: Octets
    lt: Ints
    gt: Ints
    tag: Ints
    delta: Ints
    level: Ints
    opens: Ints
    closes: Ints
    parent: Ints
    depth: Ints
    kind: Ints
    key: Ints

    def around(self, tokens: Ints) -> Ints:
        """The innermost element that is open after each token; the outermost one where none is."""
        found = np.searchsorted(self.key, self.level[tokens] * len(self.lt) + tokens, side="right") - 1
        return np.maximum(found, 0)


def read(page: bytes) -> Markup | None:
    """Tokens and elements of a serialised body without raw text; None where it has none."""
    if native is not None and (found := read_compiled(page)) is not None:
        return found
    return read_in_numpy(page)


def read_compiled(page: bytes) -> Markup | None:
    """Nearly every page; None where it has no tags or needs repair."""
    a = np.frombuffer(bytearray(page + b" " * PAD), np.uint8)
    room = page.count(b"<")
    rows, close = np.empty((11, room), np.int64), np.empty(room, np.uint8)
    count, pairs = native.markup(a, rows, close, *BY_CODE.table, IS_VOID, *BY_CODE.slots, len(page), DEEPEST)
    return Markup(a, *rows[:5, :count], *rows[5:, :pairs]) if pairs > 0 else None


def read_in_numpy(page: bytes) -> Markup | None:
    """Every page."""
    a, lt, gt = _brackets(page)
    if odd(lt, gt) or not _NAMED[a[lt + 1]].all():
        a, lt, gt = _brackets(escape_attributes(page))
        if odd(lt, gt):
            lt, gt = matched(lt, gt)
    if len(lt) < 2:
        return None
    close = a[lt + 1] == _SLASH
    tag = BY_CODE(names(eight(a, lt + 1 + close)))
    tag[tag < 0] = UNKNOWN
    found = _elements(a, lt, gt, tag, close)
    if found is None:
        keep = balance(tag, close, IS_VOID[tag])
        a = _blanked(a, lt[~keep], gt[~keep])  # a tag that is left out must not be read as text
        found = _elements(a, lt[keep], gt[keep], tag[keep], close[keep])
    return found


def _brackets(page: bytes) -> tuple[Octets, Ints, Ints]:
    """(bytes, a blank and five NUL for each `&nbsp;`; positions of `<`; positions of `>`)."""
    a = octets(page)
    entities = np.flatnonzero(a == _AMPERSAND)
    entities = entities[(eight(a, entities) & _SIX) == _NBSP]
    if len(entities):
        a = a.copy()
        a[entities[:, None] + np.arange(6)] = _BLANK_OF_SIX
    return a, np.flatnonzero(a == _LESS), np.flatnonzero(a == _GREATER)


def _blanked(a: Octets, starts: Ints, lasts: Ints) -> Octets:
    a = a.copy()
    for start, last in zip(starts.tolist(), lasts.tolist(), strict=True):
        a[start : last + 1] = _BLANK
    return a


def _elements(a: Octets, lt: Ints, gt: Ints, tag: Ints, close: Bools) -> Markup | None:
    """Pairs start and end tags; None where they do not pair."""
    void = IS_VOID[tag]
    delta = np.where(void, 0, np.where(close, -1, 1))
    level = np.cumsum(delta)
    paired = np.flatnonzero(~void)
    depth = level[paired] + close[paired]
    if len(paired) < 2 or len(paired) % 2 or int(depth.max()) > DEEPEST or int(depth.min()) < 1:
        return None
    order = np.argsort(depth.astype(np.int16), kind="stable")
    ranked = paired[order]
    opens, closes = ranked[0::2], ranked[1::2]
    if close[opens].any() or not close[closes].all() or (tag[opens] != tag[closes]).any():
        return None
    depth = depth[order][0::2]
    count = len(lt)
    key = depth * count + opens
    parent = np.maximum(np.searchsorted(key, key - count) - 1, 0)
    return Markup(a, lt, gt, tag, delta, level, opens, closes, parent, depth, tag[opens], key)
