"""Figures of a sample of texts in one language. Those that depend on how much text there is are taken of equally many words on every side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from crawlmill.text.ngrams import roll
from crawlmill.text.signals_difficulty import mtld
from crawlmill.text.words import composed, plain_words, tokenize

WORDS = 200_000  # of a language and side that are looked at
DISTINCT, LONG = 3, 13  # words of an n-gram: of distinct ones; of ones that are hardly twice there by chance (GPT-3's 13)
ENOUGH = 50  # words of a text whose lexical diversity is told
LINE, LINES = 40, 400  # characters of a line whose language can be told; lines that are asked for
TOLD = {
    "distinct": ("distinct 3-grams", "Of all runs of three words, the share of different ones. Higher: less repetitive.", True),
    "compression": ("compression", "Bytes for each byte that is left after zstd. Lower: less redundant.", False),
    "mtld": ("lexical diversity (MTLD)", "Words until the type-token ratio falls below .72, median of the texts. Higher: richer.", True),
    "duplicate": ("duplicate 13-grams", "Of all runs of 13 words, the share that an earlier document of the sample has. Lower: less copied.", False),
    "purity": ("language purity", "Of the characters in lines of 40 and more, the share whose line is in the text's language.", True),
    "perplexity": ("perplexity", "By the n-gram model that was given, median of the texts. Lower: more like what the model read.", False),
}  # fmt: skip
"""Figure -> name, meaning, whether more is better."""


@dataclass(frozen=True)
class Figures:
    """Figures of a sample; `words` is what was looked at. None: not asked for, or too short to tell."""

    documents: int
    words: int
    distinct: float | None
    compression: float | None
    mtld: float | None
    duplicate: float | None
    purity: float | None
    perplexity: float | None


def beside(samples: Sequence[Sequence[str]], language: str, least: int, model: str | None = None) -> list[Figures | None]:
    """Figures of several samples of a language, each cut to as many words as the smallest has; None for one of fewer than `least` texts."""
    split = [[plain_words(tokenize(composed(text))) for text in texts] for texts in samples]
    sizes = [sum(len(words) for words in texts) for texts in split]
    budget = min([WORDS, *(size for size, texts in zip(sizes, samples, strict=True) if len(texts) >= least)])
    found: list[Figures | None] = []
    for texts, words in zip(samples, split, strict=True):
        if len(texts) < least:
            found.append(None)
            continue
        some = _within(words, budget)
        found.append(_figures(list(texts[:some]), words[:some], language, model))
    return found


def _within(words: Sequence[Any], budget: int) -> int:
    """How many texts, at least one, have so many words together."""
    total = np.cumsum([len(one) for one in words])
    return max(1, int(np.searchsorted(total, budget, side="right")))


def _figures(texts: list[str], words: list[Any], language: str, model: str | None) -> Figures:
    raw = "\n".join(texts).encode("utf-8", "replace")
    runs = [roll(one.hashes, DISTINCT) for one in words]
    every = np.concatenate(runs) if runs else np.zeros(0)
    diversity = [value for one in words if len(one) >= ENOUGH and (value := mtld(one.types[0])) is not None]
    perplexities = [value for value in _model(model).perplexities(texts) if value is not None] if model else []
    return Figures(
        documents=len(texts), words=sum(len(one) for one in words),
        distinct=len(np.unique(every)) / len(every) if len(every) else None,
        compression=len(raw) / len(zstandard.ZstdCompressor(level=9).compress(raw)) if raw else None,
        mtld=float(np.median(diversity)) if diversity else None,
        duplicate=_duplicate(words), purity=_purity(texts, language),
        perplexity=float(np.median(perplexities)) if perplexities else None,
    )  # fmt: skip


def _duplicate(words: list[Any]) -> float | None:
    """The share of long n-grams that an earlier text has."""
    grams = [roll(one.hashes, LONG) for one in words]
    if not sum(len(one) for one in grams):
        return None
    every = np.concatenate(grams)
    of = np.repeat(np.arange(len(grams)), [len(one) for one in grams])
    _, number = np.unique(every, return_inverse=True)
    first = np.full(number.max() + 1, len(grams))
    np.minimum.at(first, number, of)
    return float(np.mean(first[number] < of))


def _purity(texts: list[str], language: str) -> float | None:
    """Lines are asked for one by one, from the first texts on."""
    lines = [line for text in texts for line in text.splitlines() if len(line) >= LINE][:LINES]
    if not lines or language == "und":
        return None
    labels = [row.language for row in _identifier().identify(lines)]
    right = sum(len(line) for line, label in zip(lines, labels, strict=True) if label == language)
    return right / sum(len(line) for line in lines)


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from crawlmill.recipes import recipe
    from crawlmill.text import language

    return language.identifier(recipe.load().identify)


@lru_cache(maxsize=8)
def _model(path: str) -> Any:
    from crawlmill.text import arpa, scorer_file

    return arpa.load(Path(path), scorer_file.sha256(Path(path)))
