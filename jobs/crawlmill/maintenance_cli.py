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
    from crawlmill import maintenance

    done = maintenance.maintain(layout.lake_root(lake), tables, retention_hours, keep_days, dry_run)
    click.echo(f"{'table':<16} {'put together':>12} {'into':>5} {'to go' if dry_run else 'removed':>8} {'versions kept':>14}")
    for one in done:
        click.echo(f"{one.table:<16} {one.merged:>12} {one.written:>5} {one.removed:>8} {one.kept:>14}")
