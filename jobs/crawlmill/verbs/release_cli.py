"""The verbs around releases."""

from __future__ import annotations

from pathlib import Path

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
    from crawlmill.protocol.session import build
    from crawlmill.protocol.stage import Job
    from crawlmill.recipes import recipe
    from crawlmill.releases import release as releases

    job = Job(lake=layout.lake_root(lake), recipe=recipe.load(layout.recipe_path(recipe_file)), source="")
    wanted = [each for given in snapshots for each in given.replace(",", " ").split()]
    releases.prepare(None, job, name, wanted, weights)  # before Spark takes its seconds
    done = releases.build(build(f"crawlmill release {name}", job.lake), job, name, wanted, weights, click.echo)
    total = done["total"]
    click.echo(f"release {name}: {total['documents']:,} documents, {total['bytes']:,} bytes, in {releases.root(job.lake, name)}")


@click.command()
@click.argument("name")
@click.option("--out", required=True, help="A new folder that all machines share, or s3a://bucket/prefix.")
@LAKE
@click.option("--format", "kind", type=click.Choice(["parquet", "jsonl.zst", "jsonl.gz"]), default="parquet", show_default=True)
@click.option("--shard-mb", type=click.IntRange(1), default=256, show_default=True, help="Megabytes of text in a shard.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffle.")
@click.option("--tokenizer", type=click.Path(path_type=Path), help="A tokenizer.json: counts tokens, adds token_count.")
@click.option(
    "--fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Of the documents; of one seed the smaller is part of the greater.",
)
@click.option(
    "--form",
    default="",
    metavar="NAME",
    help="What rows are: meco, source-aware, conditional, icp, curriculum, decomposition [the document].",
)
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the form; may be repeated.")
@RECIPE
def export(
    name: str, out: str, lake: str | None, kind: str, shard_mb: int, seed: int, tokenizer: Path | None,
    fraction: float, form: str, options: tuple[str, ...], recipe_file: str | None,
) -> None:  # fmt: skip
    """Write release NAME as Parquet or JSON lines, shuffled, in shards of a size.

    The same release and seed give the same files. `index.json` lists them with documents, tokens, bytes and sha256.

    \b
    Forms, each with its paper's values (crawlmill/text/forms.py):
      meco           columns text_prefix, prefix_len, phase; options plain_share, of (host, domain)
      source-aware   a tag of the document in its text; options place (first, last, sentences, words), copies
      conditional    a token before each sentence by a scorer of the recipe; options scorer, limit, drop, good, bad
      icp            along paths of similar documents of a shard, which is held in memory; columns icp_path, icp_pos
      curriculum     each shard from easy to hard; options by (compression_ratio, mtld, flesch), hardest_first
      decomposition  sequences of 2^k + 1 tokens of one document; options end, random; needs --tokenizer

    \b
    Example: crawlmill export web-2026.10 --out /data/web-2026.10 --format jsonl.zst --seed 7

    \b
    Example: crawlmill export web-2026.10 --out /data/urls --form meco --option plain_share=0.2 --tokenizer tokenizer.json
    """
    from crawlmill.protocol.session import build
    from crawlmill.releases import export as exports
    from crawlmill.releases import export_shape

    root = layout.lake_root(lake)
    shape = export_shape.shape(fraction, form, options, recipe_file)
    exports.check(root, name, out, tokenizer, shape)  # before Spark takes its seconds
    files = exports.export(build(f"crawlmill export {name}", root), root, name, out, kind, shard_mb, seed, tokenizer, shape)
    total = {what: sum(row[what] or 0 for row in files) for what in ("documents", "tokens", "bytes")}
    counted = f", {total['tokens']:,} tokens" if tokenizer else ""
    click.echo(f"{len(files)} files, {total['documents']:,} documents{counted}, {total['bytes']:,} bytes in {out}")
