"""FinGPT's filter of lines by an n-gram model (Luukkonen et al. 2023; TurkuNLP/finngen-tools): lines that are too unlikely go.

The authors' limits are arguments whose values they do not publish, so none is a default here.
"""

from __future__ import annotations

from crawlmill.text.arpa import Model


def filter_lines(text: str, model: Model, most: float, least_share: float) -> str | None:
    """The text without its lines of a perplexity of `most` or more; None where less than `least_share` of its characters would stay.

    A text of which no line goes is returned as it is, byte for byte. Lines without words stay; where lines went, runs of blank lines become one.
    """
    lines = text.split("\n")
    values = model.perplexities(lines)
    kept = [line for line, value in zip(lines, values, strict=True) if value is None or value < most]
    if len(kept) == len(lines):
        return text
    size = sum(len(line) for line in lines)
    if not size or sum(len(line) for line in kept) < least_share * size:
        return None
    tidy = [line for at, line in enumerate(kept) if line.strip() or (at and kept[at - 1].strip())]
    return "\n".join(tidy)
