"""Scores of documents by the scorers that a recipe names. A score is None in another language than the scorer's, and where there is nothing to score.

Files of scorers, each known by its sha256:
* `linear`: JSON object `{bias, weights: {signal: w}, mean: {signal: m}, scale: {signal: s}}`: bias + sum of w (value - m) / s, as a logit;
* `words`: a word or phrase a line: the share of the text's plain words that lie in one;
* `regex`: a regular expression a line, `#` before a remark: matches per 1,000 characters;
* `buckets`: JSON object `{cuts: {scorer: [19 cut points]}}`;
* `ccnet`, `bertin`: JSON object `{cuts: {scorer: {language: [2 percentiles, or 3 quartiles]}}}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.text import arpa, fasttext_lines, scorer_file
from crawlmill.text.ngrams import roll
from crawlmill.text.words import Hashes, composed, plain_words, tokenize

if TYPE_CHECKING:
    from crawlmill.recipes.recipe_scorers import Scorer

Scores = list[float | None]
LATER = ("external", "buckets", "ccnet", "bertin")
"""Kinds that are not worked out from the text: they are joined afterwards."""
_TIMEOUT = 5.0  # seconds an expression may take on a text before the recipe is refused: a guard against expressions that backtrack without end


def scores(
    texts: Sequence[str], languages: Sequence[str], signals: Mapping[str, Sequence[float | None]], scorers: Mapping[str, Scorer]
) -> dict[str, Scores]:
    """Of every scorer that reads texts or signals: a score or None for each document.

    Args:
        texts: final texts.
        languages: ISO 639-3, one a text.
        signals: the values of the quality signals by name, one a text; linear scorers read them.
        scorers: the recipe's section; those of the kinds in LATER are left out.

    Raises:
        UserError: a file is absent, malformed or another than the recipe says.
    """
    asked = {name: scorer for name, scorer in scorers.items() if scorer.kind not in LATER}
    found = _scored(texts, languages, signals, {name: scorer for name, scorer in asked.items() if not scorer.windows})
    for size in sorted({scorer.windows for scorer in asked.values() if scorer.windows}):
        own = {name: scorer for name, scorer in asked.items() if scorer.windows == size}
        told = [_scored(part, languages, signals, own) for part in zip(*(_windows(text, size) for text in texts), strict=True)]
        found |= {name: [_mean(values) for values in zip(*(part[name] for part in told), strict=True)] for name in own}
    return {name: found[name] if texts else [] for name in asked}


def _windows(text: str, size: int) -> tuple[str, str, str]:
    """Top, middle and bottom of a text, so many characters each; they overlap in a short one, and are all of one that is shorter still."""
    middle = max(0, (len(text) - size) // 2)
    return text[:size], text[middle : middle + size], text[-size:]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _scored(
    texts: Sequence[str], languages: Sequence[str], signals: Mapping[str, Sequence[float | None]], scorers: Mapping[str, Scorer]
) -> dict[str, Scores]:
    """`scores` of whole texts."""
    found: dict[str, Scores] = {name: [None] * len(texts) for name in scorers}
    together: dict[tuple[str, tuple[str, ...] | None], list[str]] = {}
    for name in found:
        scorer = scorers[name]
        valid = _valid(scorer, languages)
        if scorer.kind == "fasttext":
            if any(valid):
                together.setdefault((scorer.text, scorer.languages), []).append(name)
            continue
        if scorer.kind == "linear":
            values = _linear(signals, scorer, len(texts))
        elif scorer.kind == "perplexity":
            path, sha256 = _file(scorer)
            values = arpa.load(_same(path, sha256), sha256).perplexities(
                [text if ok else "" for text, ok in zip(texts, valid, strict=True)]
            )
        else:
            of = _one(scorer)
            values = [of(text) if ok else None for text, ok in zip(texts, valid, strict=True)]
        found[name] = [value if ok else None for value, ok in zip(values, valid, strict=True)]
    return found | _fasttext(texts, languages, scorers, together)


def _valid(scorer: Scorer, languages: Sequence[str]) -> list[bool]:
    return [scorer.languages is None or language in scorer.languages for language in languages]


def check(scorers: Mapping[str, Scorer]) -> None:
    """Read every file once, before work is handed out. Raises UserError."""
    languages = sorted({language for scorer in scorers.values() for language in scorer.languages or ()} | {"und"})
    scores(["a"] * len(languages), languages, {}, {name: scorer for name, scorer in scorers.items() if scorer.kind != "linear"})
    for scorer in scorers.values():
        if scorer.kind == "linear":
            _weights(*_file(scorer))


def _file(scorer: Scorer) -> tuple[Path, str]:
    return layout.model_path(str(scorer.path)), scorer.sha256


@lru_cache(maxsize=64)
def _same(path: Path, sha256: str) -> Path:
    """The file, once a process, if it is the one that was meant."""
    found = scorer_file.sha256(path)
    if found != sha256:
        raise UserError(f"{path} has sha256 {found}, the recipe wants {sha256}: put the right file there or change the recipe")
    return path


def _fasttext(
    texts: Sequence[str],
    languages: Sequence[str],
    scorers: Mapping[str, Scorer],
    together: Mapping[tuple[str, Any], Sequence[str]],
) -> dict[str, Scores]:
    """Scores of fastText models; those of one preparation and the same languages are asked together."""
    found: dict[str, Scores] = {}
    for (preparation, _), names in together.items():
        valid = _valid(scorers[names[0]], languages)
        lines = [scorer_file.PREPARATIONS[preparation](text) for text, ok in zip(texts, valid, strict=True) if ok]
        files = [_file(scorers[name]) for name in names]
        told = fasttext_lines.load_all(tuple((_same(path, sha256), sha256) for path, sha256 in files))(
            fasttext_lines.read(lines), lines
        )
        for name, (path, _), (labels, table) in zip(names, files, told, strict=True):
            if scorers[name].label not in labels:
                raise UserError(
                    f"{path} has no label {scorers[name].label!r}, but {', '.join(labels[:5])}: name one of these in the recipe"
                )
            column = table[:, labels.index(scorers[name].label)].tolist()
            scored = iter(
                None if math.isnan(value) or not line else float(value) for value, line in zip(column, lines, strict=True)
            )
            found[name] = [next(scored) if ok else None for ok in valid]
    return found


@lru_cache(maxsize=64)
def _weights(path: Path, sha256: str) -> tuple[float, tuple[tuple[str, float, float, float], ...]]:
    from crawlmill.text.signals import SIGNALS

    try:
        read = json.loads(_same(path, sha256).read_text(encoding="utf-8"))
        mean, scale = read.get("mean", {}), read.get("scale", {})
        rows = tuple((name, float(w), float(mean.get(name, 0)), float(scale.get(name, 1))) for name, w in read["weights"].items())
        bias = float(read.get("bias", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no linear scorer ({error}): it needs an object `weights` of signals and numbers") from None
    for name, _, _, by in rows:
        if name not in SIGNALS or not by:
            raise UserError(f"{path} weighs {name!r}, which is {'no signal' if by else 'scaled by 0'}: see the table signals")
    return bias, rows


def _linear(signals: Mapping[str, Sequence[float | None]], scorer: Scorer, rows: int) -> Scores:
    """A signal that is null makes the score null: it would be another scorer without it."""
    bias, weights = _weights(*_file(scorer))
    found: Scores = []
    for row in range(rows):
        values = [signals[name][row] for name, *_ in weights]
        terms = [w * (value - m) / s for value, (_, w, m, s) in zip(values, weights, strict=True) if value is not None]
        found.append(bias + math.fsum(terms) if len(terms) == len(weights) else None)
    return found


def _one(scorer: Scorer) -> Callable[[str], float | None]:
    """The function of a scorer that looks at one text at a time."""
    path, sha256 = _file(scorer)
    if scorer.kind == "words":
        lists = _phrases(path, sha256)
        return lambda text: _listed(text, lists)
    patterns = _patterns(path, sha256)
    return lambda text: _matches(text, patterns, path)


@lru_cache(maxsize=64)
def _phrases(path: Path, sha256: str) -> dict[int, Hashes]:
    found: dict[int, list[np.uint64]] = {}
    for line in _same(path, sha256).read_text(encoding="utf-8").splitlines():
        words = plain_words(tokenize(composed(line))) if not line.startswith("#") else ()
        if len(words):
            found.setdefault(len(words), []).append(roll(words.hashes, len(words))[0])  # type: ignore[union-attr]
    if not found:
        raise UserError(f"{path} lists no word: write a word or phrase a line")
    return {n: np.unique(np.array(hashes, dtype=np.uint64)) for n, hashes in sorted(found.items())}


def lister(path: Path) -> Callable[[str], float | None]:
    """The share of a text's plain words that lie in a phrase of a list; None without words. Raises UserError for a list without words."""
    lists = _phrases(path, scorer_file.sha256(path))
    return lambda text: _listed(text, lists)


def _listed(text: str, lists: Mapping[int, Hashes]) -> float | None:
    """Share of the plain words that lie in a listed phrase."""
    words = plain_words(tokenize(composed(text)))
    if not len(words):
        return None
    covered = np.zeros(len(words) + 1, dtype=np.int64)
    for n, phrases in lists.items():
        if n <= len(words):
            at = np.flatnonzero(np.isin(roll(words.hashes, n), phrases))
            np.add.at(covered, at, 1)
            np.add.at(covered, at + n, -1)
    return float(np.count_nonzero(np.cumsum(covered[:-1])) / len(words))


@lru_cache(maxsize=64)
def _patterns(path: Path, sha256: str) -> tuple[Any, ...]:
    found = []
    for number, line in enumerate(_same(path, sha256).read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                found.append(regex.compile(line))
            except regex.error as error:
                raise UserError(
                    f"{path} line {number} is no regular expression ({error}): escape what is meant literally"
                ) from None
    if not found:
        raise UserError(f"{path} has no expression: write one a line")
    return tuple(found)


def _matches(text: str, patterns: Sequence[Any], path: Path) -> float | None:
    if not text:
        return None
    try:
        found = sum(1 for pattern in patterns for _ in pattern.finditer(text, timeout=_TIMEOUT))
    except TimeoutError:
        raise UserError(
            f"{path}: an expression takes more than {_TIMEOUT:g} s on one text: write it without nested repetitions"
        ) from None
    return 1000 * found / len(text)
