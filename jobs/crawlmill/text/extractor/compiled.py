"""The inner loops in C (`_compiled.c`), where set-up found a compiler: `native` is that module, else None and numpy does the same work in more time."""

from __future__ import annotations

FORM = 1  # as in _compiled.c: a library that an older source was compiled to is left alone

try:
    from crawlmill.text.extractor import _compiled as native

    if native.FORM != FORM:
        native = None  # type: ignore[assignment]
except ImportError:
    native = None  # type: ignore[assignment]

__all__ = ["native"]
