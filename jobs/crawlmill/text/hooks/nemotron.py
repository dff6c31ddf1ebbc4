"""The five tasks of Nemotron-CC (Su et al. 2024): questions and answers, distilled text, knowledge, lists; paraphrase of poorer pages.

Pages are routed by quality bucket (0 to 19; `min_bucket`, `max_bucket`): the first four tasks are for the best, the paraphrase is for the
rest. Segments, sampling and minimum lengths are those of NVIDIA's published recipe; tokens are estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from crawlmill.text.hooks import generated
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome
from crawlmill.text.hooks.prox import estimate_tokens
from crawlmill.text.hooks.rewire import routed

MIN_DOCUMENT = 30  # tokens of a page that is asked about
_MARKS = regex.compile(r"\*\*|__|^#+\s*", regex.MULTILINE)
_PAIR = regex.compile(
    r"^\W*(?:\d+[.)]\s*)?Question:\s*(.+?)\n+\W*Answer:\s*(.+?)(?=\n+\W*(?:\d+[.)]\s*)?Question:|\Z)",
    regex.DOTALL | regex.MULTILINE,
)
_BULLET = regex.compile(r"^\s*(?:[-*•‣▪]|\d+[.)])\s+")
_LABEL = regex.compile(r"\A\s*(?:passage|paragraph|text|knowledge)(?: \d+)?:\s*", regex.IGNORECASE)


@dataclass(frozen=True)
class Task:
    """A task: tokens of a segment, of an answer, fewest of a segment and of the result; the line that an answer must begin with."""

    max_in: int
    max_out: int
    min_segment: int
    min_result: int
    marker: str = ""
    low: bool = False


TASKS = {
    "diverse_qa": Task(1000, 600, 30, 100),
    "distill": Task(2000, 1600, 10, 50, "Condensed text:"),
    "extract": Task(1400, 1400, 30, 50),
    "list": Task(1000, 600, 30, 50),
    "wikipedia": Task(512, 512, 30, 50, "Rewritten text:", low=True),
}


def segments(text: str, task: Task) -> list[str]:
    """The lines of a page, those longer than a segment may be left out, neighbours joined up to it; short segments are left out."""
    if estimate_tokens(text) < MIN_DOCUMENT:
        return []
    parts: list[str] = []
    for line in text.split("\n"):
        if estimate_tokens(line) > task.max_in:
            parts.append("")
        elif parts and parts[-1] and estimate_tokens(f"{parts[-1]}\n{line}") <= task.max_in:
            parts[-1] += f"\n{line}"
        else:
            parts.append(line)
    return [part for part in parts if estimate_tokens(part) >= task.min_segment]


def pairs(answer: str) -> list[tuple[str, str]]:
    """The questions with their answers; a question without one is left out."""
    plain = _MARKS.sub("", answer.strip())
    return [(" ".join(question.split()), answer.strip()) for question, answer in _PAIR.findall(plain)]


def sampled(found: list[tuple[str, str]], segment: str, seed: int) -> list[tuple[str, str]]:
    """Some of the pairs in another order: between one and one per 15 tokens of the segment; by the segment's hash, not by chance."""
    most = max(1, 10 * estimate_tokens(segment) // 150)
    keep = 1 + int(generated.fraction(seed, "keep", segment) * most)
    return sorted(found, key=lambda pair: generated.fraction(seed, segment, *pair))[:keep]


def post(name: str, answer: str, segment: str, seed: int) -> str | None:
    """What of an answer is used; None where it does not have the form that was asked for."""
    task, text = TASKS[name], answer.strip()
    if task.marker:
        head, found, rest = text.partition(task.marker)
        return rest.strip().strip('"“”').strip() if found and not head.strip(" *#\n") else None
    if name == "diverse_qa":
        kept = sampled(pairs(text), segment, seed)
        return "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in kept) or None
    if name == "list":
        lines = [line for line in _MARKS.sub("", text).split("\n") if line.strip()]
        lines = lines if lines and _BULLET.match(lines[0]) else lines[1:]
        return "\n".join(_BULLET.sub("", line).strip() for line in lines) or None
    return str(_LABEL.sub("", text))


def _hook(name: str) -> Hook:
    task = TASKS[name]

    def prepare(document: Document, options: Options) -> list[Request]:
        return [generated.request(f"nemotron_{name}", part, options) for part in segments(document.text, task)]

    def apply(document: Document, responses: Sequence[Response], options: Options) -> Outcome:
        parts = []
        for source, response in zip(segments(document.text, task), responses, strict=True):
            text = post(name, response.text, source, options["seed"])
            if text is None:
                return generated.rejected("refusal" if "sorry" in response.text[:40] else "unparsable")
            if word := generated.judged(document, response, text, options, source):
                return generated.rejected(word)
            parts.append(f"{source}\n\n{text}" if name == "diverse_qa" else text)
        text = "\n\n".join(parts)
        return (
            generated.replaced(document, parts, "\n\n")
            if estimate_tokens(text) >= task.min_result
            else generated.rejected("too_short")
        )

    limits = {"min_ratio": 0.02 if name == "diverse_qa" else 0.1, "max_copy": 1.0 if name == "diverse_qa" else 0.9}
    buckets = {"min_bucket": 0, "max_bucket": 11} if task.low else {"min_bucket": 18, "max_bucket": 19}
    return Hook(
        name=f"nemotron_{name}",
        version=generated.version(f"nemotron_{name}"),
        prepare=prepare,
        apply=apply,
        applies=routed,
        phase="recycle",
        needs=("llm", "signals"),
        check=generated.fault,
        options=generated.options(temperature=0.5, top_p=0.9, max_tokens=task.max_out, **limits, **buckets),
    )


HOOKS = tuple(map(_hook, TASKS))
