"""EntiGraph (Yang et al. 2024): for each document its entities, and a text on every pair and triple of them: each a new document.

One request for the entities, then n(n-1)/2 + n(n-1)(n-2)/6 for the relations, in an order that depends on the document and the seed alone
and is cut at `max_relations`. Meant for a small corpus (name its hosts in `hosts`): cost grows with the cube of the entities.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome


def prepare(document: Document, options: Options) -> list[Request]:
    """The request for summary and entities."""
    return [generated.request("entigraph_entities", document.text, options, json=True, count=str(options["max_entities"]))]


def entities(answer: str, most: int) -> tuple[str, list[str]] | None:
    """Summary and distinct entities; None where the answer is no such JSON."""
    try:
        found = json.loads(answer)
        summary, names = found["summary"], found["entities"]
        if not isinstance(summary, str) or not all(isinstance(name, str) for name in names):
            return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    kept = dict.fromkeys(" ".join(name.split()) for name in names)
    return summary.strip(), [name for name in kept if 0 < len(name) <= 100][:most]


def relations(names: list[str], options: Options, key: str) -> list[tuple[str, ...]]:
    """All pairs in order, then all triples, shuffled by the document and the seed; at most `max_relations`."""
    triples = sorted(combinations(names, 3), key=lambda triple: generated.fraction(options["seed"], key, *triple))
    found: list[tuple[str, ...]] = [*combinations(names, 2), *triples]
    return found[: options["max_relations"]]


def follow(document: Document, responses: Sequence[Response], options: Options) -> list[Request]:
    """The requests for the relations, once the entities are known. Only names that the document itself has are asked about."""
    found = entities(responses[0].text, options["max_entities"]) if len(responses) == 1 else None
    if found is None:
        return []
    names = [name for name in found[1] if name in document.text]
    return [
        generated.request("entigraph_relation", document.text, options, entities="; ".join(relation))
        for relation in relations(names, options, document.id or document.text)
    ]


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The document unchanged, and as derived texts the summary and every relation that passes the guards."""
    found = entities(responses[0].text, options["max_entities"])
    if found is None:
        return generated.rejected("truncated" if responses[0].finish == "length" else "unparsable")
    texts = [(responses[0], found[0]), *((response, generated.cleaned(response.text)) for response in responses[1:])]
    kept = [text for response, text in texts if not generated.judged(document, response, text, options)]
    if not kept:
        return generated.rejected("no_relation_passed")
    return Outcome("unchanged", reason=f"{len(kept)} of {len(texts)} texts", edits=len(kept), derived=tuple(kept))


def applies(document: Document, options: Options) -> bool:
    """Whether the document's host is among `hosts`; an empty list means every document."""
    hosts = options["hosts"]
    return not hosts or document.url.partition("://")[2].partition("/")[0] in hosts


HOOK = Hook(
    name="entigraph",
    version=generated.version("entigraph_entities", "entigraph_relation"),
    prepare=prepare,
    follow=follow,
    apply=apply,
    applies=applies,
    phase="recycle",
    needs=("llm",),
    check=generated.fault,
    options=generated.options(
        temperature=1.0, max_tokens=2048, max_entities=12, max_relations=100, hosts=[], seed=42, min_ratio=0.02, max_ratio=5.0
    ),
)
