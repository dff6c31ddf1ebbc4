"""A gate with one rule changed, as a recipe would change it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crawlmill.errors import UserError
from crawlmill.recipes import limit_table
from crawlmill.recipes.recipe_file import suggestion
from crawlmill.text import overlap, rules, signals

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Gate

_LABEL = re.compile(r"[a-z]{3}(_[A-Z][a-z]{3})?|[A-Z][a-z]{3}")


def gate(
    before: Gate,
    rule: str,
    limit: str,
    labels: tuple[str, ...] = (),
    everywhere: bool = False,
    signal: str | None = None,
    op: str | None = None,
) -> Gate:
    """The gate with another limit for a rule. Raises UserError for a name or a number that means nothing.

    Args:
        before: the gate to change.
        rule: a rule of it, or a new one, which needs a signal and a comparison.
        limit: a number, or `off`.
        labels: languages (`deu`, `srp_Cyrl`) or scripts (`Cyrl`) to change it for; none: the rule's own limit.
        everywhere: also take away the limits that labels have for this rule.
        signal: what a new rule reads.
        op: the comparison of a new rule, min or max.
    """
    from crawlmill.recipes.recipe import Rule

    value = _number(limit)
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise UserError(f"{label!r} is no label: give a language (deu, srp_Cyrl) or a script (Cyrl)")
    if rule not in before.rules and (signal is None or op is None):
        raise UserError(f"the recipe has no rule {rule!r}{suggestion(rule, before.rules)}; for a new one give --signal and --op")
    readable = {*signals.SIGNALS, *rules.ANNOTATIONS, *overlap.ANNOTATIONS}
    if signal is not None and signal not in readable and not signal.startswith(rules.SCORE):
        raise UserError(f"there is no signal {signal!r}{suggestion(signal, readable)}")
    known = before.rules.get(rule)
    changed = known or Rule.model_validate({"signal": signal, "op": op, "limit": None})
    changed = changed.model_copy(update={key: new for key, new in (("signal", signal), ("op", op)) if new is not None})
    limits = before.limits
    if everywhere:
        limits = {label: {name: own for name, own in table.items() if name != rule} for label, table in limits.items()}
    if labels:
        limits = limits | {label: {**limits.get(label, {}), rule: value} for label in labels}
    else:
        changed = changed.model_copy(update={"limit": value})
    return before.model_copy(update={"rules": {**before.rules, rule: changed}, "limits": limits})


def _number(limit: str) -> float | None:
    if limit == "off":
        return None
    number = limit_table.finite(limit)
    if number is None:
        raise UserError(f"--limit {limit!r} is no number: give one, or `off`")
    return number
