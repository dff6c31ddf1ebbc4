"""The verb that takes pages out of a lake: what would go first, then, with --yes, the deletion and all that follows from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE
from crawlmill.errors import UserError
from crawlmill.storage import lake_files


@click.command()
@click.argument("names", nargs=-1)
@click.option("--file", type=click.Path(path_type=Path), help="More of these, a line each; # begins a remark.")
@click.option("--because", required=True, help="The reason, kept with the order.")
@click.option("--by", required=True, help="Who asks for it, kept with the order.")
@click.option("--yes", is_flag=True, help="Delete; without it nothing is changed.")
@LAKE
@RECIPE
def takedown(
    names: tuple[str, ...], file: Path | None, because: str, by: str, yes: bool, lake: str | None, recipe_file: str | None
) -> None:
    """Delete pages from every table and release, and never let them in again.

    NAMES are domains (with everything below them), addresses or record ids. First shows how many rows of which tables and which releases are
    concerned; with --yes deletes the rows, settles clusters and corpus anew, and puts successors in the place of the releases. From then on
    extract rejects what is named (`taken_down`). The files go with `crawlmill maintain`, once they are old enough.

    \b
    Example: crawlmill takedown example.org --because "letter of 3 May" --by "A. Lawyer" --yes
    """
    from crawlmill.lake import table
    from crawlmill.protocol.session import build
    from crawlmill.recipes import recipe
    from crawlmill.takedowns import orders
    from crawlmill.takedowns import takedown as takedowns

    root, at = layout.lake_root(lake), datetime.now(UTC).isoformat(timespec="seconds")
    order = orders.make([*" ".join(names).split(), *_lines(file)], by, because, at)
    table.require(root, "runs")
    chosen = recipe.load(layout.recipe_path(recipe_file))
    takedowns.require_recipe(root, chosen)
    spark = build(f"crawlmill {order.name}", root)
    click.echo(f"{order.name}: {order}")
    if yes:
        removed = takedowns.execute(spark, root, order, chosen, click.echo)
        click.echo(
            "; ".join(f"{n} documents of {snapshot} deleted" for snapshot, n in removed.items())
            or "no document to delete; blocked from now on"
        )
        return
    found = takedowns.preview(spark, root, order)
    keep_preview(root, order.name, found)
    click.echo(show(found))
    click.echo("nothing was changed: the same command with --yes deletes this, and blocks these pages from now on")


def _lines(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}): give a text file with a name a line") from None


def keep_preview(lake: str, name: str, found: dict[str, Any]) -> None:
    """Write down what an order would delete, for who is asked to approve it."""
    lake_files.replace(lake, f"_control/{name}.json", json.dumps(found, indent=1).encode())


def preview(lake: str, name: str) -> dict[str, Any]:
    """What was last seen that an order would delete."""
    found: dict[str, Any] = json.loads(lake_files.read(lake, f"_control/{name}.json") or b"{}")
    return found


def show(found: dict[str, Any]) -> str:
    """What an order would delete, a line a table."""
    snapshots = sorted({snapshot for counts in found["tables"].values() for snapshot in counts})
    if not snapshots:
        return "no row of the lake is named" + (
            f"; releases concerned: {', '.join(found['releases'])}" if found["releases"] else ""
        )
    lines = [f"{'table':<16}" + "".join(f"{snapshot:>17}" for snapshot in snapshots)]
    lines += [
        f"{name:<16}" + "".join(f"{counts.get(snapshot, 0):>17}" for snapshot in snapshots)
        for name, counts in sorted(found["tables"].items())
    ]
    return "\n".join([*lines, f"releases to withdraw: {', '.join(found['releases']) or 'none'}"])
