"""Instruction pre-training (Cheng et al. 2024): a page with tasks on it and their solutions, laid out in one of several ways.

Which way is taken depends on the page alone: four in five plainly, the others as a dialogue, numbered, all tasks first, or a task a turn;
one in twenty has them before the text. A page for which the model gives no valid task stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import UNCHANGED, Document, Hook, Options, Outcome

Pairs = list[tuple[str, str]]
MODES = ("classic", "dialog", "numbered", "inline", "turns")
SHARES = (0.80, 0.05, 0.05, 0.05, 0.05)
FIRST = 0.05  # of the pages have the tasks before the text
_ITEM = regex.compile(r"<QUE>(.*?)</END>", regex.DOTALL)


def parse(answer: str) -> Pairs:
    """The finished items with exactly one solution that is not empty; a question asked again (capitals aside) is left out."""
    found: dict[str, tuple[str, str]] = {}
    for item in _ITEM.findall(answer):
        question, *solutions = item.split("<ANS>")
        if len(solutions) == 1 and question.strip() and solutions[0].strip() and "<QUE>" not in item:
            found.setdefault(question.strip().lower(), (question.strip(), solutions[0].strip()))
    return list(found.values())


def mode(seed: int, key: str, count: int) -> str:
    """The way in which a page is laid out, by its key; with a single task there are but two."""
    drawn = generated.fraction(seed, "mode", key)
    if count < 2:
        return "classic" if drawn < 0.95 else "dialog"
    for name, share in zip(MODES, SHARES, strict=True):
        if drawn < share:
            return name
        drawn -= share
    return MODES[0]


def lay_out(text: str, found: Pairs, how: str, first: bool) -> str:
    """The page with its tasks."""
    if how == "dialog":
        tasks = "\n".join(f"— {question}\n— {solution}" for question, solution in found)
    elif how == "numbered":
        asked = "\n".join(f"{n}. {question}" for n, (question, _) in enumerate(found, 1))
        tasks = asked + "\n\n" + "\n".join(f"{n}. {solution}" for n, (_, solution) in enumerate(found, 1))
    elif how == "inline":
        tasks = "\n".join(f"{question} {solution}" for question, solution in found)
    elif how == "turns":
        tasks = "\n\n".join(f"Q: {question}\n\nA: {solution}" for question, solution in found)
    else:
        tasks = "\n\n".join(f"{question}\n{solution}" for question, solution in found)
    return f"{tasks}\n\n{text}" if first else f"{text}\n\n{tasks}"


def prepare(document: Document, options: Options) -> list[Request]:
    """One request a page."""
    return [generated.request("instruct_qa", document.text, options, count=str(options["tasks"]))]


def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
    """The page with those tasks that pass the guards; a refusal is rejected, an answer without a valid task leaves the page."""
    found = parse(responses[0].text)[: options["tasks"]]
    if not found:
        return generated.rejected("refusal") if "<QUE>" not in responses[0].text else UNCHANGED
    answer = Response(responses[0].request, finish="stop")  # a last item that was cut is left out already
    text = "\n".join(f"{question} {solution}" for question, solution in found)
    if word := generated.judged(document, answer, text, options):
        return generated.rejected(word)
    key = document.id or document.text
    how = mode(options["seed"], key, len(found))
    first = generated.fraction(options["seed"], "first", key) < FIRST
    return Outcome("changed", lay_out(document.text, found, how, first), edits=len(found))


HOOK = Hook(
    name="instruct_qa",
    version=generated.version("instruct_qa"),
    prepare=prepare,
    apply=apply,
    needs=("llm",),
    check=generated.fault,
    options=generated.options(tasks=5, max_tokens=400, min_ratio=0.01, min_overlap=0.1, max_copy=1.0),
)
