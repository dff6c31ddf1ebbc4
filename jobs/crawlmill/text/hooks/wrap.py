"""WRAP (Maini et al. 2024): passages of at most 300 tokens said again in one of four styles: easy, medium, hard, qa.

The page then is the passages said again, in order; the paper trains on as much original text beside it, so as a hook before dedup (where
the original leaves the corpus) it is for experiments, and for a corpus it belongs into recycling.
"""

from __future__ import annotations

from collections.abc import Sequence

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome

STYLES = ("easy", "medium", "hard", "qa")


def fault(options: Options) -> str | None:
    """What is wrong with the options: an unknown style, or what `generated.fault` finds."""
    if options["style"] not in STYLES:
        return f"option 'style' is {options['style']!r}: there are {', '.join(STYLES)}"
    return generated.fault(options)


def prepare(document: Document, options: Options) -> list[Request]:
    """A request a passage."""
    parts = generated.passages(document.text, options["passage_tokens"])
    return [generated.request(f"wrap_{options['style']}", part.strip(), options) for part in parts if part.strip()]


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The passages said again, if every one passes the guards."""
    parts = [part.strip() for part in generated.passages(document.text, options["passage_tokens"]) if part.strip()]
    said = [generated.cleaned(response.text) for response in responses]
    for source, response, text in zip(parts, responses, said, strict=True):
        if word := generated.judged(document, response, text, options, source):
            return generated.rejected(word)
    return generated.replaced(document, said)


HOOK = Hook(
    name="wrap",
    version=generated.version(*(f"wrap_{style}" for style in STYLES)),
    prepare=prepare,
    apply=apply,
    needs=("llm",),
    check=fault,
    options=generated.options(style="medium", passage_tokens=300, max_tokens=600, min_ratio=0.4),
)
