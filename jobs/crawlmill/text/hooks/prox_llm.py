"""ProX with a model: one program for the page, then one for each chunk of numbered lines, carried out under ProX's guards.

Any model behind the endpoint will do; those trained for it (0.3 B and up) want their own prompts, so `prox_rules` is the one that
needs none.
"""

from __future__ import annotations

from collections.abc import Sequence

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome
from crawlmill.text.hooks.prox import chunks, number_lines, parse
from crawlmill.text.hooks.prox_rules import refine

PAGE_TOKENS, CHUNK_TOKENS, PROGRAM_TOKENS = 2000, 1500, 256


def prepare(document: Document, options: Options) -> list[Request]:
    """The request for the page's program, on its first 2,000 tokens."""
    head = (generated.passages(document.text, PAGE_TOKENS) or [""])[0]
    return [generated.request("prox_document", head, options, max_tokens=PROGRAM_TOKENS)]


def follow(document: Document, responses: Sequence[Response], options: Options) -> list[Request]:
    """The requests for the chunks' programs, if the page stays."""
    if len(responses) != 1 or parse(responses[0].text).drop:
        return []
    parts = chunks(number_lines(document.text), CHUNK_TOKENS)
    return [generated.request("prox_chunk", part, options, max_tokens=PROGRAM_TOKENS) for part in parts]


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """What the programs make of the page. A chunk's program may not drop the page, the page's may do nothing else."""
    first, *rest = [parse(response.text) for response in responses]
    if first.drop and not first.bad:
        return Outcome("dropped_proposal", reason="prox_drop", edits=1)
    if any(not program.operations for program in [first, *rest]):
        return generated.rejected("unparsable")
    if first.bad or first.replacements or first.ranges or any(program.drop for program in rest):
        return generated.rejected("bad_program")
    if any(response.finish == "length" for response in responses):
        return generated.rejected("truncated")
    return refine(document, "\n".join(response.text for response in responses[1:]))


HOOK = Hook(
    name="prox_llm",
    version=generated.version("prox_document", "prox_chunk"),
    prepare=prepare,
    follow=follow,
    apply=apply,
    needs=("llm",),
    check=generated.fault,
    options=dict(generated.SAMPLING),
)
