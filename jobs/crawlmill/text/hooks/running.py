"""Hooks at work: one after another on a document, and on batches of documents as the stage has them."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crawlmill.text.hooks.chat import Request, Response
from crawlmill.text.hooks.interface import Document, Hook, Options, Outcome, Step
from crawlmill.text.hooks.registry import Chosen, chosen

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Rewrite

ROUNDS = 8  # of asking that one hook may have
Answer = Callable[[Hook, Any], Any]  # the response to a hook's request; None: not answered yet
Label = Callable[[str], tuple[str, str]]


@dataclass
class Progress:
    """How far hooks came with a document: its text, the steps done, further documents, and what they wait for."""

    text: str
    steps: list[Step] = field(default_factory=list)
    derived: list[tuple[str, str]] = field(default_factory=list)  # hook, text
    pending: list[Any] = field(default_factory=list)


def run_hooks(document: Document, hooks: Sequence[Chosen], answer: Answer | None = None) -> tuple[str | None, list[Step]]:
    """Run hooks one after another on a document.

    Args:
        document: the document as extracted.
        hooks: hooks with their options.
        answer: gives the response to a hook's request; hooks that ask while there is none end in `error`.

    Returns:
        The final text, None where no hook changed it, and one step per hook; a hook that raises is an `error`, the text stays.
        A required hook that failed proposes to drop the document instead: its unchanged text may hold what had to be masked.
    """
    done = progress(document, hooks, answer)
    return (done.text if done.text != document.text else None), done.steps


def progress(document: Document, hooks: Sequence[Chosen], answer: Answer | None = None) -> Progress:
    """The same, up to the first hook some of whose requests have no answer yet: those are `pending`."""
    current, done = document, Progress(document.text)
    for position, (hook, options) in enumerate(hooks):
        responses: list[Any] = []
        missing: list[Any] = []
        dropped = any(step.outcome == "dropped_proposal" for step in done.steps)
        try:
            if hook.asks and dropped:  # its text may be what could not be masked: nobody is shown it, and nothing is paid for it
                outcome = Outcome("unchanged", reason="proposed to be dropped")
            else:
                outcome, responses, missing = _outcome(current, hook, options, answer)
            if missing:
                done.pending = missing
                return done
            if outcome.outcome == "changed" and outcome.text is not None:
                current = replace(current, text=outcome.text)
        except Exception as error:  # a hook may be anybody's code; one document must not end a stage
            outcome = Outcome("error", reason=_where(error))
        if hook.required and outcome.outcome in ("error", "rejected"):
            outcome = replace(outcome, outcome="dropped_proposal", reason=f"required, but {outcome.outcome}: {outcome.reason}")
        step = Step(hook.name, hook.version, position, outcome.outcome, outcome.reason, outcome.edits, labels=outcome.labels)
        done.steps.append(_with_provenance(step, responses) if responses else step)
        done.derived += [(hook.name, text) for text in outcome.derived]
    done.text = current.text
    return done


def _with_provenance(step: Step, responses: Sequence[Any]) -> Step:
    """Model, request hashes, tokens and cost of what was asked."""
    known = [response for response in responses if isinstance(response, Response)]
    if not known:
        return step
    return replace(
        step,
        model=known[0].model or None,
        requests=tuple(response.request for response in known),
        prompt_tokens=sum(response.prompt_tokens for response in known),
        completion_tokens=sum(response.completion_tokens for response in known),
        cost=sum(response.cost for response in known),
    )


def _outcome(document: Document, hook: Hook, options: Options, answer: Answer | None) -> tuple[Outcome, list[Any], list[Any]]:
    """The outcome with the responses that it rests on; or the requests that have none yet."""
    if not hook.applies(document, options):
        return Outcome("unchanged", reason="not applicable"), [], []
    responses, missing = _responses(document, hook, options, answer)
    if missing:
        return Outcome("unchanged"), [], missing
    failed = next((response.failure for response in responses if isinstance(response, Response) and response.failure), None)
    if failed:
        return Outcome("error", reason=f"endpoint: {failed}"), responses, []
    return _checked(document, hook.apply(document, responses, options)), responses, []


def _checked(document: Document, outcome: Outcome) -> Outcome:
    """An outcome that says what it is: `changed` has a text that differs, holds something and can be stored."""
    if outcome.outcome != "changed":
        return outcome if outcome.text is None else replace(outcome, text=None)
    if outcome.text is None or outcome.text == document.text:
        return replace(outcome, outcome="unchanged", text=None, edits=0)
    if not outcome.text.strip():
        return Outcome("rejected", reason="nothing would be left of the text")
    outcome.text.encode("utf-8")  # a lone surrogate cannot be stored: an error of the hook
    return outcome


def _responses(document: Document, hook: Hook, options: Options, answer: Answer | None) -> tuple[list[Any], list[Any]]:
    requests = list(hook.prepare(document, options))
    responses: list[Any] = []
    for _ in range(ROUNDS):
        if not requests:
            return responses, []
        if answer is None:
            raise RuntimeError("the hook has requests, and nothing answers them")
        found = [answer(hook, request) for request in requests]
        if missing := [request for request, response in zip(requests, found, strict=True) if response is None]:
            return responses, missing
        responses += found
        failed = any(isinstance(response, Response) and response.failure for response in found)
        requests = list(hook.follow(document, responses, options)) if hook.follow and not failed else []
    raise RuntimeError(f"the hook goes on asking after {ROUNDS} rounds")


def _where(error: Exception) -> str:
    """Kind and place of an exception; not its message, which may quote the page."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}" if last else type(error).__name__


STEP = pa.struct(
    [
        ("hook", pa.string()),
        ("version", pa.string()),
        ("position", pa.int32()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("edits", pa.int32()),
        ("model", pa.string()),
        ("requests", pa.list_(pa.string())),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("cost", pa.float64()),
        ("labels", pa.map_(pa.string(), pa.string())),
    ]
)
_SEEN = [name for name in Document.__dataclass_fields__ if name not in ("duplicates", "signals", "failed", "label")]
Asked = dict[str, Any]  # hash and body of a request


def rewrite_batch(
    batch: pa.RecordBatch, options: Rewrite, answer: Answer | None = None, label: Label | None = None
) -> pa.RecordBatch:
    """Rows (snapshot, shard, id, text or null, hooks that changed it, steps, pending) for documents with language and script.

    Args:
        batch: columns of `documents` and `languages`; those that are absent count as unknown.
        options: the recipe's section.
        answer: as for `run_hooks`; a document with requests that are not answered has no steps yet, and they are `pending` (as JSON).
        label: language and script of a generated text.

    A column `duplicate_hashes` is read where the recipe looks for duplicate lines.
    """
    from crawlmill.text import duplicate_lines

    hooks = chosen(options.hooks)
    lines = options.lines if any(hook.reads_duplicates for hook, _ in hooks) else None
    elsewhere = batch.column("duplicate_hashes").to_pylist() if lines else [None] * batch.num_rows
    texts: list[str | None] = []
    changed: list[list[str]] = []
    steps: list[list[dict[str, Any]]] = []
    pending: list[list[str]] = []
    names = [name for name in _SEEN if name in batch.schema.names]
    for row, hashes in zip(batch.select(names).to_pylist(), elsewhere, strict=True):
        known = {name: value for name, value in row.items() if value is not None}
        if lines and row["text"]:
            known["duplicates"] = tuple(duplicate_lines.duplicates(duplicate_lines.parts(row["text"], lines), hashes or ()))
        document = Document(**{"text": "", **known}, label=label)
        done = progress(document, hooks, answer)
        waits = bool(done.pending)
        texts.append(done.text if done.text != document.text and not waits else None)
        changed.append([f"{step.hook}@{step.version}" for step in done.steps if step.outcome == "changed"] if not waits else [])
        steps.append([] if waits else [stored(step) for step in done.steps])
        pending.append([json.dumps(asked(request), ensure_ascii=False) for request in done.pending])
    strings = pa.list_(pa.string())
    arrays = [
        pa.array(texts, pa.string()),
        pa.array(changed, strings),
        pa.array(steps, pa.list_(STEP)),
        pa.array(pending, strings),
    ]
    keys = ["snapshot", "shard", "id"]
    return pa.RecordBatch.from_arrays(
        [*(batch.column(name) for name in keys), *arrays], [*keys, "text", "hooks", "steps", "pending"]
    )


def stored(step: Step) -> dict[str, Any]:
    """A step as Arrow takes it: a map is a list of pairs."""
    return vars(step) if step.labels is None else {**vars(step), "labels": sorted(step.labels.items())}


def asked(request: Any) -> Asked:
    """A request as the driver takes it. Raises TypeError for what is none."""
    if not isinstance(request, Request):
        raise TypeError(f"a hook's request must be a crawlmill.text.hooks.Request, not {type(request).__name__}")
    return {"hash": request.hash, "body": request.body()}
