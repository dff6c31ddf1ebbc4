"""The gate's rules: which a language has, which a document breaks, every one of them with value and limit.

`rules_for` and `failed` say what a rule means, a document at a time; `judge` is the same for batches, without a loop over documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crawlmill.recipes.recipe import Gate

SELECTED = "language_selected"
"""The rule that a list `gate.languages` makes: value 1 for a language of the list, else 0."""

INVERSE = "inverse"
"""The rule that a list `gate.inverse` makes: of the rules in it, a document must break at least one."""

HOOK = "hook_proposal"
"""The rule that a document breaks where a hook proposes to drop it; `jobs/gate.py` adds it."""

OWN = "own"
"""Written in place of a limit: the rule's own limit, whatever the script of the language has."""

SCORE = "score."
"""What the signal that a scorer gives begins with: `score.NAME` is the value of NAME in the column `scores`."""

ANNOTATIONS = {
    "language_score": "score of the language by all opinions, 0..1",
    "model_score": "score of the language by the model alone, 0..1",
    "script_share": "share of letters in the text's script, 0..1",
}
"""What rules may read besides signals: columns of `languages`, all shares."""


@dataclass(frozen=True)
class GateRule:
    """A rule with the limit of one language; `op` min: the value must be at least the limit, max: at most.

    `severity` reject: a document that breaks it is not eligible; flag: that is written down, no more.
    """

    rule: str
    signal: str
    op: str
    limit: float
    severity: str = "reject"


@dataclass(frozen=True)
class FailedRule:
    """A broken rule; the fields of `verdicts.failed` and `verdicts.flagged`."""

    rule: str
    signal: str
    value: float
    op: str
    limit: float


def chain(language: str, script: str) -> tuple[str, ...]:
    """Where a language's limit is looked for, in this order, before the rule's own: `srp_Latn`, `srp`, `Latn`."""
    return (f"{language}_{script}", language, script) if script else (language,)


def turned(gate: Gate) -> frozenset[str]:
    """The rules that `gate.inverse` turns around, its patterns (`top_*`) written out."""
    return frozenset(name for name in gate.rules for pattern in gate.inverse if fnmatchcase(name, pattern))


def rules_for(gate: Gate, language: str, script: str = "") -> list[GateRule]:
    """The rules of a language (ISO 639-3) in a script (ISO 15924), in the recipe's order; a null limit switches a rule off."""
    labels, around, found = chain(language, script), turned(gate), []
    tables = [gate.limits[label] for label in labels if label in gate.limits]
    for name, rule in gate.rules.items():
        if rule.languages is not None and not set(labels) & set(rule.languages):
            continue
        limit = next((table[name] for table in tables if name in table), OWN)
        limit = rule.limit if limit == OWN else limit
        if limit is not None:
            severity = "flag" if name in around else rule.severity
            found.append(GateRule(name, rule.signal, rule.op, float(limit), severity))
    return found


def failed(rules: list[GateRule], values: Mapping[str, float | None]) -> list[FailedRule]:
    """Every rule that the values break, whatever its severity; a value that is null or absent breaks none."""
    broken = []
    for rule in rules:
        value = values.get(rule.signal)
        if value is not None and (value < rule.limit if rule.op == "min" else value > rule.limit):
            broken.append(FailedRule(rule.rule, rule.signal, float(value), rule.op, rule.limit))
    return broken


_BROKEN = pa.list_(
    pa.struct(
        [("rule", pa.string()), ("signal", pa.string()), ("value", pa.float64()), ("op", pa.string()), ("limit", pa.float64())]
    )
)


@dataclass(frozen=True)
class Hits:
    """Broken rules of a batch, an element each: row of the batch, index of the rule, value and limit."""

    row: NDArray[np.int64]
    rule: NDArray[np.int64]
    value: NDArray[np.float64]
    limit: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> Hits:
        """Some of them, by row and within a row in the recipe's order."""
        at = np.flatnonzero(chosen)
        at = at[np.lexsort((self.rule[at], self.row[at]))]
        return Hits(self.row[at], self.rule[at], self.value[at], self.limit[at])


def judge(gate: Gate) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function from rows with snapshot, shard, id, language, language_script, signals and annotations to rows of `verdicts`.

    Rows come out in the order they came in. A batch without `language_script` is judged by language alone.
    """
    from crawlmill.recipes.recipe import canonical_hash

    key = canonical_hash({"gate": gate.model_dump(mode="json")})
    find, around = finder(gate), turned(gate)
    names = [SELECTED, *gate.rules, INVERSE]
    signals = [SELECTED, *(rule.signal for rule in gate.rules.values()), "rules_broken"]
    ops = ["min", *(rule.op for rule in gate.rules.values()), "min"]
    labels = [pa.array(column) for column in (names, signals, ops)]
    turns = np.array([name in around for name in names])
    rejects = np.array([name not in gate.rules or gate.rules[name].severity == "reject" for name in names]) & ~turns

    def verdicts(batch: pa.RecordBatch) -> pa.RecordBatch:
        hits, rows = find(batch), batch.num_rows
        if gate.inverse:
            clean = np.setdiff1d(np.arange(rows), hits.row[turns[hits.rule]])
            hits = _joined([hits, _same(clean, len(names) - 1, 0.0, 1.0)])
        broken = hits.where(rejects[hits.rule])
        eligible = np.ones(rows, dtype=bool)
        eligible[broken.row] = False
        columns = {name: batch.column(name) for name in ("snapshot", "shard", "id", "language")}
        columns["language_script"] = pa.array(scripts(batch), pa.string())
        columns["eligible"] = pa.array(eligible)
        columns["failed"] = _listed(broken, rows, labels)
        columns["flagged"] = _listed(hits.where(~rejects[hits.rule]), rows, labels)
        columns["recipe_key"] = pa.array([key] * rows, pa.string())
        return pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    return verdicts


def finder(gate: Gate, only: frozenset[str] | None = None) -> Callable[[pa.RecordBatch], Hits]:
    """A function from a batch to its broken rules, all or `only` some; a rule's index is its place in the recipe plus one.

    Index 0 is `language_selected`. Of the batch it reads language, language_script and the columns that the rules name.
    """
    index = {name: place for place, name in enumerate(gate.rules, 1)}
    known: dict[tuple[str, str], list[GateRule]] = {}

    def find(batch: pa.RecordBatch) -> Hits:
        parts, columns = [_same(np.zeros(0, dtype=np.int64), 0, 0.0, 0.0)], {}
        for language, script, at in groups(batch):
            if gate.languages is not None and only is None and not set(chain(language, script)) & set(gate.languages):
                parts.append(_same(at, 0, 0.0, 1.0))
            if (language, script) not in known:
                known[language, script] = rules_for(gate, language, script)
            for rule in known[language, script]:
                if only is not None and rule.rule not in only:
                    continue
                if rule.signal not in columns:
                    columns[rule.signal] = batch.column(rule.signal).to_numpy(zero_copy_only=False).astype(np.float64)
                values = columns[rule.signal][at]
                hit = values < rule.limit if rule.op == "min" else values > rule.limit  # null is NaN, which breaks nothing
                if hit.any():
                    found = _same(at[hit], index[rule.rule], 0.0, rule.limit)
                    parts.append(Hits(found.row, found.rule, values[hit], found.limit))
        return _joined(parts)

    return find


def scripts(batch: pa.RecordBatch) -> list[str | None]:
    """The column `language_script`, nulls where the batch has none."""
    if "language_script" in batch.schema.names:
        found: list[str | None] = batch.column("language_script").to_pylist()
        return found
    return [None] * batch.num_rows


def groups(batch: pa.RecordBatch) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """(language, script, rows of the batch) for every pair of labels in it."""
    languages = pc.fill_null(batch.column("language"), "und")
    both = pc.binary_join_element_wise(
        languages, pc.fill_null(pa.array(scripts(batch), pa.string()), ""), "_"
    ).dictionary_encode()
    codes = both.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(both.dictionary)))
    for label, rows in zip(both.dictionary.to_pylist(), np.split(order, ends[:-1]), strict=False):
        language, _, script = label.partition("_")
        yield language, script, rows.astype(np.int64)


def _same(rows: NDArray[np.int64], rule: int, value: float, limit: float) -> Hits:
    size = len(rows)
    return Hits(rows, np.full(size, rule), np.full(size, value), np.full(size, limit))


def _joined(parts: list[Hits]) -> Hits:
    return Hits(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "rule", "value", "limit")))


def _listed(hits: Hits, rows: int, labels: list[Any]) -> Any:
    """The hits as a list per row."""
    rules, signals, ops = (column.take(pa.array(hits.rule)) for column in labels)
    entries = pa.StructArray.from_arrays(
        [rules, signals, pa.array(hits.value), ops, pa.array(hits.limit)], names=["rule", "signal", "value", "op", "limit"]
    )
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(hits.row, minlength=rows))))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), entries).cast(_BROKEN)
