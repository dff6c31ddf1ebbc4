"""What a rule or another recipe does to a sample: hit rate, eligible documents before and after, random hits and misses."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from crawlmill.errors import UserError
from crawlmill.explain import excerpts, trial
from crawlmill.recipes.recipe import Gate, canonical_hash
from crawlmill.text import rules
from crawlmill.workbench.expression import Condition
from crawlmill.workbench.sample import Sample

PAGES = 6  # of each side
A_TEXT, IN_ALL = 0.2, 2.0  # seconds that a pattern may take
LONGEST = 500  # characters of a pattern
Flags = Any  # numpy array of bool


@dataclass(frozen=True)
class Tried:
    """What a rule does to the first `n` documents of a sample.

    `hits` of them are hit; `before` and `after` are eligible; `alone`: eligible before and hit. Pages: url, language, decision, values, texts.
    """

    n: int
    hits: int
    before: int
    after: int
    alone: int
    hit_pages: list[dict[str, Any]]
    missed_pages: list[dict[str, Any]]


@dataclass(frozen=True)
class Compared:
    """Two recipes on a sample: eligible by each, documents on which they differ, rules with how many documents fail each in both."""

    n: int
    a: int
    b: int
    only_a: int
    only_b: int
    rules: list[dict[str, Any]] = field(default_factory=list)
    a_pages: list[dict[str, Any]] = field(default_factory=list)
    b_pages: list[dict[str, Any]] = field(default_factory=list)


def condition(sample: Sample, wanted: Condition, seed: int = 0) -> Tried:
    """Reject by a condition over signals."""
    columns = {name: sample.column(name) for name in wanted.signals}
    hits = wanted.hits(columns, len(sample))
    return _tried(sample, hits, _eligible(sample) & ~hits, seed, sorted(wanted.signals))


def pattern(sample: Sample, text: str, seed: int = 0) -> Tried:
    """Reject by a regular expression in the final text. Raises UserError for one that is none, or that backtracks without end.

    Where all of the texts would take too long, the answer is about as many as could be read.
    """
    if len(text) > LONGEST:
        raise UserError(f"the pattern has {len(text)} characters, more than {LONGEST}: write a shorter one")
    try:
        compiled = regex.compile(text)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise UserError(f"{text!r} is no regular expression ({error}): escape what is meant literally") from None
    found, ends = [], time.monotonic() + IN_ALL
    for after in sample.after:
        if time.monotonic() > ends:
            break
        try:
            found.append(compiled.search(after, timeout=A_TEXT, concurrent=True))
        except TimeoutError:
            raise UserError(f"{text!r} takes more than {A_TEXT:g} s on one text: write it without nested repetitions") from None
    hits = np.array([one is not None for one in found], dtype=bool)
    spans = {row: one.span() for row, one in enumerate(found) if one}
    return _tried(sample, hits, _eligible(sample)[: len(hits)] & ~hits, seed, (), spans)


def limit(sample: Sample, gate: Gate, rule: str, value: str, seed: int = 0) -> Tried:
    """Another limit of a rule that there is. Raises UserError for an unknown rule, no number, and verdicts of another recipe."""
    if rule not in gate.rules:
        trial.gate(gate, rule, value)
    labels = (sample.language,) if sample.language else ()
    after = trial.gate(gate, rule, value, labels)
    _require(sample, {rule: gate.rules[rule].signal})
    if set(sample.verdicts["recipe_key"].unique().to_pylist()) - {canonical_hash({"gate": gate.model_dump(mode="json")})}:
        raise UserError(
            f"the verdicts of {sample.snapshot} follow another recipe than the one in force: compare two recipes instead"
        )
    found = rules.finder(after, frozenset({rule}))(sample.batch)
    hits = np.zeros(len(sample), dtype=bool)
    hits[found.row] = True
    others = ~_fails(sample, others_than=rule)
    now = others & ~hits if after.rules[rule].severity == "reject" else others
    return _tried(sample, hits, now, seed, [gate.rules[rule].signal])


def compare(sample: Sample, a: Gate, b: Gate, seed: int = 0) -> Compared:
    """Two gates side by side. Hooks' proposals to drop count as stored. Raises UserError where a gate reads what was not measured."""
    told = []
    for gate in (a, b):
        _require(sample, {name: rule.signal for name, rule in gate.rules.items()})
        columns = {name: sample.batch.column(name) for name in sample.batch.schema.names}
        judged = rules.judge(gate)(pa.RecordBatch.from_pydict({**columns, "snapshot": columns["id"], "shard": columns["id"]}))
        told.append((judged, judged.column("eligible").to_numpy(zero_copy_only=False) & ~_fails(sample, only=rules.HOOK)))
    (left, mine), (right, others) = told
    fires = [_fires(one) for one, _ in told]
    table: list[dict[str, Any]] = [
        {"rule": name, "a": fires[0].get(name, 0), "b": fires[1].get(name, 0)} for name in {**fires[0], **fires[1]}
    ]
    table.sort(key=lambda row: (-abs(row["a"] - row["b"]), row["rule"]))
    only_a, only_b = mine & ~others, others & ~mine
    return Compared(
        len(sample), int(mine.sum()), int(others.sum()), int(only_a.sum()), int(only_b.sum()), table,
        _pages(sample, only_a, seed, failed=right), _pages(sample, only_b, seed, failed=left),
    )  # fmt: skip


def _require(sample: Sample, wanted: dict[str, str]) -> None:
    for name, signal in wanted.items():
        if signal not in sample.batch.schema.names:
            raise UserError(
                f"rule {name!r} reads {signal!r}, which was not measured for {sample.snapshot}: run measure with that recipe"
            )


def _eligible(sample: Sample) -> Flags:
    return sample.verdicts["eligible"].to_numpy(zero_copy_only=False)


def _fails(sample: Sample, others_than: str = "", only: str = "") -> Flags:
    """The documents whose stored verdict fails another rule than one, or one."""
    lists = sample.verdicts["failed"].combine_chunks()
    names = pc.struct_field(pc.list_flatten(lists), "rule")
    chosen = pc.equal(names, only) if only else pc.not_equal(names, others_than)
    found = np.zeros(len(lists), dtype=bool)
    found[pc.list_parent_indices(lists).to_numpy()[chosen.to_numpy(zero_copy_only=False)]] = True
    return found


def _fires(judged: Any) -> dict[str, int]:
    names = pc.struct_field(pc.list_flatten(judged.column("failed")), "rule")
    return {row["values"]: row["counts"] for row in pc.value_counts(names).to_pylist()}


def _tried(
    sample: Sample, hits: Flags, after: Flags, seed: int, signals: Sequence[str], spans: dict[int, tuple[int, int]] | None = None
) -> Tried:
    n, before = len(hits), _eligible(sample)[: len(hits)]
    side = {"signals": signals, "spans": spans or {}, "after": after}
    return Tried(n, int(hits.sum()), int(before.sum()), int(after.sum()), int((hits & before).sum()),
                 _pages(sample, hits, seed, **side), _pages(sample, ~hits, seed, **side))  # fmt: skip


def _pages(sample: Sample, chosen: Flags, seed: int, signals: Sequence[str] = (), spans: dict[int, tuple[int, int]] | None = None,
           after: Flags | None = None, failed: Any = None) -> list[dict[str, Any]]:  # fmt: skip
    """Some of the chosen documents, another few with another seed; texts masked and cut, around a match where there is one."""
    rows = np.flatnonzero(chosen)
    ids = sample.verdicts["id"].take(pa.array(rows)).to_pylist()
    order = sorted(range(len(ids)), key=lambda n: hashlib.blake2b(f"{seed} {ids[n]}".encode(), digest_size=8).digest())
    found = []
    for row in (int(rows[n]) for n in order[:PAGES]):
        start = max(0, spans[row][0] - 60) if spans and row in spans else 0
        why = failed.column("failed")[row].as_py() if failed is not None else sample.verdicts["failed"][row].as_py()
        values = {name: sample.batch.column(name)[row].as_py() for name in signals}
        text = {"before": excerpts.mask(sample.before[row]), "after": excerpts.mask(sample.after[row][start:])}
        found.append({
            "id": sample.verdicts["id"][row].as_py(), "url": excerpts.mask(sample.urls[row]), "language": sample.verdicts["language"][row].as_py(),
            "was": bool(sample.verdicts["eligible"][row].as_py()), "now": None if after is None else bool(after[row]),
            "why": [entry["rule"] for entry in why], "told": values, "cut": start > 0,
            "before": text["before"] if sample.before[row] != sample.after[row] else None, "after": text["after"],
        })  # fmt: skip
    return found
