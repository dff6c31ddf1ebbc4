"""What another limit would change, answered exactly from stored signals and verdicts: no text is read, no Spark is started.

A document is eligible after the change where none of its other failed rules stands in `verdicts` and none of the changed rules is broken by its
stored signals. The rules are evaluated by the gate's own function, shard by shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins
from crawlmill.rows.lookup import dataset, part
from crawlmill.text import overlap, rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crawlmill.recipes.recipe import Gate

Flags = Any  # a numpy array of bool, one for each document of a shard


@dataclass
class Line:
    """A language's counts of documents: all, eligible before and after, and how many change side."""

    language: str
    documents: int = 0
    before: int = 0
    after: int = 0
    enters: int = 0
    leaves: int = 0


@dataclass(frozen=True)
class Sample:
    """A document that changes side; `why` are the broken rules that decide it, with value and limit. Text is masked and cut."""

    side: str  # enters, leaves
    shard: int
    id: str
    language: str
    why: list[dict[str, Any]]
    url: str | None = None
    excerpt: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the change would do to a snapshot: a line per language, most documents first, and samples."""

    snapshot: str
    rules: list[str]
    lines: list[Line]
    samples: list[Sample] = field(default_factory=list)

    @property
    def total(self) -> Line:
        """The sum over all languages."""
        parts = ("documents", "before", "after", "enters", "leaves")
        return Line("all", *(sum(getattr(line, part) for line in self.lines) for part in parts))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "total": asdict(self.total)}


def changed(before: Gate, after: Gate) -> frozenset[str]:
    """The rules that differ in anything between two gates: comparison, limits, languages, severity, or which are turned around."""
    names = before.rules.keys() | after.rules.keys()

    def seen(gate: Gate, name: str) -> Any:
        limits = {label: table[name] for label, table in gate.limits.items() if name in table}
        return gate.rules.get(name), limits, name in rules.turned(gate)

    return frozenset(name for name in names if seen(before, name) != seen(after, name))


def compare(lake: str, snapshot: str, before: Gate, after: Gate, samples: int = 5) -> Answer:
    """What `after` in the place of `before` would change. Raises UserError where the stored verdicts are not those of `before`.

    Args:
        lake: folder of the tables.
        snapshot: one that has passed the gate.
        before: the gate that the stored verdicts follow.
        after: the gate to try.
        samples: at most so many documents for each side.
    """
    run = ledger.released(lake, "gate", snapshot)
    if run is None:
        raise UserError(f"{snapshot} has not passed the gate: run it first, or give another --snapshot")
    at = {table: version for (table, of), version in pins.of(run).items() if of == snapshot}
    names = changed(before, after)
    lines: dict[str, Line] = {}
    found: dict[str, list[Sample]] = {"enters": [], "leaves": []}
    for shard, verdicts in shards(lake, snapshot, at["verdicts"], before):
        batch = annotated(lake, snapshot, shard, at, verdicts, _signals(after, names, before))
        kept, now, hits = _sides(verdicts, batch, before, after, names)
        _count(lines, verdicts, kept, now)
        for side, moved in (("enters", ~kept & now), ("leaves", kept & ~now)):
            found[side] += _samples(side, shard, verdicts, moved, hits, names, after, samples)
    chosen = [sample for side in found.values() for sample in sorted(side, key=lambda sample: sample.id)[:samples]]
    ordered = sorted(lines.values(), key=lambda line: (-line.documents, line.language))
    return Answer(snapshot, sorted(names), ordered, _with_texts(lake, snapshot, at, chosen))


def shards(lake: str, snapshot: str, version: int, before: Gate) -> Iterator[tuple[int, pa.Table]]:
    """The stored verdicts, a shard at a time."""
    from deltalake import DeltaTable

    from crawlmill.recipes.recipe import canonical_hash

    parts = DeltaTable(f"{lake}/verdicts", version=version).partitions([("snapshot", "=", snapshot)])
    data, key = dataset(lake, "verdicts", version), canonical_hash({"gate": before.model_dump(mode="json")})
    columns = ["id", "language", "language_script", "eligible", "failed", "recipe_key"]
    for shard in sorted({int(found["shard"]) for found in parts}):
        verdicts = data.to_table(columns=columns, filter=part(snapshot, shard)).combine_chunks()
        if set(verdicts["recipe_key"].unique().to_pylist()) - {key}:
            raise UserError(
                f"the verdicts of {snapshot} follow another recipe: name it with --recipe, or run the gate with this one"
            )
        yield shard, verdicts


def _signals(after: Gate, names: frozenset[str], before: Gate) -> list[str]:
    """The columns that have to be read."""
    wanted = after.rules.values() if _whole(before, after) else [rule for name, rule in after.rules.items() if name in names]
    return sorted({rule.signal for rule in wanted})


def _whole(before: Gate, after: Gate) -> bool:
    """Whether every rule counts again: a list of languages or of inverse rules says something about all."""
    return before.languages != after.languages or bool(before.inverse or after.inverse)


def annotated(lake: str, snapshot: str, shard: int, at: dict[str, int], verdicts: pa.Table, wanted: list[str]) -> pa.RecordBatch:
    """The wanted columns of a shard's documents, in the order of their verdicts."""
    columns = {name: verdicts[name] for name in ("language", "language_script")}
    columns |= _overlaps(lake, snapshot, shard, at, verdicts["id"], [name for name in wanted if name in overlap.ANNOTATIONS])
    measured = [name for name in wanted if name not in rules.ANNOTATIONS and name not in overlap.ANNOTATIONS]
    for table, own in (("signals", measured), ("languages", list(rules.ANNOTATIONS))):
        names = [name for name in own if name in wanted]
        if names:
            read = dict.fromkeys("scores" if name.startswith(rules.SCORE) else name for name in names)
            rows = dataset(lake, table, at[table]).to_table(columns=["id", *read], filter=part(snapshot, shard))
            for name in names:
                if name.startswith(rules.SCORE):
                    told = pc.map_lookup(rows["scores"], name.removeprefix(rules.SCORE), "first")
                    rows = rows.append_column(name, told)
            place = pc.index_in(verdicts["id"], value_set=rows["id"].combine_chunks())
            if place.null_count:
                raise UserError(f"{table} of {snapshot} lack documents that have verdicts: run the stages again")
            columns |= {name: rows[name].take(place) for name in names}
    batch = pa.table({**columns, **dict.fromkeys(("id", "snapshot", "shard"), verdicts["id"])}).combine_chunks()
    found: pa.RecordBatch = batch.to_batches()[0] if batch.num_rows else pa.RecordBatch.from_pylist([], schema=batch.schema)
    return found


def _overlaps(lake: str, snapshot: str, shard: int, at: dict[str, int], ids: Any, wanted: list[str]) -> dict[str, Any]:
    """What documents share with reference sets, as the gate reads it: the greatest value over the sets of a kind, 0 for none."""
    if not wanted:
        return {}
    if "contamination" not in at:
        raise UserError(
            f"measure of {snapshot} looked for no reference set, and {wanted[0]} is of one: name sets under measure.references"
        )
    named = ["id", "kind", *sorted({overlap.ANNOTATIONS[name].column for name in wanted})]
    rows = dataset(lake, "contamination", at["contamination"]).to_table(columns=named, filter=part(snapshot, shard))
    found = {}
    for name in wanted:
        of = overlap.ANNOTATIONS[name]
        greatest = rows.filter(pc.equal(rows["kind"], of.kind)).group_by("id").aggregate([(of.column, "max")]).combine_chunks()
        place = pc.index_in(ids, value_set=greatest["id"].combine_chunks())
        found[name] = pc.fill_null(greatest[f"{of.column}_max"].take(place).cast(pa.float64()), 0.0)
    return found


def _sides(
    verdicts: pa.Table, batch: pa.RecordBatch, before: Gate, after: Gate, names: frozenset[str]
) -> tuple[Flags, Flags, rules.Hits]:
    """(eligible before, eligible after, the broken rules among the changed ones) of a shard's documents."""
    kept = verdicts["eligible"].to_numpy()
    hits = rules.finder(after, names)(batch)
    if _whole(before, after):
        judged = rules.judge(after)(batch).column("eligible").to_numpy(zero_copy_only=False)
        return kept, judged & ~_failed(verdicts, {rules.HOOK}, inside=True), hits
    order = list(after.rules)
    rejecting = np.array([after.rules[order[rule - 1]].severity == "reject" for rule in hits.rule], dtype=bool)
    now = ~_failed(verdicts, names, inside=False)
    now[hits.row[rejecting]] = False
    return kept, now, hits


def _failed(verdicts: pa.Table, names: frozenset[str] | set[str], inside: bool) -> Flags:
    """For each document whether it failed a rule inside (or outside) of these."""
    lists = verdicts["failed"].combine_chunks()
    among = pc.is_in(pc.struct_field(pc.list_flatten(lists), "rule"), value_set=pa.array(sorted(names), pa.string()))
    chosen = among.to_numpy(zero_copy_only=False) == inside
    found = np.zeros(len(lists), dtype=bool)
    found[pc.list_parent_indices(lists).to_numpy()[chosen]] = True
    return found


def _count(lines: dict[str, Line], verdicts: pa.Table, kept: NDArray[np.bool_], now: NDArray[np.bool_]) -> None:
    """Add a shard's documents to the languages' lines."""
    coded = verdicts["language"].combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy()
    for code, language in enumerate(coded.dictionary.to_pylist()):
        own = codes == code
        line = lines.setdefault(language, Line(language))
        for name, flags in (("before", kept), ("after", now), ("enters", ~kept & now), ("leaves", kept & ~now)):
            setattr(line, name, getattr(line, name) + int(np.count_nonzero(flags & own)))
        line.documents += int(np.count_nonzero(own))


def _samples(
    side: str, shard: int, verdicts: pa.Table, moved: Flags, hits: rules.Hits, names: frozenset[str], after: Gate, most: int
) -> list[Sample]:
    """The documents with the smallest ids among those that moved: ids are random, so this is a sample, and always the same."""
    rows = np.flatnonzero(moved)
    ids = verdicts["id"].take(pa.array(rows)).to_pylist()
    order = list(after.rules)
    found = []
    for position in sorted(range(len(ids)), key=ids.__getitem__)[:most]:
        row = int(rows[position])
        if side == "enters":
            why = [
                entry
                for entry in verdicts["failed"][row].as_py()
                if entry["rule"] in names or entry["rule"] in (rules.SELECTED, rules.INVERSE)
            ]
        else:
            own = np.flatnonzero(hits.row == row)
            why = [_reason(after, order[hits.rule[n] - 1], float(hits.value[n]), float(hits.limit[n])) for n in own]
        found.append(Sample(side, shard, ids[position], verdicts["language"][row].as_py(), why))
    return found


def _reason(gate: Gate, name: str, value: float, limit: float) -> dict[str, Any]:
    return {"rule": name, "signal": gate.rules[name].signal, "value": value, "op": gate.rules[name].op, "limit": limit}


def _with_texts(lake: str, snapshot: str, at: dict[str, int], samples: list[Sample]) -> list[Sample]:
    """The samples with URL and the beginning of the text."""
    from crawlmill.explain import excerpts

    found = excerpts.read(lake, snapshot, at, {(sample.shard, sample.id) for sample in samples})
    return [Sample(**{**vars(sample), **found.get((sample.shard, sample.id), {})}) for sample in samples]
