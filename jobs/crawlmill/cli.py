"""The `crawlmill` command. Heavy libraries are imported by the verb that needs them, so `--help` is quick."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Any, ClassVar

import click

from crawlmill import __version__, layout
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.protocol import command

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
SNAPSHOT = click.argument("snapshot")
LAKE = click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE; .crawlmill/lake].")
SOURCE = click.option("--source", help="Where crawl files are: URL or folder [CRAWLMILL_SOURCE; Common Crawl].")
RECIPE = click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE; jobs/recipes/default.yaml].")


MODULES = {  # module of the library: its verbs
    "verbs.shell": "text identify measure count-ngrams dedup",
    "verbs.service_cli": "up down backfill demo",
    "verbs.maintenance_cli": "maintain migrate",
    "upkeep.recovery": "recover",
    "verbs.takedown_cli": "takedown",
    "verbs.release_cli": "release export",
    "verbs.metrics_cli": "metrics",
    "verbs.whatif_cli": "what-if",
    "verbs.thresholds_cli": "fit-thresholds",
    "verbs.replay": "replay",
    "verbs.plan_cli": "plan-dedup",
    "verbs.dedup_cli": "dedup-stats decontaminate contamination dedup-lines",
    "verbs.why_cli": "why",
    "verbs.look_cli": "sample diff history report",
    "verbs.assess_cli": "assess judge",
    "verbs.scores_cli": "load-scores fit-scores cluster",
    "verbs.train_scorer_cli": "train-scorer",
    "explain.try_hook": "try-hook",
    "verbs.estimate_cli": "estimate",
    "verbs.mixture_cli": "phases online-weights",
    "verbs.select_cli": "select",
    "scoring.frontier": "frontier",
}


class Commands(click.Group):
    """Verbs that may live in modules imported on demand."""

    lazy: ClassVar = {verb: module for module, verbs in MODULES.items() for verb in verbs.split()}

    def list_commands(self, context: click.Context) -> list[str]:
        return [*super().list_commands(context), *self.lazy]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.lazy:
            from importlib import import_module

            found: click.Command = getattr(import_module(f"crawlmill.{self.lazy[name]}"), name.replace("-", "_"))
            return found
        return super().get_command(context, name)

    def invoke(self, context: click.Context) -> Any:
        """Run the verb. A reader that has gone ends it quietly, with what SIGPIPE gives; click would say 1, a failure."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise click.exceptions.Exit(141) from None


@click.group(cls=Commands, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Common Crawl snapshots into clean, deduplicated, versioned Delta tables.

    \b
    Example:
      crawlmill sample-crawl /tmp/crawl
      crawlmill run CC-MAIN-2026-38 --source /tmp/crawl --lake /tmp/lake
      crawlmill funnel --lake /tmp/lake
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def job(snapshot: str, lake: str | None, source: str | None, recipe_file: str | None, force: bool = False) -> Any:
    """The typed arguments of a run. Raises UserError."""
    from crawlmill.lake import snapshot as snapshots
    from crawlmill.protocol.local_run import new_run_id
    from crawlmill.protocol.stage import Job
    from crawlmill.recipes import recipe

    return Job(
        lake=layout.lake_root(lake),
        recipe=recipe.load(layout.recipe_path(recipe_file)),
        source=layout.source_root(source),
        snapshot=snapshots.parse(snapshot),
        run_id=new_run_id(),
        force=force,
    )


@cli.command()
@SNAPSHOT
@LAKE
@SOURCE
@RECIPE
@click.option("--force", is_flag=True, help="Run every stage again even if nothing changed.")
def run(snapshot: str, lake: str | None, source: str | None, recipe_file: str | None, force: bool) -> None:
    """All stages on a snapshot, without Airflow, in one Spark session.

    Stages whose key did not change are skipped; `crawlmill plan` tells which.

    \b
    Example: crawlmill run CC-MAIN-2026-38 --source /tmp/crawl --lake /tmp/lake
    """
    from crawlmill.explain import funnel
    from crawlmill.protocol import local_run

    wanted = job(snapshot, lake, source, recipe_file, force)
    local_run.run(wanted)
    funnel.print_funnel(wanted.lake, snapshot)


@cli.command()
@SNAPSHOT
@LAKE
@SOURCE
@RECIPE
def plan(snapshot: str, lake: str | None, source: str | None, recipe_file: str | None) -> None:
    """Which stages would run again for a snapshot, and why.

    \b
    Example: crawlmill plan CC-MAIN-2026-38 --recipe my-recipe.yaml
    """
    from crawlmill.protocol import local_run

    for step in local_run.plan(job(snapshot, lake, source, recipe_file)):
        click.echo(f"{step.stage:<9} {'runs ' if step.runs else 'skips'}  {step.why}")


@cli.command()
@click.argument("snapshot", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a snapshot a line.")
@LAKE
def funnel(snapshot: str | None, lake: str | None, as_json: bool) -> None:
    """Pages in, pages out, by snapshot and language.

    \b
    Example: crawlmill funnel CC-MAIN-2026-38 --lake /tmp/lake
    """
    from crawlmill.explain import funnel as funnels
    from crawlmill.lake import snapshot as snapshots
    from crawlmill.lake import table

    root = layout.lake_root(lake)
    table.require(root, "runs")
    funnels.print_funnel(root, snapshots.parse(snapshot) if snapshot else None, as_json)


@cli.command()
@LAKE
def tables(lake: str | None) -> None:
    """The tables of a lake: rows, size, version, and what has passed.

    \b
    Example: crawlmill tables --lake /tmp/lake
    """
    from crawlmill.lake import tables as listing

    listing.print_tables(layout.lake_root(lake))


@cli.command()
@LAKE
@SOURCE
@RECIPE
@click.option("--snapshot", help="Look at this snapshot's listing and take one record of it.")
@click.option("--spark/--no-spark", "with_spark", default=True, help="Start Spark and write a Delta table, too.")
def check(lake: str | None, source: str | None, recipe_file: str | None, snapshot: str | None, with_spark: bool) -> None:
    """Preflight: recipe, models, Java, Spark, Delta, disk, source; one record extracted.

    \b
    Example: crawlmill check --source /tmp/crawl
    """
    from crawlmill.protocol import preflight

    failed = preflight.report(lake, source, recipe_file, snapshot, with_spark)
    if failed:
        raise UserError(f"{failed} of the checks failed: mend what is marked above")


@cli.command()
@SOURCE
def snapshots(source: str | None) -> None:
    """The snapshots that the source lists.

    \b
    Example: crawlmill snapshots --source /tmp/crawl
    """
    from crawlmill.sources.listing import collinfo
    from crawlmill.text_table import printable

    for info in collinfo(layout.source_root(source)):
        click.echo(printable(f"{info.id}  {info.name}"))


@cli.command()
@SNAPSHOT
@click.option("--because", required=True, help="The reason, kept in table quality.")
@LAKE
def answer(snapshot: str, because: str, lake: str | None) -> None:
    """Accept the open quality warnings of a snapshot, so that it is published; `all`: those of dedup and publish.

    \b
    Example: crawlmill answer CC-MAIN-2026-38 --because "the crawl has fewer hosts this time"
    """
    from crawlmill.lake import pins, table
    from crawlmill.lake import snapshot as snapshots
    from crawlmill.protocol import answers

    root, of = layout.lake_root(lake), pins.EVERY if snapshot == answers.ALL else snapshots.parse(snapshot)
    table.require(root, "quality")
    count = answers.give(root, of, because)
    click.echo(f"{count} warnings of {snapshot} answered")


@cli.command("sample-crawl")
@click.argument("directory")
@click.option("--serve", type=int, metavar="PORT", help="Then serve it on loopback at this port, until Ctrl-C.")
def sample_crawl(directory: str, serve: int | None) -> None:
    """Write a small crawl of invented pages, shaped like Common Crawl's.

    \b
    Example: crawlmill sample-crawl /tmp/crawl --serve 8100
    """
    from pathlib import Path

    from crawlmill import sample_crawl as sample

    click.echo(str(sample.write(Path(directory))))
    if serve is not None:
        from crawlmill.sample_crawl import server

        server.serve(Path(directory), serve)


def _sound(words: list[str]) -> None:
    """Raise UserError for a word that no verb can do anything with: bytes that are no text, or a number beyond 64 bits."""
    for word in words:
        if any("\ud800" <= char <= "\udfff" for char in word):
            raise UserError(f"{ascii(word)[:100]} is no text in UTF-8: write it in this terminal's encoding, or rename the file")
        if re.fullmatch(r"(?:--?[a-z-]+=?)?-?\d{19,}", word):
            raise UserError(f"{word[:100]} is too large a number")


def main() -> None:
    """Entry point: one sentence and an exit code instead of a traceback."""
    try:
        _sound(sys.argv[1:])
        sys.exit(cli(prog_name="crawlmill", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.UsageError as error:
        sys.exit(command.end(UserError(f"{error.format_message()} (see --help)")))
    except CrawlmillError as error:
        sys.exit(command.end(error))
    except Exception as error:
        sys.exit(command.end(command.told(error)))


def entry() -> None:
    """The installed command: leave without the interpreter's shutdown, in which threads of native readers now and then abort."""
    code: Any = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    except OSError as error:  # a full disk: what a command failed to write is still there, and what it left to this place may be
        code = code or command.end(command.told(error))
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


if __name__ == "__main__":
    entry()
