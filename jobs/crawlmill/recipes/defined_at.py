"""Where a rule and its limit are written: recipe file and line, or the step of the fallback chain that gave the limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crawlmill import layout
from crawlmill.recipes import recipe, recipe_file
from crawlmill.recipes.recipe import Gate
from crawlmill.text import rules


@dataclass(frozen=True)
class Rulebook:
    """A recipe's gate with the places of its keys, and the hash that verdicts carry of it."""

    gate: Gate
    source: recipe_file.Source
    key: str

    def place(self, rule: str, language: str, script: str = "") -> str:
        """Where the limit that a language has for a rule is written, in words; says by which label of the chain it was found."""
        fixed = {rules.SELECTED: "languages", rules.INVERSE: "inverse", rules.HOOK: ""}
        if rule in fixed:
            return self.source.place(("gate", fixed[rule])) if fixed[rule] else "proposed by the hook"
        for label in rules.chain(language, script):
            limits = self.gate.limits.get(label, {})
            if rule in limits and limits[rule] != rules.OWN:
                return f"{self.source.place(('gate', 'limits', label, rule))}, limits of {label}"
            if rule in limits:
                return f"{self.source.place(('gate', 'rules', rule))}, the rule's own limit, as {label} says"
        return f"{self.source.place(('gate', 'rules', rule))}, the rule's own limit"


def rulebook(path: str | Path | None = None) -> Rulebook:
    """The rules of a recipe file (none: CRAWLMILL_RECIPE, else the default recipe). Raises UserError."""
    found = layout.recipe_path(str(path) if path else None)
    gate = recipe.load(found).gate
    return Rulebook(gate, recipe_file.read_source(found), recipe.canonical_hash({"gate": gate.model_dump(mode="json")}))
