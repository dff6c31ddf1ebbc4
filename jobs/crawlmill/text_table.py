"""Numbers and rows as text for the shell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What could steer a terminal or turn a line around: C0 and C1 controls, and Unicode's marks for the direction of text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: object) -> str:
    """Text of a page for a terminal: control characters as `\\x1b` or `\\u202e`, everything else as it is."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), str(text))


def number(count: float) -> str:
    """A count, rounded; in powers of ten where it is beyond imagination."""
    return f"{count:,.0f}" if count < 1e12 else f"{count:.1e}"


def size(count: float) -> str:
    """Bytes with a unit, powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1_000:
            return f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} PB"


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one shape as text, numbers to the right."""
    if not rows:
        return "nothing"
    names = list(rows[0])
    cells = [[f"{row[name]:,}" if isinstance(row[name], int) else str(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    right = [all(isinstance(row[name], (int, float)) for row in rows) for name in names]
    lines = [names, *cells]
    return "\n".join(
        "  ".join(cell.rjust(widths[i]) if right[i] else cell.ljust(widths[i]) for i, cell in enumerate(line)).rstrip()
        for line in lines
    )
