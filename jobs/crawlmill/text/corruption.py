"""Texts made worse: the negatives of Oasis's filter, so that it learns what is broken and not what another source is about (Zhou et al. 2023)."""

from __future__ import annotations

import random
from bisect import bisect_left

from crawlmill.text.sentences import sentence_ends
from crawlmill.text.words import composed, tokenize

AGAIN, MOST = 0.5, 3  # chance that a text is corrupted once more, and how often at most: the paper leaves both to its user
SPAN = (3, 10)  # words of a span


def corrupted(text: str, seed: int = 0, again: float = AGAIN, most: int = MOST) -> str:
    """The text with words, spans or sentences shuffled, replaced, inserted or deleted, the same for a text and seed; never the text itself.

    Replaced and inserted is what stands elsewhere in the text, so no vocabulary gives it away. A text without a word becomes empty.
    """
    draw = random.Random(f"{seed} {text}")  # noqa: S311 no secret
    text = composed(text).strip()
    found = _once(text, draw)
    for _ in range(most):
        if draw.random() >= again:
            break
        found = _once(found, draw)
    return found if found != text else _changed("insert", _units(text, "word", draw), draw)


def _once(text: str, draw: random.Random) -> str:
    level, change = draw.choice(("word", "span", "sentence")), draw.choice(("shuffle", "replace", "insert", "delete"))
    units = _units(text, level, draw)
    return _changed(change, units if len(units) > 1 else _units(text, "word", draw), draw)


def _units(text: str, level: str, draw: random.Random) -> list[str]:
    """The text from its first word on in pieces that each begin with a word, a span of words or a sentence."""
    tokens = tokenize(text)
    starts: list[int] = tokens.starts[tokens.word].tolist()
    if level == "span":
        at, chosen = 0, []
        while at < len(starts):
            chosen.append(starts[at])
            at += draw.randint(*SPAN)
        starts = chosen
    elif level == "sentence":
        firsts = (bisect_left(starts, end) for end in (0, *sentence_ends(tokens).tolist()))
        starts = sorted({starts[first] for first in firsts if first < len(starts)})
    text += " " * (" " in text)  # so that the last piece may stand elsewhere
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=False)]


def _changed(change: str, units: list[str], draw: random.Random) -> str:
    """The text of the pieces after changing a fifth of them, one at least."""
    units = list(units)
    for _ in range(max(1, len(units) // 5) if units else 0):
        at, other = draw.randrange(len(units)), draw.randrange(len(units))
        if change == "shuffle":
            units[at], units[other] = units[other], units[at]
        elif change == "replace":
            units[at] = units[other]
        elif change == "delete" and len(units) > 1:
            del units[at]
        else:
            units.insert(at, units[other])
    return "".join(units).strip()
