"""The verbs around releases."""

from __future__ import annotations

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE


@click.command()
@click.argument("name")
@click.argument("snapshots", nargs=-1, required=True)
@LAKE
@RECIPE
@click.option("--weights", type=click.IntRange(1), default=10, show_default=True, help="Greatest rehydration weight.")
def release(name: str, snapshots: tuple[str, ...], lake: str | None, recipe_file: str | None, weights: int) -> None:
    """Copy what a set of snapshots keeps to a release NAME, with manifest and data card.

    Survivors are those within the set. SNAPSHOTS are separated by spaces or commas. A release is written once.

    \b
    Example: crawlmill release web-2026.10 CC-MAIN-2026-38 CC-MAIN-2026-43
    """
    from crawlmill import recipe
    from crawlmill import release as releases
    from crawlmill.session import build
    from crawlmill.stage import Job

    job = Job(lake=layout.lake_root(lake), recipe=recipe.load(layout.recipe_path(recipe_file)), source="")
    wanted = [each for given in snapshots for each in given.replace(",", " ").split()]
    releases.prepare(None, job, name, wanted, weights)  # before Spark takes its seconds
    done = releases.build(build(f"crawlmill release {name}"), job, name, wanted, weights, click.echo)
    total = done["total"]
    click.echo(
        f"release {name}: {total['documents']:,} documents, {total['bytes']:,} bytes, in {releases.folder(job.lake, name)}"
    )
