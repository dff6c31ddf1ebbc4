"""Whether a page may be given to a native parser: decided by counts before it is started.

The parser and the backends are native or recursive code that Python cannot interrupt, and some inputs cost them minutes (20,000 nested
elements: 12 s; 16,000 options in a select: 3 s). Counts are the same on every machine.
"""

from __future__ import annotations

import re

import numpy as np

from crawlmill.limits import Limits
from crawlmill.text.extractor.arrays import Ints, Lookup, Octets, code, eight, listed, names, octets
from crawlmill.text.extractor.compiled import native

DEFAULT = Limits()

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)(?:[^<>]*?(/?)>)?")
_LONG_TAG = re.compile(rb"""[A-Za-z](?:[^"'>]++|"[^"]*+"|'[^']*+')*+""")
# Elements that hold nothing, or that the next of their kind closes: unclosed ones do not nest
_FLAT = frozenset(
    re.findall(
        "[a-z]+",
        "area base br col embed hr img input link meta param source track wbr "
        "p li dt dd option optgroup tr td th thead tbody tfoot colgroup rt rp",
    )
)
_FLAT_NAME, _NESTING = 0, 1
_SIX, _OPTION = np.uint64((1 << 48) - 1), np.uint64(code("option"))
_NESTS = listed(
    "a article b body button center div dl em font form h2 h3 head header html i label main nav ol section small span strong table ul"
)
_NAMES = Lookup({code(name): _FLAT_NAME for name in _FLAT} | {code(name): _NESTING for name in _NESTS})


def too_complex(html: str, limits: Limits = DEFAULT, encoded: bytes | None = None) -> str:
    """Why a page may not be given to the parser; empty where it may. Linear in the page, and cheap unless it has thousands of open tags.

    `encoded`: the page in UTF-8, where the caller has it.
    """
    size = len(html)
    if size > limits.max_payload_bytes:
        return f"{size} characters, the limit is {limits.max_payload_bytes}"
    data = html.encode("utf-8", "replace") if encoded is None else encoded
    tags, closing, at_most, long = brackets(data, 2 * limits.max_attributes)
    if tags > limits.max_tags:
        return f"{tags} tags, the limit is {limits.max_tags}"
    if tags > limits.max_options and (options := _options(data)) > limits.max_options:
        return f"{options} options, the limit is {limits.max_options}"
    if (attributes := _most_attributes(data, long)) > limits.max_attributes:
        return f"{attributes} attributes in one tag, the limit is {limits.max_attributes}"
    opened = tags - closing  # no page nests deeper than it has start tags: most need no closer look
    for bound in (opened, at_most, None):
        depth = _depth(html) if bound is None else bound
        if depth <= limits.max_depth and depth * tags <= limits.max_nesting_work:
            return ""
    return f"nesting of about {depth} among {tags} tags; limits: {limits.max_depth}, product {limits.max_nesting_work}"


Brackets = tuple[int, int, int, list[tuple[int, int]]]


def brackets(page: bytes, least: int) -> Brackets:
    """`<` in a page, how many of them begin an end tag, an upper bound of `_depth`, (place, bytes up to the next) of those with more than `least`.

    For the bound a tag whose name is not plain counts as one that opens, never as one that closes.
    """
    if native is not None:
        return native.brackets(page, *_NAMES.table, *_NAMES.slots, least)
    return brackets_in_numpy(page, least)


def brackets_in_numpy(page: bytes, least: int) -> Brackets:
    """The same without a compiler."""
    a = octets(page)
    less = np.flatnonzero(a == ord("<"))
    lengths = np.diff(less, append=len(page))
    long = np.flatnonzero(lengths > least)
    closing = int(np.count_nonzero(a[less + 1] == ord("/")))
    return (
        len(less),
        closing,
        _at_most(a | np.uint8(32), less),
        list(zip(less[long].tolist(), lengths[long].tolist(), strict=True)),
    )


def _most_attributes(page: bytes, long: list[tuple[int, int]]) -> int:
    """About the most attributes of any of the long tags: places and lengths."""
    most = 0
    for at, length in long:
        piece = page[at + 1 : at + length]
        if tag := _LONG_TAG.match(piece):
            most = max(most, len((piece if tag.end() < len(piece) and piece[tag.end()] != ord(">") else tag[0]).split()) - 1)
    return most


def _options(page: bytes) -> int:
    """Start tags of options in a page."""
    a = octets(page)
    words = eight(a | np.uint8(32), np.flatnonzero(a == ord("<")) + 1)
    return int(np.count_nonzero((words & _SIX) == _OPTION))


def _at_most(page: Octets, less: Ints) -> int:
    close = page[less + 1] == ord("/")
    kind = _NAMES(names(eight(page, less + 1 + close)))
    letter = (page[less + 1] >= ord("a")) & (page[less + 1] <= ord("z"))
    change = np.where(close, -(kind == _NESTING).astype(np.int64), letter & (kind != _FLAT_NAME))
    depth = np.cumsum(change)
    return int((depth - np.minimum(np.minimum.accumulate(depth), 0)).max(initial=0))


def _depth(html: str) -> int:
    """Estimate of the deepest nesting: unclosed elements stay open to the end, as they do for most of a page's elements."""
    depth = deepest = 0
    for end, name, closed in _TAG.findall(html):
        if end:
            depth -= depth > 0 and name.lower() not in _FLAT
        elif not closed and name.lower() not in _FLAT:
            depth += 1
            deepest = max(deepest, depth)
    return deepest
