"""The verb that takes care of the tables."""

from __future__ import annotations

import click

from crawlmill import layout
from crawlmill.cli import LAKE


@click.command()
@click.argument("tables", nargs=-1)
@LAKE
@click.option("--retention-hours", type=int, default=168, show_default=True, help="Take files that were replaced so long ago.")
@click.option(
    "--keep-days", type=click.FloatRange(0), default=30, show_default=True, help="Days for which versions of replaced runs stay."
)
@click.option("--dry-run", is_flag=True, help="Only count what would be taken.")
def maintain(tables: tuple[str, ...], lake: str | None, retention_hours: int, keep_days: float, dry_run: bool) -> None:
    """Put small files together and take away those that no version in use refers to (OPTIMIZE and VACUUM).

    TABLES are all by default. Versions that runs in force rest on stay readable whatever their age.

    \b
    Example: crawlmill maintain --dry-run
    """
    from crawlmill.upkeep import maintenance

    done = maintenance.maintain(layout.lake_root(lake), tables, retention_hours, keep_days, dry_run)
    click.echo(f"{'table':<16} {'put together':>12} {'into':>5} {'to go' if dry_run else 'removed':>8} {'versions kept':>14}")
    for one in done:
        click.echo(f"{one.table:<16} {one.merged:>12} {one.written:>5} {one.removed:>8} {one.kept:>14}")


@click.command()
@LAKE
@click.option("--yes", is_flag=True, help="Do it; without it nothing is changed.")
def migrate(lake: str | None, yes: bool) -> None:
    """Bring the tables of a lake up to the contracts of this code: first shows what would change, with --yes changes it.

    New nullable columns, comments and constraints are metadata alone; rows that would break a new CHECK are looked for first. A contract that breaks readers is
    refused unless it has a new major version: then the table is emptied, and its stages fill it again.

    \b
    Example: crawlmill migrate --lake /tmp/lake
    """
    from crawlmill.lake import table
    from crawlmill.protocol.session import build
    from crawlmill.upkeep import migration

    root = layout.lake_root(lake)
    table.require(root, "runs")
    due = migration.steps(root)
    if not due:
        click.echo("every table follows its contract")
    elif yes:
        migration.migrate(root, lambda: build("crawlmill migrate", root), click.echo)
    else:
        for step in due:
            click.echo(str(step))
        click.echo("nothing was changed: the same command with --yes does this")
