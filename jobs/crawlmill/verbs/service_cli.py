"""The verbs that start, use and stop Airflow."""

from __future__ import annotations

import sys
from datetime import date, datetime

import click

PORT = click.option(
    "--port", type=int, envvar="CRAWLMILL_PORT", default=8080, show_default=True, help="Port of the UI [CRAWLMILL_PORT]."
)


@click.command()
@PORT
def up(port: int) -> None:
    """Start Airflow (API server, scheduler, DAG processor, triggerer) and leave it running.

    \b
    Example: crawlmill up --port 8090
    """
    from crawlmill.orchestrate import service

    service.up(port=port)


@click.command()
def down() -> None:
    """Stop what `up` or `demo` started.

    \b
    Example: crawlmill down
    """
    from crawlmill.orchestrate import service

    service.down()


def _day(context: click.Context, parameter: click.Parameter, value: datetime) -> date:
    return value.date()


DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("first", metavar="FROM", type=DAY, callback=_day)
@click.argument("last", metavar="TO", type=DAY, callback=_day)
@click.option("--active", type=click.IntRange(1), default=2, show_default=True, help="Snapshots at a time.")
@click.option(
    "--reprocess", type=click.Choice(["none", "failed", "completed"]), default="none", show_default=True,
    help="Which snapshots that have a run already run again; stages whose key did not change are skipped in any case.",
)  # fmt: skip
@click.option("--backwards", is_flag=True, help="The newest snapshot first.")
@click.option("--dry-run", is_flag=True, help="Only list the snapshots; needs no Airflow.")
def backfill(first: date, last: date, active: int, reprocess: str, backwards: bool, dry_run: bool) -> None:
    """Ingest every snapshot whose crawl began from day FROM to day TO, on the Airflow that is up.

    \b
    Example: crawlmill backfill 2026-01-01 2026-03-31 --dry-run
    """
    from crawlmill.orchestrate import crawls, service

    if dry_run:
        for name, day in crawls.between(first, last, crawls.known()).items():
            click.echo(f"{name}  {day}")
        return
    service.backfill(first, last, active, reprocess, backwards=backwards)


@click.command()
@PORT
@click.option("--snapshots", type=click.IntRange(1, 6), default=2, show_default=True, help="How many of the newest to ingest.")
def demo(port: int, snapshots: int) -> None:
    """Ingest the sample crawl's snapshots through the real scheduler and print the funnel.

    \b
    Example: crawlmill demo --port 8090 --snapshots 6
    """
    from crawlmill.orchestrate import demo as demonstration

    sys.exit(demonstration.demo(port=port, snapshots=snapshots))
