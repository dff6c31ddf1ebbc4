"""What hooks that ask a language model have in common: options, requests about a text, passages, answers cleaned and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import regex

from crawlmill.text.hooks import guards, prompts
from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Options, Outcome
from crawlmill.text.hooks.prox import estimate_tokens

SAMPLING: Mapping[str, Any] = {"model": "", "max_tokens": 1024, "temperature": 0.0, "top_p": 1.0, "seed": 0}
"""Options of every hook that asks; an empty model takes the environment's when the recipe is loaded."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    "max_tokens": (1, 1e6), "temperature": (0, 2), "top_p": (1e-9, 1), "share": (0, 1), "passage_tokens": (1, 1e6), "max_chars": (1, 1e9),
    "min_ratio": (0, 1e6), "max_ratio": (0, 1e6), "min_overlap": (0, 1), "min_numbers": (0, 1), "max_copy": (0, 1),
    "min_bucket": (0, 19), "max_bucket": (0, 19), "tasks": (1, 100), "max_entities": (2, 100), "max_relations": (0, 1e6), "min_formulas": (0, 1e6),
}  # fmt: skip
"""What options may be, ends included; the temperatures are those that endpoints take."""
_PAIRS = (("min_ratio", "max_ratio"), ("min_bucket", "max_bucket"))

_LINE = regex.compile(r"[^\n]*\n+|[^\n]+\Z")
_SENTENCE = regex.compile(r".+?(?:[.!?…]+[\"'”’)\]]*\s+|[。！？؟।]+\s*|\Z)", regex.DOTALL)
_INTRO = regex.compile(
    r"\A[^\n:]{0,160}?\b(?:paraphrase[ds]?|rephrase[ds]?|rewrit(?:e|ten)|reworded|version|following|passage|text|summary|here)\b"
    r"[^\n:]{0,120}(?::[ \t]*\n*|\n\n)",
    regex.IGNORECASE,
)
_THINKING = regex.compile(r"\A\s*<think>.*?</think>\s*", regex.DOTALL)
_FENCE = regex.compile(r"\A```[a-z]*\n(.*)\n```\s*\Z", regex.DOTALL)


def options(**own: Any) -> dict[str, Any]:
    """A hook's options: those of every hook that asks, the guards' limits, its own (which may set others of these)."""
    return {**SAMPLING, **guards.LIMITS, **own}


def fault(options: Options) -> str | None:
    """What is wrong with the options of a hook that asks: the first that is outside its bounds; None where nothing is."""
    for name, (least, most) in BOUNDS.items():
        if name in options and not least <= options[name] <= most:
            return f"option {name!r} is {options[name]:g}: give one from {max(least, 0):g} to {most:g}"
    for less, more in _PAIRS:
        if less in options and options[less] > options[more]:
            return f"option {less!r} ({options[less]:g}) is above {more!r} ({options[more]:g}): no document could pass"
    return None


def version(*names: str, of: str = "1") -> str:
    """A hook's version: its own and those of its prompts."""
    return "/".join([of, *(f"{name}-{prompts.load(name).version}" for name in names)])


def request(prompt: str, text: str, options: Options, json: bool = False, max_tokens: int | None = None, **more: str) -> Request:
    """A request about a text by a prompt."""
    if not options["model"]:
        raise ValueError("no model is named")
    return Request(
        model=options["model"],
        messages=prompts.load(prompt).messages(text, **more),
        max_tokens=max_tokens or options["max_tokens"],
        temperature=float(options["temperature"]),
        top_p=float(options["top_p"]),
        seed=options["seed"],
        json=json,
    )


def passages(text: str, max_tokens: int) -> list[str]:
    """The text in parts of at most so many estimated tokens, cut at lines, else sentences, else anywhere; put together they are the text."""
    parts: list[str] = []
    for unit in _units(text, max_tokens):
        if parts and estimate_tokens(parts[-1] + unit) <= max_tokens:
            parts[-1] += unit
        else:
            parts.append(unit)
    return parts


def _units(text: str, max_tokens: int) -> Iterable[str]:
    for line in _LINE.findall(text):
        if estimate_tokens(line) <= max_tokens:
            yield line
            continue
        for sentence in _SENTENCE.findall(line):
            if estimate_tokens(sentence) <= max_tokens:
                yield sentence
            else:
                size = max(1, max_tokens)  # a code point is at most a token by the estimate
                yield from (sentence[at : at + size] for at in range(0, len(sentence), size))


def cleaned(answer: str) -> str:
    """An answer without thinking aloud, a code fence around it, and a stock introduction before it."""
    text = _THINKING.sub("", answer.strip()).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    return str(_INTRO.sub("", text, count=1)).strip()


def judged(document: Document, response: Response, text: str, options: Options, source: str | None = None) -> str | None:
    """The guards' word about a text made from the document, or from a part of it."""
    origin = (
        document if source is None else Document(source, language=document.language, language_script=document.language_script)
    )
    if source is not None and document.label is not None:
        origin = Document(source, language=document.language, language_script=document.language_script, label=document.label)
    return guards.judge(origin, response, text, options)


def replaced(document: Document, parts: Sequence[str], glue: str = "\n") -> Outcome:
    """The outcome of a text put together of parts."""
    return Outcome("changed", glue.join(part.strip() for part in parts), edits=len(parts))


def rejected(word: str) -> Outcome:
    """The outcome where a guard refused."""
    return Outcome("rejected", reason=word)


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on its parts alone: what stands in for chance."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
