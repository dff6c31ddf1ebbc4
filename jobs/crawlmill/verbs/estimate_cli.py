"""`crawlmill estimate`: what a snapshot will take, before anything is fetched or asked. Without Spark; writes nothing but empty tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE, RECIPE, SOURCE
from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins, table
from crawlmill.llm import settings
from crawlmill.llm.ask import reader
from crawlmill.llm.estimate import Estimate
from crawlmill.recipes.recipe import Recipe


@click.command()
@click.argument("snapshot")
@click.option("--core-hour", type=click.FloatRange(0), default=0.0, help="Price of a core for an hour.")
@click.option("--gb-month", type=click.FloatRange(0), default=0.0, help="Price of a GB stored for a month.")
@click.option("--gb-fetched", type=click.FloatRange(0), default=0.0, help="Price of a GB fetched.")
@click.option(
    "--cores", type=click.IntRange(1), default=os.cpu_count() or 1, show_default="of this machine", help="Cores to work with."
)
@LAKE
@SOURCE
@RECIPE
def estimate(
    snapshot: str, core_hour: float, gb_month: float, gb_fetched: float, cores: int, lake: str | None, source: str | None,
    recipe_file: str | None,
) -> None:  # fmt: skip
    """What ingesting a snapshot takes: bandwidth, core-hours, disk, money; and what hooks would ask models. Nothing is fetched or sent.

    From what this lake's runs took, else from figures that ship; each says where it comes from. Hooks are estimated once identify has passed,
    those of recycling once the gate has, on the verdicts and texts that there are.

    \b
    Example: crawlmill estimate CC-MAIN-2026-43 --core-hour 0.04 --gb-month 0.02
    """
    from crawlmill.explain import ingest_estimate
    from crawlmill.lake import snapshot as snapshots
    from crawlmill.recipes import recipe

    root, name = layout.lake_root(lake), snapshots.parse(snapshot)
    chosen = recipe.load(layout.recipe_path(recipe_file))
    identified = ledger.released(root, "identify", name) is not None
    if not identified:
        prices = ingest_estimate.Prices(core_hour, gb_month, gb_fetched)
        cost, seen = ingest_estimate.of(root, layout.source_root(source), name, chosen, prices, cores)
        click.echo("\n".join(ingest_estimate.lines(cost, seen, prices, cores)))
    if asks(chosen):
        if identified:
            click.echo("\n".join(of(root, name, chosen).lines(priced())))
        else:
            click.echo("models            what hooks would ask is told once identify has passed")
    if chosen.recycle.hooks:
        found = of_recycling(root, name, chosen)
        click.echo("recycling" if found else "recycling         not known before the gate has passed")
        click.echo("\n".join(f"  {line}" for line in (found.lines(priced()) if found else ())), nl=bool(found))
    elif identified and not asks(chosen):
        click.echo(f"{name} is ingested, and no hook of the recipe asks a model: crawlmill funnel shows what it gave")


def asks(recipe: Recipe) -> bool:
    """Whether a rewriting hook of a recipe asks models."""
    from crawlmill.text.hooks import chosen

    return any(hook.asks for hook, _ in chosen(recipe.rewrite.hooks))


def priced() -> settings.Settings:
    """The environment's settings; an estimate needs no endpoint, only its prices and limits."""
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
    from crawlmill.rows.recycle_pages import batches
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
