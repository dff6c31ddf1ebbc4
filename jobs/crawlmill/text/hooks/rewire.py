"""REWIRE (Nguyen et al. 2025): the page as a draft that the model thinks about and then writes better.

Only what stands between one pair of `improved` tags is used; thinking never reaches the text. Which pages are worth it, by quality, is an
option (`min_bucket`, `max_bucket`): reports differ on whether poor or good pages gain more.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome

_IMPROVED = regex.compile(r"<improved>(.*?)</improved>", regex.DOTALL | regex.IGNORECASE)
_TAG = regex.compile(r"</?(?:improved|thinking)>", regex.IGNORECASE)


def routed(document: Document, options: Options) -> bool:
    """Whether the document's quality bucket (0 to 19) is one of those asked for."""
    bucket = document.signals.get("quality_bucket")
    return bucket is not None and options["min_bucket"] <= bucket <= options["max_bucket"]


def prepare(document: Document, options: Options) -> list[Request]:
    """One request a page."""
    return [generated.request("rewire", document.text, options)]


def improved(answer: str) -> str | None:
    """The text between the one pair of tags; None where there is not exactly one."""
    found = _IMPROVED.findall(answer)
    return found[0].strip() if len(found) == 1 and not _TAG.search(found[0]) else None


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The improved page, if it passes the guards."""
    text = improved(responses[0].text)
    if text is None:
        return generated.rejected("truncated" if responses[0].finish == "length" else "unparsable")
    word = generated.judged(document, responses[0], text, options)
    return generated.rejected(word) if word else generated.replaced(document, [text])


HOOK = Hook(
    name="rewire",
    version=generated.version("rewire"),
    prepare=prepare,
    apply=apply,
    applies=routed,
    phase="recycle",
    needs=("llm", "signals"),
    check=generated.fault,
    options=generated.options(
        temperature=1.0, top_p=0.9, max_tokens=8192, min_bucket=0, max_bucket=19, min_ratio=0.5, max_ratio=5.0, min_numbers=0.5
    ),
)
