"""Exact binned counts of signals, by language and script, on edges that hold the language's own limit.

Edges are `limit + k * width` over the middle 98 % of the values, or a plain grid and the limit where that lies outside. So the limit of today is
one of them, and of every other edge as a limit the counts tell the outcome exactly: a document passes `min` at an edge where its value is at or
above it, `max` where it is at or below.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crawlmill.explain import whatif
from crawlmill.recipes.recipe import Gate
from crawlmill.rows.lookup import dataset, part
from crawlmill.text import rules, signals

BINS = 40  # over the middle 98 % of a signal's values; what lies beyond is in the outer bins
LABELS = 100
EVERYBODY = "all"
Array = Any


@dataclass(frozen=True)
class Span:
    """Where the bins of a signal lie: the range of the middle of its values, and a bin's width."""

    low: float
    high: float
    width: float

    def edges(self, limit: float) -> tuple[Array, int]:
        """Edges of which one is the limit, and its place among them."""
        if self.low <= limit <= self.high:
            below, above = (int(np.ceil(side / self.width)) for side in (limit - self.low, self.high - limit))
            return limit + np.arange(-below, above + 1) * self.width, below
        grid = self.low + np.arange(int(np.ceil((self.high - self.low) / self.width)) + 1) * self.width
        if limit < self.low:
            return np.concatenate(([limit], grid)), 0
        grid = grid[grid < limit]
        return np.concatenate((grid, [limit])), len(grid)


@dataclass
class Rule:
    """A rule's counts for one label, a number for each place between edges.

    `alone`: documents that no other rule keeps out, which this one decides about; `others`: all the rest. `nothing`: documents of the first kind
    that no limit can keep out: they have no value, or their language does not have the rule.
    """

    span: Span
    limit: float
    edges: Array
    at: int  # the limit's place among the edges
    alone: Array
    others: Array
    nothing: int = 0

    def kept(self, op: str, edge: int) -> int:
        """Eligible documents with the limit at an edge."""
        return self.nothing + int(self.alone[edge + 1 :].sum() if op == "min" else self.alone[: edge + 1].sum())

    def as_json(self) -> dict[str, Any]:
        """Limit, its place, edges (the script adds up `g + i * w` as numpy does) and counts without the empty ends: `s` is the first's place."""
        seen = np.flatnonzero(self.alone + self.others)
        first, last = (int(seen[0]), int(seen[-1])) if len(seen) else (0, 0)
        inside = self.span.low <= self.limit <= self.span.high
        own = {"n": self.alone[first : last + 1].tolist(), "o": self.others[first : last + 1].tolist()}
        grid = {} if inside else {"g": self.span.low}
        return {
            "l": self.limit,
            "w": self.span.width,
            "a": self.at,
            "m": len(self.edges),
            "s": first,
            "z": self.nothing,
            **grid,
            **own,
        }


@dataclass
class Counts:
    """What one pass over a snapshot's verdicts and signals counts.

    Attributes:
        documents: by label (`deu_Latn`).
        eligible: the same, those that no rule keeps out.
        rules: label -> rule -> counts; the label `all` has every document at the rule's own limit.
        fires: rule -> documents that fail it; `sole`: that fail no other.
        pairs: (rule, rule) -> documents that fail both.
        plain: signal -> (edges, counts, without a value), all languages.
    """

    documents: Counter[str] = field(default_factory=Counter)
    eligible: Counter[str] = field(default_factory=Counter)
    rules: dict[str, dict[str, Rule]] = field(default_factory=dict)
    fires: Counter[str] = field(default_factory=Counter)
    sole: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    plain: dict[str, tuple[Array, Array, int]] = field(default_factory=dict)

    def labels(self) -> list[str]:
        """The labels that are shown, most documents first."""
        return [EVERYBODY, *(name for name, _ in self.documents.most_common(LABELS))]


def count(lake: str, snapshot: str, at: dict[str, int], gate: Gate) -> Counts:
    """One pass over a snapshot. Raises UserError where the stored verdicts follow another recipe than `gate`."""
    found, spans = Counts(), dict[str, Span]()
    columns = sorted({rule.signal for rule in gate.rules.values()})
    for shard, verdicts in whatif.shards(lake, snapshot, at["verdicts"], gate):
        batch = whatif.annotated(lake, snapshot, shard, at, verdicts, columns)
        values = {name: batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in columns}
        for name in columns:
            spans.setdefault(name, _span(values[name], name))
        broken = _broken(verdicts, list(gate.rules))
        _tally(found, broken, gate)
        _binned(found, batch, verdicts["eligible"].to_numpy(), values, broken, gate, spans)
        _plain(found, lake, snapshot, shard, at["signals"])
    return found


def _span(values: Array, name: str) -> Span:
    """From the first shard's values; bins of whole numbers for counts."""
    known = values[~np.isnan(values)]
    low, high = (float(edge) for edge in np.percentile(known, [1, 99])) if len(known) else (0.0, 1.0)
    width = (high - low) / BINS or 1.0
    unit = signals.SIGNALS[name].unit if name in signals.SIGNALS else "fraction"
    return Span(low, high, float(max(1, round(width))) if unit == "count" else float(f"{width:.1g}"))


def _broken(verdicts: Any, names: list[str]) -> tuple[Array, Array]:
    """(documents x rules: fails it; how many rules, also those that are no line of the recipe, each document fails)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = verdicts["failed"].combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy()
    at = pc.index_in(pc.struct_field(pc.list_flatten(lists), "rule"), value_set=pa.array(names, pa.string()))
    place = pc.fill_null(at, -1).to_numpy(zero_copy_only=False)
    fails = np.zeros((len(lists), len(names)), dtype=bool)
    fails[parents[place >= 0], place[place >= 0]] = True
    return fails, np.bincount(parents, minlength=len(lists))


def _tally(found: Counts, broken: tuple[Array, Array], gate: Gate) -> None:
    """Add a shard's documents to fires, sole and pairs."""
    names, (fails, many) = list(gate.rules), broken
    alone = fails[many == 1].sum(axis=0)
    together = fails.T.astype(np.int64) @ fails.astype(np.int64)
    for i, name in enumerate(names):
        if together[i, i]:
            found.fires[name] += int(together[i, i])
            found.sole[name] += int(alone[i])
        for j in np.flatnonzero(together[i]):
            if i != j:
                found.pairs[name, names[j]] += int(together[i, j])


def _binned(
    found: Counts,
    batch: Any,
    eligible: Array,
    values: dict[str, Array],
    broken: tuple[Array, Array],
    gate: Gate,
    spans: dict[str, Span],
) -> None:
    """Add a shard's documents to the labels' counts."""
    fails, many = broken
    index = {name: place for place, name in enumerate(gate.rules)}
    for language, script, rows in rules.groups(batch):
        label = f"{language}_{script}" if script else language
        found.documents[label] += len(rows)
        found.eligible[label] += int(eligible[rows].sum())
        known = {rule.rule: rule.limit for rule in rules.rules_for(gate, language, script)}
        for name, rule in gate.rules.items():
            decides, own = many[rows] - fails[rows, index[name]] == 0, values[rule.signal][rows]
            if name in known:
                _add(found.rules.setdefault(label, {}), name, rule.op, known[name], spans[rule.signal], own, decides)
            if rule.limit is not None:
                own = own if name in known else np.full(len(rows), np.nan)
                _add(found.rules.setdefault(EVERYBODY, {}), name, rule.op, float(rule.limit), spans[rule.signal], own, decides)


def _add(table: dict[str, Rule], name: str, op: str, limit: float, span: Span, values: Array, decides: Array) -> None:
    """Add values to a rule's counts; the place of a value is the number of edges at or below it (`min`), or below it (`max`)."""
    if name not in table:
        edges, at = span.edges(limit)
        alone, others = np.zeros((2, len(edges) + 1), dtype=np.int64)
        table[name] = Rule(span, limit, edges, at, alone, others)
    rule, known = table[name], ~np.isnan(values)
    place = np.searchsorted(rule.edges, values[known], side="right" if op == "min" else "left")
    rule.alone += np.bincount(place[decides[known]], minlength=len(rule.alone))
    rule.others += np.bincount(place[~decides[known]], minlength=len(rule.others))
    rule.nothing += int((decides & ~known).sum())


def _plain(found: Counts, lake: str, snapshot: str, shard: int, at: int) -> None:
    """Add a shard's signals to their histograms over all languages; edges come from the first shard that has values."""
    data = dataset(lake, "signals", at)
    rows = data.to_table(columns=[name for name in signals.SIGNALS if name in data.schema.names], filter=part(snapshot, shard))
    for name in rows.column_names:
        values = rows[name].to_numpy().astype(np.float64)
        known = values[~np.isnan(values)]
        if not len(known):
            continue
        if name not in found.plain:
            low, high = np.percentile(known, [1, 99])
            found.plain[name] = (np.linspace(low, high if high > low else low + 1, BINS + 1), np.zeros(BINS, dtype=np.int64), 0)
        edges, counts, absent = found.plain[name]
        binned, _ = np.histogram(np.clip(known, edges[0], edges[-1]), edges)
        found.plain[name] = (edges, counts + binned, absent + len(values) - len(known))
