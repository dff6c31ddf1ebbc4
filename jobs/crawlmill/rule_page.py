"""The generated page of the shipped recipes' rules: `jobs/recipes/README.md`."""

from __future__ import annotations

import re
from collections import Counter
from itertools import takewhile
from pathlib import Path

from crawlmill import layout
from crawlmill.recipes import limit_table, recipe
from crawlmill.recipes.recipe import Gate
from crawlmill.text import rules, signals

SIGNS = {"min": "≥", "max": "≤"}
_CUT = re.compile(r"(\w+) [\d.]+ cut to ([\d.]+)")


def page() -> str:
    """Markdown: which rule each recipe has, with its limit, and what tables of limits by language add."""
    files = sorted(layout.recipes_dir().glob("*.yaml"))
    gates = {path.stem: recipe.load(path).gate for path in files}
    lines = ["# Recipes", "", "A recipe of your own extends one of these: see [default.yaml](default.yaml).", ""]
    lines += ["| recipe | rules | languages | source |", "|---|---|---|---|"]
    for path in files:
        gate = gates[path.stem]
        languages = ", ".join(gate.languages or ("all",))
        lines.append(f"| [{path.stem}]({path.name}) | {len(gate.rules)} | {languages} | {_source(path)} |")
    lines += [
        "",
        "## Rules",
        "",
        "A document is eligible where the signal keeps every limit. `*`: languages and scripts have limits of their own.",
    ]
    lines += ["", f"| rule | signal | meaning | {' | '.join(gates)} |", "|---" * (3 + len(gates)) + "|"]
    seen = {(name, rule.signal, rule.op): None for gate in gates.values() for name, rule in gate.rules.items()}
    for name, signal, op in seen:
        cells = [_limit(gate, name, signal) for gate in gates.values()]
        lines.append(f"| `{name}` | `{signal}` {SIGNS[op]} | {_meaning(signal)} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_tables()]) + "\n"


def _source(path: Path) -> str:
    """The first paragraph of a recipe's head, up to what deviates."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#").strip() for line in takewhile(lambda line: len(line) > 2, lines)]
    return " ".join(head).rstrip(".")


def _meaning(signal: str) -> str:
    if signal.startswith(rules.SCORE):
        return f"score of the recipe's scorer `{signal.removeprefix(rules.SCORE)}`"
    known = signals.SIGNALS.get(signal)
    return (known.description if known else rules.ANNOTATIONS[signal]).replace("|", "\\|")


def _limit(gate: Gate, name: str, signal: str) -> str:
    rule = gate.rules.get(name)
    if rule is None or rule.signal != signal:
        return ""
    own = "*" if any(name in limits for limits in gate.limits.values()) else ""
    only = f" ({', '.join(rule.languages)})" if rule.languages else ""
    return f"{'off' if rule.limit is None else f'{rule.limit:g}'}{own}{only}"


def _tables() -> list[str]:
    """A line for each table of limits, and which limits of it were cut since they could never fire."""
    lines = [
        "",
        "## Limits by language and script",
        "",
        "| table | labels | limits | cut, since no document could break them |",
        "|---|---|---|---|",
    ]
    for path in sorted(layout.recipes_dir().glob("*.tsv")):
        limits, _ = limit_table.read(path)
        cuts = Counter(_CUT.findall(path.read_text(encoding="utf-8")))
        shown = ", ".join(f"`{rule}` {count} to {limit}" for (rule, limit), count in sorted(cuts.items()))
        lines.append(f"| [{path.stem}]({path.name}) | {len(limits)} | {sum(map(len, limits.values()))} | {shown} |")
    return lines
