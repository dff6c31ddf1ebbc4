"""Comparisons that no expectation on rows can make: rules that never or nearly always fire, labels outside their vocabulary, and what has
changed since the nearest older snapshot that passed.

They stand in the contracts beside the expectations (engine `crawlmill`), with the same severities, and their results are rows of `quality`.
What one of them saw is kept there, so that a later snapshot is compared with it without reading the older one's rows again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawlmill.contracts import facts
from crawlmill.contracts.audit import ExpectationResult
from crawlmill.contracts.facts import Facts, Label
from crawlmill.lake import ledger
from crawlmill.text import rules
from crawlmill.text.language import identifier

if TYPE_CHECKING:
    from crawlmill.contracts.contract import Contract
    from crawlmill.lake.ledger import RunRow
    from crawlmill.recipes.recipe import Gate, Recipe

SHOWN = 5  # offenders in a result
DIGITS = 6


@dataclass(frozen=True)
class Finding:
    """What a comparison saw: `observed` is kept for later snapshots, `offenders` are what breaks it, the worst first.

    `compared` is False where there was too little to compare: then nothing is judged.
    """

    observed: dict[str, Any]
    offenders: list[Any]
    compared: bool = True


Before = Mapping[str, Any] | None  # what the same comparison saw of the baseline


def baseline(lake: str, stage: str, snapshot: str) -> RunRow | None:
    """The released run on the nearest older snapshot that left no warning unanswered; None where there is none."""
    waiting = {row["run_id"] for row in ledger.open_warnings(lake)}
    older = [run for name, run in ledger.released_snapshots(lake, stage).items() if name < snapshot]
    return next((run for run in reversed(older) if run.run_id not in waiting), None)


def judge(lake: str, row: RunRow, contract: Contract, recipe: Recipe, found: Facts) -> list[ExpectationResult]:
    """Judge what is known of a table's rows of one snapshot by its contract's comparisons."""
    older = baseline(lake, row.stage, row.snapshot)
    kept = _kept(lake, older, contract.table) if older else {}
    return [
        result(rule, found, recipe, kept.get(rule["name"]), older.snapshot if older else None) for rule in contract.comparisons
    ]


def _kept(lake: str, run: RunRow, table: str) -> dict[str, Any]:
    """Comparison -> what it saw in a run."""
    return {
        row["expectation"]: json.loads(row["observed"])
        for row in ledger.quality(lake, run.snapshot)
        if row["run_id"] == run.run_id and row["table"] == table
    }


def result(rule: Mapping[str, Any], now: Facts, recipe: Recipe, before: Before, snapshot: str | None = None) -> ExpectationResult:
    """One comparison's result. Without a baseline, or with too few documents, it is information and holds."""
    kind, kwargs = rule["type"], dict(rule["kwargs"])
    finding = CHECKS[kind](now, recipe, before, kwargs)
    if kind in RELATIVE:
        kwargs["baseline"] = snapshot if before is not None else None
    return ExpectationResult(
        expectation=rule["name"],
        column=None,
        severity=rule["severity"] if finding.compared else "info",
        description=rule["description"],
        success=not (finding.compared and finding.offenders),
        observed=finding.observed,
        limit=kwargs,
        samples=finding.offenders[:SHOWN] if finding.compared else [],
        error=None,
    )


def rules_fire(now: Facts, recipe: Recipe, _: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Share of the documents with a limit for a rule that break it; a rule with `min_documents` of them and none that breaks it offends."""
    due = applicable(recipe.gate, now.documents)
    seen = {rule: round(sum(now.fires.get(rule, {}).values()) / n, DIGITS) for rule, n in due.items() if n}
    return Finding(seen, [rule for rule, rate in seen.items() if rate == 0 and due[rule] >= kwargs["min_documents"]])


def rules_spare(now: Facts, recipe: Recipe, _: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Where a rule is broken by more than `max_share` of a language's documents, among languages with `min_documents`; the worst of each rule."""
    around, seen, offenders = rules.turned(recipe.gate), {}, []
    for rule, labels in now.fires.items():
        if rule not in recipe.gate.rules or rule in around:
            continue
        rates = {
            label: n / now.documents[label] for label, n in labels.items() if now.documents[label] >= kwargs["min_documents"]
        }
        if rates:
            worst = max(rates, key=lambda label: (rates[label], label))
            seen[rule] = {"label": _written(worst), "share": round(rates[worst], DIGITS)}
        offenders += [(rate, rule, _written(label)) for label, rate in rates.items() if rate > kwargs["max_share"]]
    worst_first = sorted(offenders, reverse=True)
    return Finding(seen, [{"rule": rule, "label": label, "share": round(rate, DIGITS)} for rate, rule, label in worst_first])


def rules_known(now: Facts, recipe: Recipe, _: Before, __: Mapping[str, Any]) -> Finding:
    """Verdicts name rules of the recipe only."""
    known = {*recipe.gate.rules, rules.SELECTED, rules.INVERSE, rules.HOOK}
    strange = sorted(now.fires.keys() - known)
    return Finding({"rules": len(now.fires), "unknown": len(strange)}, strange)


def labels_known(now: Facts, recipe: Recipe, _: Before, __: Mapping[str, Any]) -> Finding:
    """Labels are those that the model can give, and `und`."""
    known = identifier(recipe.identify).vocabulary
    told = {name for name, _ in now.documents}
    strange = sorted(told - known)
    return Finding({"labels": len(told), "unknown": len(strange)}, strange)


def keep_rate(now: Facts, _: Recipe, before: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Share of eligible documents by language, for languages with `min_documents`; it moves by at most `band` (absolute)."""
    documents, eligible = facts.by_language(now.documents), facts.by_language(now.eligible)
    documents["all"], eligible["all"] = sum(documents.values()), sum(eligible.values())
    large = [name for name, n in documents.items() if n >= kwargs["min_documents"]]
    seen = {name: round(eligible.get(name, 0) / documents[name], DIGITS) for name in sorted(large)}
    return _moved(seen, before, kwargs["band"])


def language_mix(now: Facts, _: Recipe, before: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Shares of the languages; half the sum of their changes (total variation distance) is at most `max_distance`."""
    documents = facts.by_language(now.documents)
    total = sum(documents.values())
    seen: dict[str, Any] = {
        "documents": total,
        "shares": {name: round(n / total, DIGITS) for name, n in sorted(documents.items())},
    }
    if before is None or min(total, before["documents"]) < kwargs["min_documents"]:
        return Finding(seen, [], compared=False)
    moves = {name: seen["shares"].get(name, 0.0) - before["shares"].get(name, 0.0) for name in seen["shares"] | before["shares"]}
    seen["distance"] = round(sum(map(abs, moves.values())) / 2, DIGITS)
    worst = sorted(moves, key=lambda name: (-abs(moves[name]), name))
    offenders = [{"language": name, "change": round(moves[name], DIGITS)} for name in worst]
    return Finding(seen, offenders if seen["distance"] > kwargs["max_distance"] else [])


def null_rates(now: Facts, _: Recipe, before: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Share of rows without a value, by column; it moves by at most `band` (absolute), judged with `min_documents`."""
    seen = {name: round(n / now.rows, DIGITS) for name, n in now.nulls.items()} if now.rows else {}
    return _moved(seen, before if now.rows >= kwargs["min_documents"] else None, kwargs["band"])


def always_defined(now: Facts, _: Recipe, __: Before, kwargs: Mapping[str, Any]) -> Finding:
    """The named columns have a value in all but `max_share` of the rows, judged with `min_documents`."""
    rates = {name: round(now.nulls[name] / now.rows, DIGITS) for name in kwargs["columns"] if name in now.nulls and now.rows}
    offenders = [{"column": name, "share": rate} for name, rate in rates.items() if rate > kwargs["max_share"]]
    return Finding(rates, offenders, compared=now.rows >= kwargs["min_documents"])


def scores_missing(now: Facts, recipe: Recipe, _: Before, kwargs: Mapping[str, Any]) -> Finding:
    """By scorer the share of documents in its languages without a score, at most `max_share`, judged with `min_documents` of them."""
    seen: dict[str, Any] = {}
    for name, scorer in recipe.measure.scorers.items():
        valid = {label: n for label, n in now.spoken.items() if scorer.languages is None or label in scorer.languages}
        due, have = sum(valid.values()), sum(now.scored.get(name, {}).get(label, 0) for label in valid)
        seen[name] = {"documents": due, "missing": due - have, "share": round(1 - have / due, DIGITS) if due else 0.0}
    large = {name: entry for name, entry in seen.items() if entry["documents"] >= kwargs["min_documents"]}
    far = sorted((-entry["share"], name) for name, entry in large.items() if entry["share"] > kwargs["max_share"])
    return Finding(seen, [{"scorer": name, "share": -share} for share, name in far], compared=bool(large))


def yield_per_file(now: Facts, _: Recipe, before: Before, kwargs: Mapping[str, Any]) -> Finding:
    """Bytes, responses and documents per crawl file that was read; each changes by at most the factor `factor`."""
    files = now.files["files"]
    seen: dict[str, Any] = {name: round(n / files, 3) if files else 0.0 for name, n in now.files.items() if name != "files"}
    if before is None or min(files, before["files"]) < kwargs["min_files"]:
        return Finding({"files": files, **seen}, [], compared=False)
    ratios = {name: value / before[name] for name, value in seen.items() if before.get(name)}
    far = [name for name, ratio in ratios.items() if not 1 / kwargs["factor"] <= ratio <= kwargs["factor"]]
    return Finding({"files": files, **seen}, [{"what": name, "times": round(ratios[name], 3)} for name in far])


Check = Callable[[Facts, "Recipe", Before, Mapping[str, Any]], Finding]
RELATIVE: dict[str, Check] = {
    "keep_rate": keep_rate, "language_mix": language_mix, "null_rates": null_rates, "yield_per_file": yield_per_file,
}  # fmt: skip
"""Comparisons with the baseline."""
CHECKS: dict[str, Check] = RELATIVE | {
    "rules_fire": rules_fire, "rules_spare": rules_spare, "rules_known": rules_known, "labels_known": labels_known,
    "always_defined": always_defined, "scores_missing": scores_missing,
}  # fmt: skip
"""All comparisons, by the name that contracts use."""


def applicable(gate: Gate, documents: Mapping[Label, int]) -> dict[str, int]:
    """For each rule of the recipe, how many documents are in a language and script that has a limit for it."""
    due = dict.fromkeys(gate.rules, 0)
    for (language, script), n in documents.items():
        for rule in rules.rules_for(gate, language, script):
            due[rule.rule] += n
    return due


def _moved(seen: dict[str, float], before: Before, band: float) -> Finding:
    """Which of the numbers that both snapshots have moved by more than the band; not compared where they have none in common."""
    common = seen.keys() & before.keys() if before else set()
    moves = {name: seen[name] - before[name] for name in common} if before else {}
    far = sorted((name for name, move in moves.items() if abs(move) > band), key=lambda name: (-abs(moves[name]), name))
    offenders = [{"what": name, "was": before[name] if before else None, "is": seen[name]} for name in far]
    return Finding(dict(seen), offenders, compared=bool(common))


def _written(label: Label) -> str:
    return "_".join(part for part in label if part)
