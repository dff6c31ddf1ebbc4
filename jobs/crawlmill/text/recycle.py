"""Recycling by rewriting: which dropped pages may be rewritten, which quality bucket they are in, and what hooks make of them.

Each hook works on the page itself, so the order of hooks does not matter; what it makes are further documents with ids of their own.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crawlmill.text import overlap, rules, signals
from crawlmill.text.hooks import running
from crawlmill.text.hooks.interface import Document, Step
from crawlmill.text.hooks.registry import chosen

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Bucket, Gate, Recycle

RULES_FAILED = "rules_failed"
QUALITY_BUCKET = "quality_bucket"


def family(signal: str) -> str:
    """What a rule on this signal is about: quality, safety or language; `other` for what is unknown here, and so never recycled."""
    if signal in signals.SIGNALS:
        return signals.SIGNALS[signal].family
    if signal in rules.ANNOTATIONS:
        return "language"
    return "safety" if signal in overlap.ANNOTATIONS else "other"


def barring(gate: Gate, options: Recycle) -> frozenset[str]:
    """The rules of which a broken one, deciding or flagged, keeps a page from being rewritten."""

    def quality(name: str) -> bool:
        found = family(gate.rules[name].signal)
        return found == "quality" or (found == "other" and _among(name, options.quality))

    return frozenset(name for name in gate.rules if not quality(name) or _among(name, options.never))


def _among(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def open_to(gate: Gate, options: Recycle) -> list[str]:
    """The rules that a page may fail and yet be rewritten; a hook's proposal, a language not selected and the inverse are none of them."""
    return sorted(gate.rules.keys() - barring(gate, options))


def bucket(annotations: Mapping[str, float], options: Bucket) -> int:
    """The quality bucket, 0 (worst) to the number of edges: how many edges the linear score reaches."""
    score = options.intercept + sum(weight * annotations.get(name, 0.0) for name, weight in sorted(options.weights.items()))
    return bisect.bisect_right(options.edges, score)


def derived_id(parent: str, maker: str, number: int) -> str:
    """The id of the `number`th document that a hook (`name@version`) makes of a page: a UUID of form 8 (RFC 9562) from a hash of the three."""
    digest = bytearray(hashlib.sha256("\x1f".join((parent, maker, str(number))).encode()).digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"<urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}>"


STEP = pa.struct([*running.STEP, ("bucket", pa.int32()), ("derived", pa.list_(pa.string()))])
MADE = pa.struct([("id", pa.string()), ("text", pa.string()), ("step", pa.struct(list(running.STEP)))])


def recycle_batch(
    batch: pa.RecordBatch, options: Recycle, answer: running.Answer | None = None, label: running.Label | None = None
) -> pa.RecordBatch:
    """Rows (snapshot, shard, id, steps, made, pending) for pages that may be rewritten.

    Args:
        batch: columns of `documents` and `languages`, signals as double, the map `scores`, `failed`: names of the rules that the page failed.
        options: the recipe's section.
        answer: as for `run_hooks`; a page that waits for answers has neither steps nor made yet.
        label: language and script of a generated text.
    """
    hooks = chosen(options.hooks)
    steps: list[list[dict[str, Any]]] = []
    made: list[list[dict[str, Any]]] = []
    pending: list[list[str]] = []
    for row in batch.to_pylist():
        page = read(row, options, label)
        done = [running.progress(page, [hook], answer) for hook in hooks]
        waits = [json.dumps(running.asked(request), ensure_ascii=False) for one in done for request in one.pending]
        results = [] if waits else [documents(page, one) for one in done]
        pending.append(waits)
        made.append([document for _, own in results for document in own])
        own_bucket = int(page.signals[QUALITY_BUCKET])
        steps.append(
            [{**running.stored(step), "bucket": own_bucket, "derived": [one["id"] for one in own]} for step, own in results]
        )
    arrays = [pa.array(steps, pa.list_(STEP)), pa.array(made, pa.list_(MADE)), pa.array(pending, pa.list_(pa.string()))]
    keys = ["snapshot", "shard", "id"]
    return pa.RecordBatch.from_arrays([*(batch.column(name) for name in keys), *arrays], [*keys, "steps", "made", "pending"])


def read(row: Mapping[str, Any], options: Recycle, label: running.Label | None = None) -> Document:
    """A page as a hook of phase recycle sees it: text, labels, all signals that it has, its bucket and the rules that it failed."""
    failed = tuple(row["failed"] or ())
    names = (*signals.SIGNALS, *rules.ANNOTATIONS)
    known = {name: float(row[name]) for name in names if row.get(name) is not None} | {RULES_FAILED: float(len(failed))}
    known |= {f"{rules.SCORE}{name}": value for name, value in dict(row.get("scores") or ()).items() if value is not None}
    known[QUALITY_BUCKET] = float(bucket(known, options.bucket))
    fields = ("text", "id", "url", "title", "language", "language_script", "language_score")
    seen = {name: row[name] for name in fields if row.get(name) is not None}
    return Document(**seen, signals=known, failed=failed, label=label)


def documents(page: Document, done: running.Progress) -> tuple[Step, list[dict[str, Any]]]:
    """What a hook did with a page, and the documents that came of it, each with the step that made it."""
    (step,) = done.steps
    texts = ([done.text] if done.text != page.text else []) + [text for _, text in done.derived]
    made = running.stored(step) | {"outcome": "changed", "position": 0}
    return step, [
        {"id": derived_id(page.id, f"{step.hook}@{step.version}", number), "text": text, "step": made}
        for number, text in enumerate(texts)
    ]
