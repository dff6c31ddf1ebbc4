"""What a snapshot's report says, as plain values: gathered from the ledger and the tables at the versions that passed. No Spark."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import crawlmill
from crawlmill.dedup import cluster_stats
from crawlmill.errors import UserError
from crawlmill.explain import funnel, recycle_report, sampling
from crawlmill.lake import ledger, pins
from crawlmill.recipes.defined_at import Rulebook
from crawlmill.report import cost, histograms
from crawlmill.rows.lookup import Reader, dataset, part
from crawlmill.text import signals

TOP = 10
OVERLAP = 14  # rules in the table of overlaps
SAMPLES = {"gate": 12, "dedup": 6, "publish": 6, "rewrite": 4, "extract": 5}


def gather(lake: str, snapshot: str, book: Rulebook, rates: cost.Rates | None = None) -> dict[str, Any]:
    """Everything that the report shows. Raises UserError for a snapshot that has not passed the gate.

    `rates`: cores and their price, of what stages cost; none: those of the environment.

    Sliders and histograms need the recipe that judged: with another one, `sliders_missing` says so and they are left out.
    """
    at = pins.newest(lake, snapshot)
    if "verdicts" not in at:
        raise UserError(f"{snapshot} has not passed the gate: run it first, or give another snapshot")
    before = [name for name in ledger.released_snapshots(lake, "gate") if name < snapshot]
    now, then = funnel.of(lake, snapshot), funnel.of(lake, before[-1]) if before else None
    assert now is not None
    found: dict[str, Any] = {"snapshot": snapshot, "previous": then.snapshot if then else None, "version": crawlmill.__version__}
    found |= {"funnel": _steps(now), "rejects": now.rejects, "published": now.published, "languages": _languages(now, then)}
    found["recycled"] = recycle_report.lines(now.recycled) if now.recycled else []
    found |= _counts(lake, snapshot, at, book)
    found |= {"clusters": _clusters(lake), "domains": _domains(lake, snapshot, at), "samples": _samples(lake, snapshot, book)}
    stages = _stages(lake, snapshot)
    return found | {
        "stages": stages,
        "spent": cost.priced(stages, rates or cost.rates(), sum(line.documents for line in now.lines)),
        "expectations": _expectations(lake, snapshot),
        "at": dict(sorted(at.items())),
        "recipe_key": book.key,
    }


def _steps(now: funnel.Funnel) -> list[dict[str, Any]]:
    """The funnel: what is left after each stage."""
    eligible, kept = (sum(getattr(line, name) for line in now.lines) for name in ("eligible", "kept"))
    steps = [
        ("responses of the crawl", now.responses),
        ("documents with text", now.documents),
        ("eligible by the gate", eligible),
    ]
    steps += [("kept after dedup", kept)] if now.published else []
    return [{"name": name, "n": n, "share": n / now.responses if now.responses else 0.0} for name, n in steps]


def _languages(now: funnel.Funnel, then: funnel.Funnel | None) -> list[dict[str, Any]]:
    """A row a language, most documents first, with the change of its shares to the previous snapshot in percentage points."""
    older = {line.language: line for line in then.lines} if then else {}
    all_now, all_then = (sum(line.documents for line in one.lines) if one else 0 for one in (now, then))
    rows = []
    for line in now.lines:
        was = older.get(line.language)
        row = {
            **asdict(line),
            "share": line.documents / all_now,
            "rate": line.eligible / line.documents,
            "change": None,
            "rate_change": None,
        }
        if was and all_then:
            row["change"] = 100 * (row["share"] - was.documents / all_then)
            row["rate_change"] = 100 * (row["rate"] - was.eligible / was.documents)
        rows.append(row)
    return rows


def _counts(lake: str, snapshot: str, at: dict[str, int], book: Rulebook) -> dict[str, Any]:
    """Rules with sliders, fire rates, overlaps, and histograms of all signals."""
    try:
        counts = histograms.count(lake, snapshot, at, book.gate)
    except UserError as error:
        return {"rules": [], "sliders": {}, "labels": [], "signals": [], "overlap": None, "sliders_missing": str(error)}
    total, gate = sum(counts.documents.values()), book.gate
    labels = [name for name in counts.labels() if name in counts.rules]
    told = [
        {"name": name, "signal": rule.signal, "op": rule.op, "limit": rule.limit, "severity": rule.severity,
         "meaning": _meaning(rule.signal), "defined": book.source.place(("gate", "rules", name)).rpartition("/")[2],
         "fires": counts.fires[name], "sole": counts.sole[name], "rate": counts.fires[name] / total if total else 0.0}
        for name, rule in gate.rules.items()
    ]  # fmt: skip
    sliders = {label: {name: rule.as_json() for name, rule in counts.rules[label].items()} for label in labels}
    plain = [
        {
            "name": name,
            "meaning": _meaning(name),
            "low": float(edges[0]),
            "high": float(edges[-1]),
            "n": n.tolist(),
            "nulls": nulls,
        }
        for name, (edges, n, nulls) in counts.plain.items()
    ]
    sizes = {
        label: {"documents": counts.documents[label], "eligible": counts.eligible[label]}
        for label in labels
        if label != histograms.EVERYBODY
    }
    sizes[histograms.EVERYBODY] = {"documents": total, "eligible": sum(counts.eligible.values())}
    return {"rules": told, "sliders": sliders, "labels": labels, "sizes": sizes, "signals": plain, "overlap": _overlap(counts),
            "sliders_missing": None}  # fmt: skip


def _meaning(signal: str) -> str:
    from crawlmill.text import rules

    known = signals.SIGNALS.get(signal)
    return known.description if known else rules.ANNOTATIONS.get(signal, "")


def _overlap(counts: histograms.Counts) -> dict[str, Any]:
    """Of the documents that fail a rule (row), the share that fails another one (column) too; the rules that fire most."""
    names = [name for name, _ in counts.fires.most_common(OVERLAP)]
    cells = [[1.0 if a == b else counts.pairs[a, b] / counts.fires[a] for b in names] for a in names]
    return {"names": names, "cells": cells}


def _clusters(lake: str) -> dict[str, Any] | None:
    """Clusters by size, and the largest ones; None where dedup has not passed. Over all snapshots of the lake."""
    run = ledger.released(lake, "dedup", pins.EVERY)
    if run is None:
        return None
    members: Counter[str] = Counter()
    for batch in dataset(lake, "clusters", run.output("clusters")).to_batches(columns=["survivor_id"]):
        members.update(batch.column(0).to_pylist())
    counts = [[0, 0] for _ in cluster_stats.CLASSES]
    for size in members.values():
        place = max(n for n, (first, _) in enumerate(cluster_stats.CLASSES) if size >= first)
        counts[place][0] += 1
        counts[place][1] += size
    classes = [
        {"size": name, "clusters": clusters, "documents": documents}
        for (_, name), (clusters, documents) in zip(cluster_stats.CLASSES, counts, strict=True)
    ]
    largest = sorted(((size, identity) for identity, size in members.items() if size > 1), key=lambda one: (-one[0], one[1]))[
        :TOP
    ]
    texts = sampling.stays(Reader(lake), {identity for _, identity in largest})
    top = [{"size": size, "id": identity, **texts.get(identity, {})} for size, identity in largest]
    return {"classes": classes, "top": top, "version": run.output("clusters")}


def _domains(lake: str, snapshot: str, at: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """The domains with most documents that are not in the corpus (before it is published: not eligible), and with most that are."""
    run = ledger.released(lake, "publish", pins.EVERY)
    published = run is not None and pins.of(run).get(("verdicts", snapshot)) == at["verdicts"]
    counts: dict[str, list[int]] = {}
    for shard in sorted({row["shard"] for row in _shards(lake, snapshot, at)}):
        where = part(snapshot, shard)
        if run and published:
            kept = set(dataset(lake, "corpus", run.output("corpus")).to_table(columns=["id"], filter=where)["id"].to_pylist())
        else:
            rows = dataset(lake, "verdicts", at["verdicts"]).to_table(columns=["id", "eligible"], filter=where).to_pylist()
            kept = {row["id"] for row in rows if row["eligible"]}
        held = dataset(lake, "documents", at["documents"]).to_table(columns=["id", "domain", "host"], filter=where)
        for row in held.to_pylist():
            counts.setdefault(row["domain"] or row["host"] or "(none)", [0, 0])[row["id"] in kept] += 1
    rows = [{"domain": name, "removed": gone, "kept": kept} for name, (gone, kept) in counts.items()]
    by = {side: sorted(rows, key=lambda row: (-row[side], row["domain"]))[:TOP] for side in ("removed", "kept")}
    return {side: [row for row in top if row[side]] for side, top in by.items()}


def _shards(lake: str, snapshot: str, at: dict[str, int]) -> list[dict[str, Any]]:
    from deltalake import DeltaTable

    found = DeltaTable(f"{lake}/documents", version=at["documents"]).partitions([("snapshot", "=", snapshot)])
    return [{"shard": int(row["shard"])} for row in found]


def _samples(lake: str, snapshot: str, book: Rulebook) -> dict[str, list[dict[str, Any]]]:
    """A few pages of each decision."""
    found = {}
    for stage, n in SAMPLES.items():
        try:
            drawn = sampling.draw(lake, snapshot, sampling.Wanted(stage, n=n), book.gate)
        except UserError:  # dedup or publish are still to come
            drawn = []
        found[stage] = [one.as_json() for one in drawn]
    return found


def _stages(lake: str, snapshot: str) -> list[dict[str, Any]]:
    """The run in force of each stage: what it read and wrote, how fast, on which key."""
    latest = {
        run.stage: run for run in ledger.runs(lake) if run.snapshot in (snapshot, pins.EVERY) and run.verdict in ledger.RELEASED
    }
    rows = []
    for run in latest.values():
        read, written = (sum(count[side] for count in run.counts) for side in ("read", "written"))
        rows.append({
            "stage": run.stage, "snapshot": run.snapshot, "verdict": run.verdict, "seconds": run.seconds, "read": read, "written": written,
            "per_second": written / run.seconds if run.seconds else 0.0, "megabytes": run.bytes / 1e6, "key": run.stage_key,
            "code": run.code_version, "run": run.run_id, "finished": str(run.finished_at)[:19],
            "versions": {entry["table"]: entry["version"] for entry in run.outputs},
        })  # fmt: skip
    return rows


def _expectations(lake: str, snapshot: str) -> list[dict[str, Any]]:
    """Results of the runs in force, failures first; the answer where a person gave one."""
    latest = {(run.stage, run.snapshot): run.run_id for run in ledger.runs(lake) if run.verdict in ledger.RELEASED}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in ledger.quality(lake):
        if row["snapshot"] in (snapshot, pins.EVERY) and latest.get((row["stage"], row["snapshot"])) == row["run_id"]:
            found[row["table"], row["expectation"], row["column"]] = row
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found.values(), key=lambda row: (row["success"], order[row["severity"]], row["table"], row["expectation"]))
