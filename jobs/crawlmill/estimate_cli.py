"""`crawlmill estimate`: what the models' answers for a snapshot would take, before anything is asked. Without Spark; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from crawlmill import layout, ledger, pins, table
from crawlmill.errors import UserError
from crawlmill.llm import settings
from crawlmill.llm.ask import reader
from crawlmill.llm.estimate import Estimate
from crawlmill.recipe import Recipe


@click.command()
@click.argument("snapshot")
@click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE; jobs/recipes/default.yaml].")
@click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
def estimate(snapshot: str, recipe_file: str | None, lake: str | None) -> None:
    """What the hooks of a recipe would ask models for a snapshot: requests, tokens, cost. Nothing is sent.

    Hooks of recycling are counted once the gate has passed, on the verdicts and texts that there are.

    \b
    Example: crawlmill estimate CC-MAIN-2026-43 --recipe with-models.yaml
    """
    from crawlmill import recipe
    from crawlmill import snapshot as snapshots

    root, name, wanted = layout.lake_root(lake), snapshots.parse(snapshot), recipe.load(layout.recipe_path(recipe_file))
    click.echo("\n".join(of(root, name, wanted).lines(priced())))
    if wanted.recycle.hooks:
        found = of_recycling(root, name, wanted)
        click.echo("recycling" if found else "recycling         not known before the gate has passed")
        click.echo("\n".join(f"  {line}" for line in (found.lines(priced()) if found else ())), nl=bool(found))


def priced() -> settings.Settings:
    """The environment's settings; an estimate needs no endpoint, only its prices and limits."""
    import os

    return settings.load({"CRAWLMILL_LLM_BASE_URL": "http://nobody.invalid/v1", **os.environ})


def of(lake: str, snapshot: str, recipe: Recipe) -> Estimate:
    """The estimate for a snapshot that has passed identify; requests that have their answers already do not count."""
    from crawlmill.text.hooks import rewrite_batch

    run = ledger.released(lake, "identify", snapshot)
    if run is None:
        raise UserError(f"an estimate needs what identify writes for {snapshot}, and identify has not passed: run identify first")
    table.create_all(lake)
    found = Estimate()
    for shard, batch in _batches(lake, snapshot, pins.of(run)):
        for pending in rewrite_batch(batch, recipe.rewrite, reader(lake, snapshot, [shard])).column("pending").to_pylist():
            found.add(pending)
    return found


def of_recycling(lake: str, snapshot: str, recipe: Recipe) -> Estimate | None:
    """The same for the hooks of recycling; None where the gate has not passed for the snapshot."""
    from crawlmill.recycle_pages import batches
    from crawlmill.text.recycle import recycle_batch

    try:
        found, _ = pins.for_snapshot(lake, "estimate", snapshot, ("documents", "languages", "rewrites", "signals", "verdicts"))
    except UserError:
        return None
    counted, at = Estimate(), {table: version for (table, pinned), version in found.items() if pinned == snapshot}
    for shard, batch in batches(lake, snapshot, at, recipe):
        for pending in recycle_batch(batch, recipe.recycle, reader(lake, snapshot, [shard])).column("pending").to_pylist():
            counted.add(pending)
    return counted


def _batches(lake: str, snapshot: str, at: pins.Pins) -> Iterator[tuple[int, Any]]:
    """Documents with their languages, shard by shard, at the pinned versions."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    tables = {
        name: DeltaTable(f"{lake}/{name}", version=at[name, snapshot]).to_pyarrow_dataset() for name in ("documents", "languages")
    }
    shards = (
        tables["documents"].to_table(columns=["shard"], filter=ds.field("snapshot") == snapshot)["shard"].unique().to_pylist()
    )
    for shard in sorted(shards):
        where = (ds.field("snapshot") == snapshot) & (ds.field("shard") == shard)
        wanted = ["id", "language", "language_script", "language_score"]
        labels = {row["id"]: row for row in tables["languages"].to_table(columns=wanted, filter=where).to_pylist()}
        columns = ["snapshot", "shard", "id", "url", "title", "text"]
        for batch in tables["documents"].to_batches(columns=columns, filter=where):
            rows = [row | labels[row["id"]] for row in batch.to_pylist() if row["id"] in labels]
            if rows:
                yield shard, pa.RecordBatch.from_pylist(rows)
