"""The verb `crawlmill what-if`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE
from crawlmill.errors import UserError

if TYPE_CHECKING:
    from crawlmill.explain.whatif import Answer
    from crawlmill.recipes.recipe import Gate


@click.command("what-if")
@click.option("--rule", help="A rule of the recipe; with --signal and --op also a new one.")
@click.option("--limit", help="Its limit in the trial: a number, or `off`.")
@click.option(
    "--language", "labels", multiple=True, help="Change it for this language (deu, srp_Cyrl) or script (Cyrl); may be repeated."
)
@click.option("--everywhere", is_flag=True, help="Also for languages and scripts that have limits of their own.")
@click.option("--signal", help="Signal of a new rule.")
@click.option("--op", type=click.Choice(["min", "max"]), help="Comparison of a new rule.")
@click.option("--against", metavar="FILE", help="Try the gate of this recipe instead of one rule.")
@click.option("--snapshot", help="Of this snapshot [the newest that passed the gate].")
@click.option(
    "-n", "--samples", default=5, show_default=True, type=click.IntRange(0, 1000), help="Documents to show for each side."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@LAKE
@RECIPE
def what_if(
    rule: str | None,
    limit: str | None,
    labels: tuple[str, ...],
    everywhere: bool,
    signal: str | None,
    op: str | None,
    against: str | None,
    snapshot: str | None,
    samples: int,
    as_json: bool,
    lake: str | None,
    recipe_file: str | None,
) -> None:
    """What another limit would change, exactly, from stored signals: eligible documents by language, and samples of those that change side.

    \b
    Example: crawlmill what-if --rule line_punct_ratio --limit 0.1 --language deu
    """
    from crawlmill.explain import trial, whatif
    from crawlmill.lake import table
    from crawlmill.recipes import recipe

    root = layout.lake_root(lake)
    table.require(root, "verdicts")
    before = recipe.load(layout.recipe_path(recipe_file)).gate
    if (rule is None) == (against is None) or (rule is None) != (limit is None):
        raise UserError("give --rule and --limit, or --against with another recipe")
    after = (
        trial.gate(before, rule, limit, labels, everywhere, signal, op)
        if rule and limit
        else recipe.load(layout.recipe_path(against)).gate
    )
    answer = whatif.compare(root, newest(root, snapshot), before, after, samples)
    if as_json:
        click.echo(json.dumps(answer.as_json(), ensure_ascii=False, indent=1))
    else:
        _print(answer, "" if against or everywhere else _untouched(before, answer, str(rule), labels))


def newest(lake: str, given: str | None) -> str:
    """The given snapshot, else the newest that passed the gate. Raises UserError where there is none."""
    from crawlmill.lake import ledger
    from crawlmill.lake import snapshot as snapshots

    if given:
        return snapshots.parse(given)
    passed = list(ledger.released_snapshots(lake, "gate"))
    if not passed:
        raise UserError(f"no snapshot of the lake {lake} has passed the gate: `crawlmill run SNAPSHOT` ingests one")
    return passed[-1]


def _untouched(gate: Gate, answer: Answer, rule: str, labels: tuple[str, ...]) -> str:
    own = sum(rule in limits for label, limits in gate.limits.items() if label not in labels)
    if labels or not own:
        return ""
    return f"{own} languages and scripts have limits of their own for {rule}, which stay: --everywhere changes them, too"


def _print(answer: Answer, note: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{answer.snapshot}: {', '.join(answer.rules) or 'nothing'} changed; eligible documents before dedup")
    view = Table("language", box=None, pad_edge=False)
    parts = ("documents", "before", "after", "enters", "leaves")
    for part in parts:
        view.add_column(part, justify="right")
    shown = [line for line in answer.lines if line.enters or line.leaves]
    for line in [*shown, answer.total]:
        view.add_row(line.language, *(str(getattr(line, part)) for part in parts))
    console.print(view)
    if len(shown) < len(answer.lines):
        console.print(f"nothing changes in {len(answer.lines) - len(shown)} more languages")
    for sample in answer.samples:
        reasons = ", ".join(_reason(reason) for reason in sample.why)
        console.print(
            f"\n{sample.side} {sample.language} {sample.id} {sample.url}\n  {reasons}\n  {sample.excerpt}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if note:
        console.print(note, soft_wrap=True)


def _reason(reason: dict[str, Any]) -> str:
    return f"{reason['rule']}: {reason['signal']} {reason['value']:.4g} ({reason['op']} {reason['limit']:g})"
