"""Tables of limits by label for the gate: tab-separated text, a line a label, a column a rule.

```
# where the figures come from
label	source	top_2_gram	line_punct_ratio	note
aai	aai_Latn	0.172	off
```

A cell is a number, `off` (the rule does not count for this label), `own` (the rule's own limit), or empty: the next label of the chain decides.
The columns `source` and `note` are for people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from crawlmill.errors import UserError

Limit = float | str | None
Limits = dict[str, dict[str, Limit]]

FOR_PEOPLE = ("source", "note")
_WORDS: dict[str, Limit] = {"off": None, "own": "own"}


def read(path: Path) -> tuple[Limits, dict[tuple[str, ...], str]]:
    """The limits by label and rule, and where each label was written. Raises UserError naming file, line and cell."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"table {path} cannot be read ({error.__class__.__name__}): give the path of a UTF-8 file") from None
    rules: list[str] = []
    limits: Limits = {}
    where: dict[tuple[str, ...], str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        cells, place = [cell.strip() for cell in line.split("\t")], f"{path} line {number}"
        if not rules:
            if cells[0] != "label" or len(set(cells)) < len(cells):
                raise UserError(f"table {place}: the first line names the columns, `label` first and none twice")
            rules = cells[1:]
            continue
        if cells[0] in limits or len(cells) > len(rules) + 1:
            raise UserError(
                f"table {place}: {'label ' + cells[0] + ' is there twice' if cells[0] in limits else 'too many cells'}"
            )
        where[cells[0],] = place
        pairs = zip(rules, cells[1:], strict=False)
        limits[cells[0]] = {rule: _limit(cell, rule, place) for rule, cell in pairs if cell and rule not in FOR_PEOPLE}
    return limits, where


def _limit(cell: str, rule: str, place: str) -> Limit:
    if cell in _WORDS:
        return _WORDS[cell]
    number = finite(cell)
    if number is None:
        raise UserError(f"table {place}: {rule} is {cell!r}: write a number, `off`, `own` or nothing")
    return number


def finite(text: str) -> float | None:
    """The number that a text is; None where it is none, nan and inf included."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def write(head: Iterable[str], rules: Iterable[str], rows: Mapping[str, tuple[str, Mapping[str, Limit], str]]) -> str:
    """The text of a table: lines of its head, its rules, and for each label the source, the limits and a note."""
    columns = list(rules)
    lines = [f"# {line}".rstrip() for line in head]
    lines.append("\t".join(("label", "source", *columns, "note")))
    for label, (source, limits, note) in sorted(rows.items()):
        cells = [_cell(limits[rule]) if rule in limits else "" for rule in columns]
        lines.append("\t".join((label, source, *cells, note)).rstrip())
    return "\n".join(lines) + "\n"


def _cell(limit: Limit) -> str:
    return "off" if limit is None else limit if isinstance(limit, str) else f"{round(limit, 6):g}"
