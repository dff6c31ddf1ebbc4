"""What is no markup within a serialised page: comments, scripts, styles and frames go, mathematics becomes LaTeX in the text."""

from __future__ import annotations

import re

import numpy as np

from crawlmill.text.extractor.arrays import Lookup, code, eight, names, octets
from crawlmill.text.extractor.compiled import native

_NAMES = (b"script", b"style", b"iframe", b"noembed", b"noframes", b"xmp", b"plaintext", b"math")
_LOOKUP = Lookup({code(name): number for number, name in enumerate(_NAMES)})
_FIRST = np.isin(np.arange(256), [ord("!"), *(name[0] for name in _NAMES)])
_ENDS = tuple(b"</" + name + b">" for name in _NAMES)
_COMMENT, _THREE = np.uint64(code("!--")), np.uint64(0xFFFFFF)
_SCRIPT, _MATH, _COMMENTS = 0, 7, len(_NAMES)
_LESS = 60
HEAD = 100  # bytes of a script's tag in which its type is sought

_MATHML = re.compile(rb"<math\b([^>]*)>(.*?)</math>", re.DOTALL)
_LATEX = re.compile(
    rb'<annotation[^>]*encoding="(?:application/x-tex|text/x-latex|latex|tex)"[^>]*>(.*?)</annotation>', re.DOTALL | re.IGNORECASE
)
_ALTTEXT = re.compile(rb'\balttext="([^"]*)"')
_ANNOTATION = re.compile(rb"<annotation.*?</annotation(?:-xml)?>", re.DOTALL)
_TAG = re.compile(rb"<[^>]*>")
_KATEX = re.compile(rb'<span class="katex-html" aria-hidden="true">')
_SPAN = re.compile(rb"<(/?)span\b")
_PREVIEW = re.compile(rb'<span class="MathJax_Preview"[^>]*>.*?</span>', re.DOTALL)
_DISPLAY = re.compile(rb'display="block"|mode=display')


def strip(page: bytes) -> bytes:
    """The page without comments and raw text, mathematics as `$LaTeX$`."""
    found = openings(page)
    if any(kind == _MATH or (kind == _SCRIPT and b'"math/' in page[at : at + HEAD]) for at, kind in found):
        page = _mathematics(page)
        found = openings(page)
    pieces: list[bytes] = []
    at = 0
    for start, kind in found:
        if start >= at and kind != _MATH:
            pieces.append(page[at:start])
            at = _end(page, start, kind)
    return b"".join((*pieces, page[at:])) if pieces else page


def openings(page: bytes) -> list[tuple[int, int]]:
    """(where it begins, which it is) of each comment, raw text and formula."""
    if native is not None:
        return native.openings(page, _FIRST, *_LOOKUP.table, *_LOOKUP.slots, _COMMENTS)
    return openings_in_numpy(page)


def openings_in_numpy(page: bytes) -> list[tuple[int, int]]:
    """The same without a compiler."""
    a = octets(page)
    less = np.flatnonzero(a == _LESS)
    less = less[_FIRST[a[less + 1]]]  # most tags begin with another letter
    words = eight(a, less + 1)
    kinds = _LOOKUP(names(words))
    kinds[(words & _THREE) == _COMMENT] = _COMMENTS
    found = np.flatnonzero(kinds >= 0)
    return list(zip(less[found].tolist(), kinds[found].tolist(), strict=True))


def _end(page: bytes, start: int, kind: int) -> int:
    """Where the comment or raw text ends: at the end of the page if nowhere else."""
    closing = b"-->" if kind == _COMMENTS else _ENDS[kind]
    end = page.find(closing, start + 2)
    return end + len(closing) if end >= 0 else len(page)


def _mathematics(page: bytes) -> bytes:
    """MathML with a LaTeX annotation, KaTeX, MathJax 2 scripts and Wikipedia's formulas, each once, as `$...$` or `$$...$$`."""
    if b'type="math/' in page:
        page = _PREVIEW.sub(b"", page)
        page = re.sub(rb'<script([^>]*type="math/tex[^"]*"[^>]*)>(.*?)</script>', _script, page, flags=re.DOTALL)
    if b"<math" in page:
        page = _MATHML.sub(_formula, page)
        page = _without_katex_twins(page)
    return page


def _script(found: re.Match[bytes]) -> bytes:
    escaped = found[2].replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    return _dollars(escaped, bool(_DISPLAY.search(found[1])))


def _formula(found: re.Match[bytes]) -> bytes:
    """LaTeX of a formula where the page carries it, otherwise its characters."""
    latex = _LATEX.search(found[2]) or _ALTTEXT.search(found[1])
    if latex is None:
        return _TAG.sub(b"", _ANNOTATION.sub(b"", found[2]))
    text = latex[1].replace(b"<", b"&lt;").replace(b">", b"&gt;") if latex.re is _ALTTEXT else _TAG.sub(b"", latex[1])
    return _dollars(text, bool(_DISPLAY.search(found[1])))


def _dollars(latex: bytes, display: bool) -> bytes:
    latex = b" ".join(latex.split())
    if latex.startswith(b"{\\displaystyle") and latex.endswith(b"}"):
        latex = latex[len(b"{\\displaystyle") : -1].strip()
    mark = b"$$" if display else b"$"
    return mark + latex + mark if latex else b""


def _without_katex_twins(page: bytes) -> bytes:
    """KaTeX writes each formula twice: MathML for readers of the page, spans for its looks. The spans go."""
    pieces, at = [], 0
    for found in _KATEX.finditer(page):
        if found.start() >= at:
            pieces.append(page[at : found.start()])
            at = _span_end(page, found.start())
    pieces.append(page[at:])
    return b"".join(pieces)


def _span_end(page: bytes, start: int) -> int:
    depth = 0
    for found in _SPAN.finditer(page, start):
        depth += -1 if found[1] else 1
        if depth == 0:
            return page.find(b">", found.start()) + 1
    return len(page)
