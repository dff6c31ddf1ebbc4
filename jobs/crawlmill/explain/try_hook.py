"""`crawlmill try-hook`: what a hook would do with some documents, shown as a word diff. It writes nothing."""

from __future__ import annotations

import difflib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import click

from crawlmill import layout, rowfile
from crawlmill.errors import UserError
from crawlmill.text.hooks import Document, Hook, Progress, available, from_file, progress
from crawlmill.text.hooks.interface import Options, option

CONTEXT_WORDS = 6
_WORDS = re.compile(r"\s+|[^\s]+")


@dataclass
class Tried:
    """What came of a trial: documents by outcome, reasons, characters before and after, examples, requests still open."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    before: int = 0
    after: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    pending: list[Any] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def documents(self) -> int:
        return self.outcomes.total()

    @property
    def hits(self) -> int:
        """Documents that the hook changed or proposed to drop."""
        return self.outcomes["changed"] + self.outcomes["dropped_proposal"]


def find(name: str) -> Hook:
    """A hook by the name of its file or by its own. Raises UserError where there is neither."""
    if name.endswith(".py"):
        return from_file(Path(name))
    if name in available():
        return available()[name]
    from crawlmill.recipes.recipe_file import suggestion

    raise UserError(f"no hook named {name!r} is installed{suggestion(name, available())}; a file's name ends in .py")


def options_of(hook: Hook, given: Iterable[str]) -> Options:
    """The hook's options with `key=value` texts on top, read as YAML. Raises UserError for a key or type that it does not have."""
    import yaml

    from crawlmill.recipes.recipe_file import suggestion

    options = dict(hook.options)
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in options:
            raise UserError(f"hook {hook.name!r} has no option {key!r}{suggestion(key, options)}: give --option key=value")
        try:
            options[key] = option(hook, key, yaml.safe_load(value))
        except yaml.YAMLError:
            raise UserError(f"--option {text}: the value is no YAML: quote it") from None
        except ValueError as error:
            raise UserError(str(error)) from None
    if wrong := hook.check(options):
        raise UserError(f"hook {hook.name!r}: {wrong}")
    return options


def documents(name: str | None, lake: str | None) -> Iterator[Document]:
    """Documents of a file of rows, else of the lake's newest version, as a hook sees them."""
    fields = [key for key in Document.__dataclass_fields__ if key != "label"]
    rows = rowfile.read(name) if name else _from_lake(layout.lake_root(lake))
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("text"), str):
            raise UserError(f"{name} row {number} has no text: each row needs a string `text`")
        known = {key: row[key] for key in fields if row.get(key) is not None}
        known["failed"] = tuple(known.get("failed", ()))
        yield Document(**known)


def _from_lake(lake: str) -> Iterator[dict[str, Any]]:
    """Rows of `documents` with their language where there is one; a file at a time, read without Spark."""
    from deltalake import DeltaTable

    from crawlmill.lake import table

    table.require(lake, "documents")
    labels: dict[tuple[str, int, str], dict[str, Any]] = {}
    columns = ["snapshot", "shard", "id"]
    if DeltaTable.is_deltatable(f"{lake}/languages"):
        wanted = [*columns, "language", "language_script", "language_score"]
        for batch in DeltaTable(f"{lake}/languages").to_pyarrow_dataset().to_batches(columns=wanted):
            labels |= {(row["snapshot"], row["shard"], row["id"]): row for row in batch.to_pylist()}
    for batch in DeltaTable(f"{lake}/documents").to_pyarrow_dataset().to_batches(columns=[*columns, "url", "title", "text"]):
        for row in batch.to_pylist():
            yield row | labels.get((row["snapshot"], row["shard"], row["id"]), {})


def trial(
    hook: Hook, options: Options, found: Iterable[Document], show: int, answer: Callable[[Hook, Any], Any] | None = None
) -> Tried:
    """Run a hook on documents. `answer` as for `run_hooks`; without one, what it would ask is collected."""
    tried = Tried()
    for document in found:
        started = time.process_time()
        done: Progress = progress(document, [(hook, options)], answer or (lambda _hook, _request: None))
        tried.seconds += time.process_time() - started
        if done.pending:
            tried.outcomes["waits for answers"] += 1
            tried.pending += done.pending
            continue
        step = done.steps[0]
        tried.outcomes[step.outcome] += 1
        if step.reason:
            tried.reasons[f"{step.outcome}: {step.reason}"] += 1
        tried.before += len(document.text)
        tried.after += len(done.text)
        if done.text != document.text and len(tried.examples) < show:
            tried.examples.append((document.url or document.id, word_diff(document.text, done.text)))
    return tried


def asked(hook: Hook, options: Options, found: list[Document]) -> dict[str, Any]:
    """The answers to everything that a hook asks about some documents, round after round, by the request's hash."""
    import asyncio

    from crawlmill.llm import client, settings
    from crawlmill.llm.pace import budget

    using, answers = settings.load(), dict[str, Any]()
    while pending := {
        request.hash: request
        for document in found
        for request in progress(document, [(hook, options)], lambda _hook, request: answers.get(request.hash)).pending
    }:
        requests = ({"hash": key, "body": request.body()} for key, request in pending.items())
        spend = budget(using, sum(one.prompt_tokens + one.completion_tokens for one in answers.values()), 0.0)
        left = asyncio.run(
            client.answer_all(requests, using, spend, lambda request, response: answers.update({request["hash"]: response}))
        )
        if left:
            break  # the budget of the environment holds for a trial, too
    return answers


def word_diff(before: str, after: str) -> str:
    """Both texts in one: `[-taken away-]`, `{+put in+}`, with a few words around each change."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    parts = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            words = old[i:j]
            long = len(words) > 4 * CONTEXT_WORDS
            parts.append("".join([*words[: 2 * CONTEXT_WORDS], " … ", *words[-2 * CONTEXT_WORDS :]] if long else words))
        else:
            parts.append((f"[-{''.join(old[i:j])}-]" if j > i else "") + (f"{{+{''.join(new[k:m])}+}}" if m > k else ""))
    return "".join(parts)


@click.command("try-hook")
@click.argument("hook", metavar="FILE|NAME")
@click.option("--sample", type=click.IntRange(1), default=100, show_default=True, help="Look at so many documents.")
@click.option("--input", "name", help="Rows with a `text`: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or - [the lake's documents].")
@click.option("--option", "given", multiple=True, metavar="KEY=VALUE", help="An option of the hook; may be repeated.")
@click.option("--show", type=click.IntRange(0), default=3, show_default=True, help="Show so many changed documents.")
@click.option("--ask", "asking", is_flag=True, help="Ask the endpoint of the environment; the answers are not kept.")
@click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
def try_hook(hook: str, sample: int, name: str | None, given: tuple[str, ...], show: int, asking: bool, lake: str | None) -> None:
    """What a hook would do with some documents: word diffs, hit rate, outcomes. Writes nothing.

    \b
    Example: crawlmill try-hook my_hook.py --sample 1000 --input labelled.jsonl.zst
    """
    found = find(hook)
    options = options_of(found, given)
    if found.asks and "model" in options and not options["model"]:
        from crawlmill.llm import settings

        options = {**options, "model": settings.model() or "unnamed"}
    sampled = list(islice(documents(name, lake), sample))
    answers = asked(found, options, sampled) if asking else {}
    tried = trial(found, options, sampled, show, lambda _hook, request: answers.get(request.hash))
    if not tried.documents:
        raise UserError("there is no document to try the hook on: give --input FILE, or ingest a snapshot first")
    for source, diff in tried.examples:
        click.echo(f"--- {source or 'document'}\n{diff}\n")
    click.echo(report(found, tried))


def report(hook: Hook, tried: Tried) -> str:
    """Counts and rates of a trial, a fact a line."""
    n = tried.documents
    lines = [f"{hook.name} {hook.version}: {tried.hits} of {n} documents hit ({100 * tried.hits / n:.1f} %)"]
    lines += [f"  {outcome:<18} {count}" for outcome, count in tried.outcomes.most_common()]
    lines += [f"    {reason} ({count})" for reason, count in tried.reasons.most_common(10)]
    if tried.before:
        lines.append(f"  characters         {tried.before} -> {tried.after} ({100 * tried.after / tried.before:.1f} %)")
    if tried.pending:
        chars = sum(getattr(request, "chars", 0) for request in tried.pending)
        lines.append(f"  it would ask       {len(tried.pending)} requests, {chars} characters; nothing was sent")
    lines.append(f"  CPU                {1000 * tried.seconds / n:.2f} ms a document; nothing was written")
    return "\n".join(lines)
