"""The signals of RedPajama-V2 that need a file: blocklists, importance weights and classifiers. Null where none is configured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from crawlmill.text import reference
from crawlmill.text.ngrams import roll
from crawlmill.text.page import Page, Signal, Values

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Importance, Measure, Resource

_FLOOR = 1e-8  # as in RedPajama-V2: added to the probability of a length
DOMAINS = ("wikipedia", "books", "openwebtext")
CLASSIFIERS = ("wikiref", "palm", "wikipedia")
_LOW_LABEL = "__label__cc"


def _signals() -> dict[str, Signal]:
    def of(description: str, unit: str, note: str, family: str = "quality") -> Signal:
        return Signal(description, unit, "redpajama-v2", 1, note, family)

    no_list = "null where no list is configured"
    table = {
        "rps_doc_ldnoobw_words": of(
            "Occurrences of blocked phrases among the plain words.", "count", f"{no_list} for the language", "safety"
        ),
        "rps_doc_ut1_blacklist": of(
            "Category of the page's host or of a domain above it.", "category", f"{no_list}, and of other domains", "safety"
        ),
    }
    for domain in DOMAINS:
        text = f"Logarithm of how much likelier the tokens and pairs of tokens are in {domain} than in the source"
        note = "stable hashes; null where no counts are configured for the language"
        table[f"rps_doc_{domain}_importance"] = of(f"{text}.", "nats", note)
        table[f"rps_doc_{domain}_importance_length_correction"] = of(
            f"{text}, and the length, by Poisson's distribution.", "nats", note
        )
    for name in CLASSIFIERS:
        note = "null where no model is configured for the language"
        table[f"rps_doc_ml_{name}_score"] = of(
            f"Probability of the classifier `{name}` that the text is like its reference.", "fraction", note
        )
    return table


SIGNALS: dict[str, Signal] = _signals()


def values(page: Page, language: str, host: str | None, options: Measure) -> Values:
    """The signals of this family that the options have files for.

    Raises:
        UserError: a file is absent, malformed or another than the recipe says.
    """
    found: Values = {}
    if language in options.bad_words:
        found["rps_doc_ldnoobw_words"] = _blocked(page, options.bad_words[language])
    if options.bad_domains is not None and host:
        found["rps_doc_ut1_blacklist"] = _category(host, reference.domain_list(options.bad_domains))
    if language in options.importance and page.size:
        found |= _importance(page, options.importance[language])
    for name, model in options.classifiers.items():
        if page.size and (model.languages is None or language in model.languages):
            found[f"rps_doc_ml_{name}_score"] = _score(page, model.file)
    return found


def _blocked(page: Page, resource: Resource) -> float:
    lists = reference.phrase_list(resource)
    return float(sum(np.count_nonzero(np.isin(roll(page.plain.hashes, n), phrases)) for n, phrases in lists.items()))


def _category(host: str, categories: dict[str, int]) -> float | None:
    labels = host.lower().rstrip(".").split(".")
    for position in range(len(labels)):
        found = categories.get(".".join(labels[position:]))
        if found is not None:
            return float(found)
    return None


def _importance(page: Page, files: Importance) -> Values:
    found: Values = {}
    source = reference.counts(files.source)
    buckets = reference.features(page.tokens, len(source.shares))
    for domain in DOMAINS:
        resource: Resource | None = getattr(files, domain)
        if resource is None:
            continue
        value = float(reference.log_ratio(resource, files.source)[buckets].sum())
        found[f"rps_doc_{domain}_importance"] = value
        lengths = _poisson(page.size, reference.counts(resource).length), _poisson(page.size, source.length)
        correction = math.log(lengths[0] + _FLOOR) - math.log(lengths[1] + _FLOOR)
        found[f"rps_doc_{domain}_importance_length_correction"] = value + correction
    return found


def _poisson(count: int, mean: float) -> float:
    """The probability of a count."""
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _score(page: Page, resource: Resource) -> float | None:
    """The probability of the label that is not Common Crawl's; line ends are spaces to the model."""
    line = " ".join(page.text.splitlines()).strip()
    ranked = reference.classifier(resource).predict(line + "\n", 1, 0.0, "strict")
    if not ranked:
        return None
    probability, label = min(float(ranked[0][0]), 1.0), ranked[0][1]  # fastText's may be above 1 by a hair
    return 1.0 - probability if label == _LOW_LABEL else probability
