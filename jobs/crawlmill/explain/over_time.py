"""Every snapshot's funnel, one beside the other: what came in, what the gate let pass, what is kept, by language. No Spark."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from crawlmill.explain import funnel
from crawlmill.lake import ledger, pins

LANGUAGES = 60
Point = dict[str, Any]


def gather(lake: str) -> dict[str, Any]:
    """Rows of snapshots, oldest first, and of languages, most documents first.

    Returns:
        `snapshots`: snapshot, responses, documents, eligible, kept (None before it is published), rates, open warnings;
        `languages`: language, documents over all snapshots, and a point a snapshot (documents, rate of eligible ones, kept) or None.
    """
    found = [one for name, state in _states(lake).items() if (one := _of(lake, name, state))]
    waiting: dict[str, int] = {}
    for row in ledger.open_warnings(lake):
        waiting[row["snapshot"]] = waiting.get(row["snapshot"], 0) + 1
    return {"snapshots": [_snapshot(one, waiting.get(one.snapshot, 0)) for one in found], "languages": _languages(found)}


def _states(lake: str) -> dict[str, tuple[object, ...]]:
    """Of each snapshot that has passed extract, in order, what its funnel rests on: the last released run of each of its stages, and of publish."""
    latest = {(run.snapshot, run.stage): (run.run_id, run.fence) for run in ledger.runs(lake) if run.verdict in ledger.RELEASED}
    names = sorted(snapshot for snapshot, stage in latest if stage == "extract")
    published = latest.get((pins.EVERY, "publish"))
    return {name: (published, *sorted((stage, run) for (of, stage), run in latest.items() if of == name)) for name in names}


@lru_cache(maxsize=512)
def _of(lake: str, snapshot: str, state: tuple[object, ...]) -> funnel.Funnel | None:
    """A funnel; counted again only where what it rests on has changed: while one snapshot is being ingested, the others stand."""
    return funnel.of(lake, snapshot)


def _snapshot(one: funnel.Funnel, warnings: int) -> Point:
    eligible, kept = (sum(getattr(line, name) for line in one.lines) for name in ("eligible", "kept"))
    return {
        "snapshot": one.snapshot, "responses": one.responses, "documents": one.documents, "eligible": eligible,
        "kept": kept if one.published else None, "warnings": warnings, "rejects": sum(one.rejects.values()),
        "rate": eligible / one.documents if one.documents else 0.0,
        "kept_rate": kept / one.documents if one.documents and one.published else None,
    }  # fmt: skip


def _languages(found: list[funnel.Funnel]) -> list[dict[str, Any]]:
    names: dict[str, int] = {}
    for one in found:
        for line in one.lines:
            names[line.language] = names.get(line.language, 0) + line.documents
    ordered = sorted(names.items(), key=lambda kv: (-kv[1], kv[0]))[:LANGUAGES]
    tables = [{line.language: line for line in one.lines} for one in found]
    return [
        {"language": name, "documents": n,
         "points": [_point(one, table.get(name)) for one, table in zip(found, tables, strict=True)]}
        for name, n in ordered
    ]  # fmt: skip


def _point(one: funnel.Funnel, line: funnel.Line | None) -> Point | None:
    if line is None or not line.documents:
        return None
    kept = line.kept / line.documents if one.published else None
    return {"snapshot": one.snapshot, "documents": line.documents, "rate": line.eligible / line.documents, "kept_rate": kept}


def runs_of(lake: str, stage: str, attempt: str, snapshot: str) -> list[ledger.RunRow]:
    """The ledger's runs that a task made, by the beginning of their ids; where it found all up to date, the run in force."""
    own = [run for run in ledger.runs(lake, stage) if run.run_id.startswith(attempt)]
    if own:
        return own
    held = ledger.released(lake, stage, snapshot) or ledger.released(lake, stage, pins.EVERY)
    return [held] if held else []
