"""Files that signals compare a text with: lists of words and domains, counts of n-grams, classifiers. Each is known by its sha256.

Counts of n-grams stand in an `.npz` file: `counts` (how often a token or a pair of tokens fell into each bucket), `length` (mean
characters of a document) and `scheme` (how tokens are cut and hashed). `crawlmill count-ngrams` makes one.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.text.ngrams import roll
from crawlmill.text.stopwords import as_hashes
from crawlmill.text.words import VANISHING, Hashes, Tokens, composed, plain_words, tokenize

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Measure, Resource

SCHEME = "tokens/2"
BUCKETS = 10_000  # RedPajama-V2's
_FLOOR = 1e-8  # what RedPajama-V2 adds to every share, so that an empty bucket has a logarithm


@dataclass(frozen=True)
class Counts:
    """Shares of hashed tokens and pairs of tokens in a body of text, and the mean length of its documents in code points."""

    shares: NDArray[np.float64]
    length: float


def check(options: Measure) -> None:
    """Read every file of the options once, before work is handed out.

    Raises:
        UserError: a file is absent, malformed or another than the recipe says.
    """
    for words in options.stop_words.values():
        stop_list(words)
    for phrases in options.bad_words.values():
        phrase_list(phrases)
    if options.bad_domains is not None:
        domain_list(options.bad_domains)
    for files in options.importance.values():
        for target in (files.wikipedia, files.books, files.openwebtext):
            if target is not None:
                log_ratio(target, files.source)
    for model in options.classifiers.values():
        content(model.file)


def content(resource: Resource) -> bytes:
    """The bytes of a file; raises UserError where it is absent or another than the recipe says."""
    path = layout.model_path(resource.path)
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != resource.sha256:
        raise UserError(
            f"{path} has sha256 {found}, the recipe wants {resource.sha256}: put the right file there or change the recipe"
        )
    return raw


@lru_cache(maxsize=64)
def stop_list(resource: Resource) -> Hashes:
    """Stop words, one a line, as hashes of tokens."""
    return as_hashes(tuple(_lines(resource)))


@lru_cache(maxsize=64)
def phrase_list(resource: Resource) -> dict[int, Hashes]:
    """Phrases, one a line, as hashes of n-grams of plain words, by n.

    A phrase with capitals, or with signs that vanish from plain words, is never met: RedPajama-V2 compares it letter by letter.
    """
    found: dict[int, list[np.uint64]] = {}
    for line in map(composed, _lines(resource)):
        plain = plain_words(tokenize(line))
        if len(plain) and line == line.translate(VANISHING).lower():
            found.setdefault(len(plain), []).append(roll(plain.hashes, len(plain))[0])
    return {n: np.unique(np.array(hashes, dtype=np.uint64)) for n, hashes in sorted(found.items())}


@lru_cache(maxsize=4)
def domain_list(resource: Resource) -> dict[str, int]:
    """The category of each domain, of a JSON object; raises UserError where it is none."""
    try:
        found = json.loads(content(resource))
        return {str(domain).lower(): int(category) for domain, category in found.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{resource.path} is no JSON object of domains and whole numbers ({error}): make it one") from None


@lru_cache(maxsize=64)
def counts(resource: Resource) -> Counts:
    """Shares of hashed n-grams; raises UserError where the file is of another form or scheme."""
    try:
        with np.load(io.BytesIO(content(resource)), allow_pickle=False) as file:
            scheme, found, length = str(file["scheme"]), file["counts"].astype(np.float64), float(file["length"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, BadZipFile) as error:
        raise UserError(f"{resource.path} holds no counts ({error}): make it by `crawlmill count-ngrams`") from None
    if scheme != SCHEME or found.sum() <= 0:
        raise UserError(
            f"{resource.path} holds counts of scheme {scheme!r}, not {SCHEME!r}: make it anew by `crawlmill count-ngrams`"
        )
    return Counts(found / found.sum(), length)


@lru_cache(maxsize=64)
def log_ratio(target: Resource, source: Resource) -> NDArray[np.float64]:
    """By bucket: the logarithm of the target's share over the source's; raises UserError where they have not as many buckets."""
    above, below = counts(target).shares, counts(source).shares
    if len(above) != len(below):
        raise UserError(f"{target.path} has {len(above)} buckets and {source.path} {len(below)}: count both with as many")
    return np.asarray(np.log(above + _FLOOR) - np.log(below + _FLOOR))


@lru_cache(maxsize=8)
def classifier(resource: Resource) -> Any:
    """A fastText model; raises UserError where the file is none."""
    content(resource)
    import fasttext

    try:
        return fasttext.load_model(str(layout.model_path(resource.path))).f
    except ValueError as error:
        raise UserError(f"{resource.path} is no fastText model ({error}): give another file in measure.classifiers") from None


def features(tokens: Tokens, buckets: int) -> NDArray[np.int64]:
    """The bucket of each token and of each pair of neighbours."""
    both = np.concatenate((tokens.hashes, roll(tokens.hashes, 2)))
    return (both % np.uint64(buckets)).astype(np.int64)


def count(texts: Iterable[str], buckets: int = BUCKETS) -> bytes:
    """Counts of n-grams over texts, as the file that `counts` reads; the same texts give the same bytes."""
    total = np.zeros(buckets, dtype=np.int64)
    chars = documents = 0
    for text in map(composed, texts):
        total += np.bincount(features(tokenize(text), buckets), minlength=buckets)
        chars += len(text)
        documents += 1
    if not total.sum():
        raise UserError("there are no words to count: give rows with a `text`")
    file = io.BytesIO()
    np.savez(file, scheme=np.array(SCHEME), counts=total, length=np.array(chars / documents))
    return file.getvalue()


def _lines(resource: Resource) -> list[str]:
    try:
        text = content(resource).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{resource.path} is not UTF-8 ({error.reason}): convert it, an entry a line") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
