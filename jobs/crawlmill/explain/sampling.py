"""Repeatable stratified samples of what the stages decided, with texts before and after. Read without Spark, a shard at a time.

A sample is the documents whose id, hashed with a seed, comes first: the same lake and seed give the same sample, another seed another one, and
a larger `n` keeps what a smaller one showed.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from crawlmill.errors import UserError
from crawlmill.explain import excerpts
from crawlmill.lake import ledger, pins
from crawlmill.recipes.recipe import Gate
from crawlmill.rows.lookup import Reader, dataset, part
from crawlmill.text import rules

STAGES = ("extract", "rewrite", "gate", "dedup", "publish")
Key = tuple[int, str]  # shard, id


@dataclass
class Sample:
    """A page of a sample.

    Attributes:
        stratum: reject reason (extract), rule or language (gate), kind (dedup), language (rewrite, publish).
        why: for the gate every failed rule, for dedup similarity and the document that stays, for extract the message.
        before, after: beginnings of the texts: extracted and after hooks; for dedup the document's and that of the one that stays.
    """

    stratum: str
    snapshot: str
    shard: int
    id: str | None
    url: str | None = None
    language: str | None = None
    why: list[dict[str, Any]] = field(default_factory=list)
    before: str | None = None
    after: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Wanted:
    """What to sample; `near` asks for the documents on both sides of the rule's limit that are nearest to it."""

    stage: str = "gate"
    rule: str | None = None
    language: str | None = None
    near: bool = False
    n: int = 10
    seed: int = 0


def draw(lake: str, snapshot: str, wanted: Wanted, gate: Gate) -> list[Sample]:
    """A sample of a snapshot, strata in turn. Raises UserError for a stage that has not passed and for a rule that does not exist."""
    at = pins.newest(lake, snapshot)
    if wanted.stage not in STAGES:
        raise UserError(f"nothing can be sampled of stage {wanted.stage!r}; the stages are {', '.join(STAGES)}")
    if wanted.rule and wanted.rule not in {*gate.rules, rules.SELECTED, rules.INVERSE, rules.HOOK}:
        from crawlmill.recipes.recipe_file import suggestion

        raise UserError(f"the recipe has no rule {wanted.rule!r}{suggestion(wanted.rule, gate.rules)}")
    if wanted.near and not (wanted.rule in gate.rules and wanted.stage == "gate"):
        raise UserError("--near-threshold needs --stage gate and a --rule with a limit")
    if (wanted.rule and wanted.stage != "gate") or (wanted.language and wanted.stage == "extract"):
        raise UserError("--rule goes with --stage gate, and rejects of extract have no --language yet")
    found = {"extract": _rejects, "rewrite": _rewritten, "gate": _judged, "dedup": _duplicates, "publish": _kept}
    reader = Reader(lake)
    candidates = _near(reader, snapshot, at, wanted, gate) if wanted.near else found[wanted.stage](reader, snapshot, at, wanted)
    return _with_texts(reader, snapshot, at, _in_turn(candidates, wanted))


def _in_turn(candidates: Iterator[tuple[Any, Sample]], wanted: Wanted) -> list[Sample]:
    """At most n, one of each stratum after the other, each stratum in its own order; no more than n a stratum are held."""
    strata: dict[str, list[tuple[Any, str, Sample]]] = {}
    for order, sample in candidates:
        held = strata.setdefault(sample.stratum, [])
        held.append((order, f"{sample.shard} {sample.id} {sample.url}", sample))
        if len(held) > 4 * wanted.n + 100:
            strata[sample.stratum] = heapq.nsmallest(wanted.n, held, key=lambda entry: entry[:2])
    ordered = [sorted(held, key=lambda entry: entry[:2]) for _, held in sorted(strata.items())]
    turns = [held[turn][2] for turn in range(wanted.n) for held in ordered if turn < len(held)]
    return turns[: wanted.n]


def _order(wanted: Wanted, name: object) -> bytes:
    return hashlib.blake2b(f"{wanted.seed} {name}".encode("utf-8", "replace"), digest_size=8).digest()


def _pinned(at: dict[str, int], table: str, snapshot: str) -> int:
    if table not in at:
        raise UserError(f"{snapshot} has no {table} that passed: run {pins.WRITTEN_BY[table]} first")
    return at[table]


def _rows(reader: Reader, table: str, at: int, snapshot: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in dataset(reader.lake, table, at).to_batches(columns=columns, filter=part(snapshot)):
        yield from batch.to_pylist()


def _rejects(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted) -> Iterator[tuple[Any, Sample]]:
    columns = ["shard", "stage", "file_path", "offset", "id", "url", "reason", "message"]
    for row in _rows(reader, "rejects", _pinned(at, "rejects", snapshot), snapshot, columns):
        url = excerpts.mask(row["url"]) if row["url"] else None
        why = [{"reason": row["reason"], "message": row["message"], "file_path": row["file_path"], "offset": row["offset"]}]
        yield (
            _order(wanted, f"{row['file_path']} {row['offset']}"),
            Sample(row["reason"], snapshot, row["shard"], row["id"], url, None, why),
        )


def _judged(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted) -> Iterator[tuple[Any, Sample]]:
    """Documents that fail; with a rule those that fail it by language, else by the first rule that each fails."""
    version = _pinned(at, "verdicts", snapshot)
    for row in _rows(reader, "verdicts", version, snapshot, ["shard", "id", "language", "failed"]):
        names = [rule["rule"] for rule in row["failed"]]
        if names and wanted.language in (None, row["language"]) and (wanted.rule is None or wanted.rule in names):
            stratum = row["language"] if wanted.rule else names[0]
            yield (
                _order(wanted, row["id"]),
                Sample(stratum, snapshot, row["shard"], row["id"], None, row["language"], row["failed"]),
            )


def _near(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted, gate: Gate) -> Iterator[tuple[Any, Sample]]:
    """Documents by the distance of their value to their language's limit: strata are `passes` and `fails`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rule = gate.rules[str(wanted.rule)]
    table = "languages" if rule.signal in rules.ANNOTATIONS else "signals"
    labels = dataset(reader.lake, "languages", _pinned(at, "languages", snapshot))
    values = dataset(reader.lake, table, _pinned(at, table, snapshot))
    for shard in sorted({row["shard"] for row in _rows(reader, "languages", at["languages"], snapshot, ["shard"])}):
        own = labels.to_table(columns=["id", "language", "language_script"], filter=part(snapshot, shard))
        read = values.to_table(columns=["id", rule.signal], filter=part(snapshot, shard))
        place = pc.index_in(own["id"].cast(pa.string()), value_set=read["id"].cast(pa.string()).combine_chunks())
        for row, value in zip(own.to_pylist(), read[rule.signal].take(place).to_pylist(), strict=True):
            known = rules.rules_for(gate, row["language"], row["language_script"] or "")
            mine = next((one for one in known if one.rule == wanted.rule), None)
            if value is None or mine is None or wanted.language not in (None, row["language"]):
                continue
            side = "fails" if rules.failed([mine], {rule.signal: value}) else "passes"
            why = [{"rule": mine.rule, "signal": mine.signal, "value": value, "op": mine.op, "limit": mine.limit}]
            distance = abs(value - mine.limit) / (abs(mine.limit) or 1.0)
            yield (distance, _order(wanted, row["id"])), Sample(side, snapshot, shard, row["id"], None, row["language"], why)


def _rewritten(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted) -> Iterator[tuple[Any, Sample]]:
    changed = {(row["shard"], row["id"]): row["hooks"] for row in _rows(
        reader, "rewrites", _pinned(at, "rewrites", snapshot), snapshot, ["shard", "id", "hooks"])}  # fmt: skip
    for row in _rows(reader, "languages", _pinned(at, "languages", snapshot), snapshot, ["shard", "id", "language"]):
        hooks = changed.get((row["shard"], row["id"]))
        if hooks is not None and wanted.language in (None, row["language"]):
            why = [{"hook": hook} for hook in hooks]
            yield (
                _order(wanted, row["id"]),
                Sample(row["language"], snapshot, row["shard"], row["id"], None, row["language"], why),
            )


def _duplicates(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted) -> Iterator[tuple[Any, Sample]]:
    run = ledger.released(reader.lake, "dedup", pins.EVERY)
    if run is None:
        raise UserError("dedup has not passed: run it first")
    languages = _languages(reader, snapshot, at)
    columns = ["shard", "id", "survivor_id", "kind", "similarity"]
    for row in _rows(reader, "clusters", run.output("clusters"), snapshot, columns):
        language = languages.get((row["shard"], row["id"]))
        if row["kind"] != "survivor" and wanted.language in (None, language):
            why = [{"similarity": row["similarity"], "survivor_id": row["survivor_id"]}]
            yield _order(wanted, row["id"]), Sample(row["kind"], snapshot, row["shard"], row["id"], None, language, why)


def _kept(reader: Reader, snapshot: str, at: dict[str, int], wanted: Wanted) -> Iterator[tuple[Any, Sample]]:
    run = ledger.released(reader.lake, "publish", pins.EVERY)
    if run is None:
        raise UserError("nothing is published: run dedup and publish first")
    for row in _rows(reader, "corpus", run.output("corpus"), snapshot, ["shard", "id", "language"]):
        if wanted.language in (None, row["language"]):
            yield _order(wanted, row["id"]), Sample(row["language"], snapshot, row["shard"], row["id"], None, row["language"])


def _languages(reader: Reader, snapshot: str, at: dict[str, int]) -> dict[Key, str]:
    rows = _rows(reader, "languages", _pinned(at, "languages", snapshot), snapshot, ["shard", "id", "language"])
    return {(row["shard"], row["id"]): row["language"] for row in rows}


def _with_texts(reader: Reader, snapshot: str, at: dict[str, int], samples: list[Sample]) -> list[Sample]:
    """URLs and beginnings of texts, those of staying documents included; only the row groups that hold one are read."""
    wanted: dict[int, set[str]] = {}
    for sample in samples:
        if sample.id and not (sample.why and "reason" in sample.why[0]):
            wanted.setdefault(sample.shard, set()).add(sample.id)
    texts = {key: row for shard, ids in wanted.items() for key, row in _texts(reader, snapshot, shard, ids, at).items()}
    others = stays(reader, {why["survivor_id"] for sample in samples for why in sample.why if "survivor_id" in why})
    for sample in samples:
        found = texts.get((sample.shard, str(sample.id)), {})
        sample.url, sample.before = found.get("url", sample.url), found.get("before")
        sample.after = found.get("after")
        for why in sample.why:
            if (other := others.get(why.get("survivor_id", ""))) is not None:
                why["survivor_url"], sample.after = other["url"], other.get("after") or other["before"]
    return samples


def _texts(reader: Reader, snapshot: str, shard: int, ids: set[str], at: dict[str, int]) -> dict[Key, dict[str, str]]:
    found: dict[Key, dict[str, str]] = {}
    for row in reader.by_id("documents", at["documents"], snapshot, shard, ids, ["id", "url", "text"]):
        found[shard, row["id"]] = {"url": excerpts.mask(row["url"]), "before": excerpts.mask(row["text"])}
    if "rewrites" in at:
        for row in reader.by_id("rewrites", at["rewrites"], snapshot, shard, ids, ["id", "text"]):
            found[shard, row["id"]]["after"] = excerpts.mask(row["text"])
    return found


def stays(reader: Reader, ids: set[str]) -> dict[str, dict[str, str]]:
    """The texts of staying documents by id; their places are in `clusters`."""
    import pyarrow.dataset as ds

    run = ledger.released(reader.lake, "dedup", pins.EVERY)
    if not ids or run is None:
        return {}
    own = ds.field("id").isin(sorted(ids)) & (ds.field("kind") == "survivor")
    pinned, found = pins.of(run), dict[str, dict[str, str]]()
    for row in reader.rows("clusters", run.output("clusters"), own, ["snapshot", "shard", "id"]):
        at = {table: version for (table, snapshot), version in pinned.items() if snapshot == row["snapshot"]}
        texts = _texts(reader, row["snapshot"], row["shard"], {row["id"]}, at)
        found |= {identity: text for (_, identity), text in texts.items()}
    return found
