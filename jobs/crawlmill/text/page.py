"""A text as every family of signals reads it: its code points, tokens, plain words and lines, each found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import regex
from numpy.typing import NDArray

from crawlmill.text import lines
from crawlmill.text.lines import Lines
from crawlmill.text.sentences import sentence_ends
from crawlmill.text.words import PlainWords, Tokens, composed, join, plain_words, tokenize

Values = dict[str, float | None]

# Lines with these out are taken out by C4 (Raffel et al. 2020 and its code).
JAVASCRIPT = "javascript"
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
BOILERPLATE = (JAVASCRIPT, *POLICY)
LOREM = "lorem ipsum"


@dataclass(frozen=True)
class Signal:
    """What a signal measures: in which unit, after whose definition, and how this differs from it."""

    description: str
    unit: str  # count, fraction (0..1), ratio (not bounded by 1), code points, nats, score
    source: str
    version: int = 1  # of the definition: raised whenever a text may get another value
    note: str = ""
    family: str = "quality"  # or safety: a page that fails a rule on it is never recycled

    def definition(self, name: str) -> str:
        """The definition's id and version: values compare only where these are equal."""
        return f"{self.source}/{name}@{self.version}"


@dataclass(frozen=True)
class Page:
    """A text in NFC and what is found in it."""

    text: str
    tokens: Tokens
    joined: Tokens
    plain: PlainWords
    lines: Lines

    @property
    def size(self) -> int:
        """Code points of the text."""
        return len(self.text)

    @cached_property
    def lowered(self) -> str:
        """The text in lower case, as long as the text itself."""
        lowered = self.text.lower()
        return lowered if len(lowered) == len(self.text) else self.text.replace("İ", "i").lower()

    @cached_property
    def phrases(self) -> dict[str, set[int]]:
        """For each of C4's phrases that occurs, in any case: the numbers of the lines that it begins in."""
        found: dict[str, set[int]] = {}
        for phrase in (JAVASCRIPT, LOREM, *POLICY):
            if phrase in self.lowered:
                found[phrase] = self.lines.all_of(np.array([hit.start() for hit in regex.finditer(phrase, self.lowered)]))
        return found

    @cached_property
    def brackets(self) -> set[int]:
        """The numbers of the lines with an opening curly bracket."""
        return self.lines.all_of(np.flatnonzero(self.tokens.points == 0x7B)) if "{" in self.text else set()

    @cached_property
    def sentences(self) -> NDArray[np.int64]:
        """Where the sentences end; a line ends one too."""
        return sentence_ends(self.tokens)

    @cached_property
    def parts(self) -> list[str]:
        """The lines that are not empty, as they are."""
        return [part for part in self.text.split("\n") if part]


def read(text: str) -> Page:
    """Find tokens, plain words and lines of a text."""
    text = composed(text)
    tokens = tokenize(text)
    return Page(text, tokens, join(tokens), plain_words(tokens), lines.split(tokens.points))
