"""What a corpus is like, language by language: metrics of a sample, beside those of another corpus, release, snapshot or file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from crawlmill.assess import metrics, sides
from crawlmill.assess.metrics import Figures

LEAST = 5  # documents of a language that are worth figures
LANGUAGES = 40


@dataclass(frozen=True)
class Row:
    """A language's figures on each side, None where a side has too few documents."""

    language: str
    figures: list[Figures | None]


@dataclass(frozen=True)
class Assessment:
    """The sides' names and a row a language, most documents first."""

    sides: list[str]
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(lake: str, names: list[str], documents: int = 500, models: Mapping[str, str] | None = None) -> Assessment:
    """Assess one side, or several beside each other, on equally many words of each language.

    Args:
        lake: folder of the tables.
        names: what to assess: `corpus`, a version of it, a release, a snapshot, or a file of texts.
        documents: sampled of each language and side.
        models: n-gram model (ARPA file) by language, for perplexity.

    Raises:
        UserError: a side that does not exist or has no texts, a model that cannot be read.
    """
    held = [sides.draw(lake, name, documents) for name in names]
    counts: dict[str, int] = {}
    for side in held:
        for language, texts in side.items():
            counts[language] = max(counts.get(language, 0), len(texts))
    ordered = sorted((name for name, n in counts.items() if n >= LEAST), key=lambda name: (-counts[name], name))[:LANGUAGES]
    rows = [
        Row(name, metrics.beside([side.get(name, []) for side in held], name, LEAST, (models or {}).get(name)))
        for name in ordered
    ]
    return Assessment(names, rows)
