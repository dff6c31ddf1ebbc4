"""MathCoder2 (Lu et al. 2024): the computations of a mathematical page as conditions, expression, result and code, the code checked.

The code is arithmetic in a few lines; it is carried out by `arithmetic.run`, never by Python itself, and a block whose result it does not
give (within 0.01, as in the paper) is left out. Accepted blocks are put after the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from crawlmill.text.hooks import generated, guards
from crawlmill.text.hooks.arithmetic import Refused, run
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import UNCHANGED, Document, Hook, Options, Outcome

TOLERANCE = 0.01
_BLOCK = regex.compile(
    r"###\s*Conditions\s*\n(.*?)\n###\s*Expression\s*\n(.*?)\n###\s*Result\s*\n(.*?)\n###\s*Code\s*\n```(?:python)?\n(.*?)```",
    regex.DOTALL,
)
_MATH = regex.compile(r"\\(?:frac|sqrt|sum|int|begin|cdot|times)\b|\$[^$\n]{2,200}\$|[0-9]\s*[=+×÷^]\s*[0-9(]")


@dataclass(frozen=True)
class Block:
    """A computation with its code."""

    conditions: str
    expression: str
    result: str
    code: str


def parse(answer: str) -> list[Block]:
    """The blocks with all four headings."""
    return [Block(*(part.strip() for part in match)) for match in _BLOCK.findall(answer) if "###" not in match[3]]


def agrees(result: str, value: float) -> bool:
    """Whether the code's value is the result: a short one that is a number must lie within 0.01; others cannot be compared and pass."""
    plain = result.strip().strip("$").replace(",", "")
    if len(plain) >= 20:
        return True
    try:
        return abs(float(plain) - value) <= TOLERANCE
    except ValueError:
        return True


def accepted(block: Block) -> bool:
    """Whether the block's code runs and gives its result."""
    try:
        return agrees(block.result, float(run(block.code)))
    except (Refused, OverflowError):
        return False


def applies(document: Document, options: Options) -> bool:
    """Whether the document is in one of `languages`; an empty list means every document."""
    return not options["languages"] or document.language in options["languages"]


def prepare(document: Document, options: Options) -> list[Request]:
    """One request for a page that shows computations; nothing for others."""
    enough = len(_MATH.findall(document.text)) >= options["min_formulas"]
    return [generated.request("math_steps", document.text, options)] if enough else []


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The page with its checked computations."""
    if not responses:
        return Outcome("unchanged", reason="no computations")
    found = parse(responses[0].text)
    if not found:
        return generated.rejected(
            "truncated" if responses[0].finish == "length" else guards.conversation("", responses[0].text) or "unparsable"
        )
    kept = [block for block in found if accepted(block)]
    if not kept:
        return generated.rejected("code")
    steps = "\n\n".join(f"{block.conditions}\n{block.expression}\n{block.result}\n```python\n{block.code}\n```" for block in kept)
    if word := guards.conversation(document.text, steps):
        return generated.rejected(word)
    return Outcome("changed", f"{document.text}\n\n{steps}", edits=len(kept)) if steps else UNCHANGED


HOOK = Hook(
    name="math_steps",
    version=generated.version("math_steps"),
    prepare=prepare,
    apply=apply,
    applies=applies,
    needs=("llm",),
    check=generated.fault,
    options={**generated.SAMPLING, "max_tokens": 3072, "min_formulas": 3, "languages": []},
)
