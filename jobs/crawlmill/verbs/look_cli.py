"""The verbs that look into a lake: `sample`, `diff`, `history`, `report`."""

from __future__ import annotations

import json
from typing import Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE
from crawlmill.errors import UserError
from crawlmill.text_table import as_table, printable

SNAPSHOT = click.option("--snapshot", help="Of this snapshot [the newest that passed the gate].")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option(
    "--stage", default="gate", show_default=True, help="Whose decisions: extract, rewrite, gate, dedup or publish (what is kept)."
)
@click.option("--rule", help="Documents that fail this rule of the gate, by language.")
@click.option("--language", help="Of this language only (ISO 639-3).")
@click.option("--near-threshold", "near", is_flag=True, help="With --rule: the documents nearest to its limit, on both sides.")
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many in all.")
@click.option("--seed", default=0, show_default=True, help="Another seed draws another sample.")
@SNAPSHOT
@JSON
@LAKE
@RECIPE
def sample(
    stage: str, rule: str | None, language: str | None, near: bool, n: int, seed: int, snapshot: str | None, as_json: bool,
    lake: str | None, recipe_file: str | None,
) -> None:  # fmt: skip
    """A repeatable stratified sample of a stage's decisions, with the texts' beginnings before and after.

    \b
    Example: crawlmill sample --stage gate --rule list_ratio --language deu --near-threshold -n 20
    """
    from crawlmill.explain import sampling
    from crawlmill.lake import table
    from crawlmill.recipes import recipe
    from crawlmill.verbs.whatif_cli import newest

    root = layout.lake_root(lake)
    table.require(root, "runs")
    wanted = sampling.Wanted(stage, rule, language, near, n, seed)
    found = sampling.draw(root, newest(root, snapshot), wanted, recipe.load(layout.recipe_path(recipe_file)).gate)
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], ensure_ascii=False, indent=1))
        return
    for one in found:
        click.echo(f"\n{one.stratum}  {one.language or ''}  {one.id}  {printable(one.url)}")
        click.echo(f"  {printable('; '.join(reason(why) for why in one.why))}" if one.why else "  kept")
        for label, text in (("before", one.before), ("after", one.after)):
            if text is not None:
                click.echo(f"  {label:<6} {printable(text)}")
    if not found:
        click.echo("nothing matches")


def reason(why: dict[str, Any]) -> str:
    """One clause on a decision, as `sampling` gives it."""
    if "rule" in why:
        return f"{why['rule']}: {why['signal']} {why['value']:.4g} ({why['op']} {why['limit']:g})"
    if "survivor_id" in why:
        return f"similarity {why['similarity']:.3f} to {why.get('survivor_url', why['survivor_id'])}"
    return f"hook {why['hook']}" if "hook" in why else f"{why['reason']}: {why['message'] or ''}"


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("-n", default=3, show_default=True, type=click.IntRange(0, 1000), help="Samples of each side.")
@JSON
@LAKE
def diff(a: str, b: str, n: int, as_json: bool, lake: str | None) -> None:
    """What came, went and changed, by language and rule: of two snapshots (pages by URL), or of versions of the corpus (numbers) and releases (names).

    \b
    Example: crawlmill diff CC-MAIN-2026-38 CC-MAIN-2026-43
    Example: crawlmill diff 3 5
    Example: crawlmill diff web-2026.09 web-2026.10
    """
    from crawlmill.explain import differing
    from crawlmill.lake import table

    root = layout.lake_root(lake)
    table.require(root, "runs")
    found = differing.compare(root, a, b, n)
    if as_json:
        click.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
        return
    click.echo(f"from {found.a} to {found.b}")
    rows = [
        {"language": name, **counts}
        for name, counts in sorted(found.languages.items(), key=lambda kv: (-sum(kv[1].values()), kv[0]))
    ]
    click.echo(as_table([*rows, {"language": "all", **found.total}]))
    if found.rules:
        click.echo("\ndocuments that fail a rule")
        click.echo(as_table([{"rule": rule, found.a: old, found.b: new} for rule, (old, new) in found.rules.items()]))
    for side, samples in found.samples.items():
        for one in samples:
            click.echo(f"\n{side} {one['language']} {one['id']} {printable(one['url'])}")
            for label in ("diff",) if one["diff"] else ("before", "after"):
                if one[label] is not None:
                    click.echo(f"  {label:<6} {printable(one[label])}")


@click.command()
@click.argument("name", metavar="TABLE")
@click.option("-n", default=20, show_default=True, type=click.IntRange(1), help="The newest so many versions.")
@JSON
@LAKE
def history(name: str, n: int, as_json: bool, lake: str | None) -> None:
    """The versions of a table: when, by which stage and run, on which snapshot, how many rows and files.

    \b
    Example: crawlmill history corpus -n 5
    """
    from crawlmill.contracts import contract
    from crawlmill.lake import table, table_log
    from crawlmill.recipes.recipe_file import suggestion

    root = layout.lake_root(lake)
    if name not in contract.all_tables():
        raise UserError(f"there is no table {name!r}{suggestion(name, contract.all_tables())}")
    table.require(root, name)
    rows = table_log.versions(root, name, n)
    click.echo(json.dumps(rows, indent=1) if as_json else as_table(rows))


@click.command()
@click.argument("snapshot", required=False)
@click.option("--out", "-o", metavar="FILE", help="Where to write it [SNAPSHOT.html in this folder].")
@click.option("--keep", is_flag=True, help="Write it where the tab of a run in Airflow's UI looks for that of a large snapshot.")
@click.option(
    "--core-hour-price", "price", type=float, help="Price of a core for an hour: the runs' cost [CRAWLMILL_CORE_HOUR_PRICE]."
)
@click.option("--cores", type=float, help="Cores that a stage's job had [CRAWLMILL_CORES, else 2].")
@LAKE
@RECIPE
def report(
    snapshot: str | None, out: str | None, keep: bool, price: float | None, cores: float | None, lake: str | None,
    recipe_file: str | None,
) -> None:  # fmt: skip
    """A snapshot's report: one HTML file with funnel, languages, limits to drag, duplicates, samples, expectations and runs.

    \b
    Example: crawlmill report CC-MAIN-2026-43 --out report.html --core-hour-price 0.04 --cores 64
    """
    from pathlib import Path

    from crawlmill import report as reports
    from crawlmill.lake import table
    from crawlmill.recipes import defined_at
    from crawlmill.report import cost
    from crawlmill.verbs.whatif_cli import newest

    root = layout.lake_root(lake)
    table.require(root, "runs")
    name = newest(root, snapshot)
    path = reports.kept(root, name) if keep else Path(out or f"{name}.html")
    try:
        size = reports.write(root, name, defined_at.rulebook(recipe_file), path, cost.rates(cores, price))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): give another --out") from None
    click.echo(f"{path}: {size / 1e6:.2f} MB")
