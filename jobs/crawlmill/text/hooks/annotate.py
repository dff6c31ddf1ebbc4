"""Annotate, then distil: a model labels a sample of pages, and a scorer that costs nothing learns the labels from `rewrite_steps`.

The texts stay as they are. `share` of the documents, chosen by a hash of their id, are asked about; labels outside their vocabulary are
rejected, never mapped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome

SCORES = range(6)


def fault(options: Options) -> str | None:
    """What is wrong with the options: a vocabulary without words, or what `generated.fault` finds."""
    for name in ("topics", "kinds"):
        if not options[name] or not all(isinstance(word, str) and word.strip() for word in options[name]):
            return f"option {name!r} must list words: give those that the model may choose from"
    return generated.fault(options)


def applies(document: Document, options: Options) -> bool:
    """Whether the document is of the sample."""
    return generated.fraction(options["seed"], "sample", document.id or document.url) < float(options["share"])


def prepare(document: Document, options: Options) -> list[Request]:
    """One request on the page's beginning."""
    text = document.text[: options["max_chars"]]
    topics, kinds = ", ".join(options["topics"]), ", ".join(options["kinds"])
    return [generated.request("annotate", text, options, json=True, topics=topics, kinds=kinds)]


def labels(answer: str, options: Options) -> dict[str, str] | None:
    """The labels in an answer, None where one is missing or outside its vocabulary."""
    try:
        found = json.loads(generated.cleaned(answer))
        score, topic, kind = found["score"], found["topic"], found["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if type(score) is not int or score not in SCORES or topic not in options["topics"] or kind not in options["kinds"]:
        return None
    return {"score": str(score), "topic": topic, "kind": kind}


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The document unchanged, with labels."""
    found = labels(responses[0].text, options)
    return Outcome("unchanged", labels=found) if found else generated.rejected("labels")


HOOK = Hook(
    name="annotate",
    version=generated.version("annotate"),
    prepare=prepare,
    apply=apply,
    applies=applies,
    needs=("llm",),
    check=fault,
    options={
        **generated.SAMPLING,
        "max_tokens": 100,
        "share": 0.01,
        "max_chars": 6000,
        "topics": [
            "science",
            "technology",
            "health",
            "history",
            "society",
            "arts",
            "business",
            "sport",
            "everyday life",
            "other",
        ],
        "kinds": ["article", "reference", "tutorial", "discussion", "news", "product", "listing", "other"],
    },
)
