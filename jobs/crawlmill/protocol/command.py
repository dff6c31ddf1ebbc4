"""The command line of a stage's job file, as spark-submit calls it."""

from __future__ import annotations

import errno
import re
import sys
import uuid

import click

from crawlmill import layout
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.lake import pins, snapshot
from crawlmill.protocol.stage import Job, Stage, run
from crawlmill.recipes import recipe
from crawlmill.storage import space
from crawlmill.text_table import printable


def main(stage: Stage, arguments: list[str] | None = None) -> int:
    """Parse the arguments, run the stage, print what happened; returns the exit code.

    0: passed, warned or up to date; 1: failed; 2: wrong input or set-up, or a source that does not answer; 3: a warning waits for an answer.
    """
    try:
        return _command(stage)(args=arguments, standalone_mode=False) or 0
    except click.UsageError as error:
        return end(UserError(f"{error.format_message()} (see --help)"))
    except CrawlmillError as error:
        return end(error)
    except Exception as error:
        return end(told(error))


def end(error: CrawlmillError) -> int:
    """Print the one sentence, after the word for its kind, on standard error; returns the exit code."""
    said = "\n".join(map(printable, str(error).split("\n")))  # a server's own words may be in it
    print(f"crawlmill: {error.kind}: {said}", file=sys.stderr, flush=True)
    return error.exit_code


REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EMFILE}

# What Python, its native parts, Java and Spark say of a process without memory. A worker that the kernel killed says nothing itself.
MEMORY = re.compile(
    r"MemoryError|bad_alloc|OutOfMemoryError|[mr]e?alloc of size \d+ failed|Python worker exited unexpectedly \(crashed\)|Worker exited prematurely"
)

# What deltalake raises of a log, besides FileNotFoundError without a number, and Arrow of a data file that was cut or overwritten.
DAMAGED = {"DeltaError", "TableNotFoundError", "DeltaProtocolError"}
CUT = re.compile(
    r"Could not open Parquet input source|Parquet magic bytes|^File too short|Couldn't deserialize thrift|Parquet file size is \d+ bytes"
)


def told(error: Exception) -> CrawlmillError:
    """One sentence for what the system refuses (no space, no permission, no folder, no memory) and for a damaged table; raises any other error again."""
    if isinstance(error, OSError) and error.errno in REFUSED:
        where = f"{error.filename}: " if error.filename else ""
        return UserError(f"{where}{error.strerror}: free space, or give a path that can be read and written")
    if space.FULL in str(error):  # Spark's words, pages of them
        return UserError(f"a disk is full ({space.FULL}): {space.remedy()}")
    if found := MEMORY.search(str(error)):
        return CrawlmillError(
            f"memory ran out, or a Python worker of Spark was killed, each time it was tried ({found[0]}): give the job more memory, or fewer tasks at a time "
            "(infra/RUNBOOK.md, MemoryOut)"
        )
    if isinstance(error, OSError) and error.errno is None and "S3 error" in str(error):  # deltalake's
        said = " ".join(line.strip(" \x1b[031m↳") for line in str(error).splitlines()[1:4])
        return UserError(
            f"the lake's bucket does not answer or refuses ({said}): check AWS_ENDPOINT_URL, AWS_REGION and the keys"
        )
    if (
        type(error).__name__ in DAMAGED
        or (isinstance(error, FileNotFoundError) and error.errno is None)
        or CUT.search(str(error))
    ):
        said = next(iter(str(error).splitlines()), "")
        return CrawlmillError(
            f"a table of the lake is damaged ({said}): `crawlmill tables` names the file; put back what is missing, or see infra/RUNBOOK.md, TableDamaged"
        )
    raise error


def _command(stage: Stage) -> click.Command:
    example = f"Example: spark-submit jobs/{stage.name}.py" + (" --snapshot CC-MAIN-2026-43" if stage.per_snapshot else "")

    @click.command(name=stage.name, help=f"Run stage {stage.name}: reads {', '.join(stage.reads) or 'crawl files'}, "
                   f"writes {', '.join(stage.writes)}.", epilog=example)  # fmt: skip
    @click.option(
        "--snapshot", "name", required=stage.per_snapshot, hidden=not stage.per_snapshot, help="A snapshot id, CC-MAIN-2026-43."
    )
    @click.option("--shards", help="Only these shards, like 0-3,7; all by default.")
    @click.option("--lake", help="Folder of the tables [CRAWLMILL_LAKE].")
    @click.option("--source", help="Where crawl files are: URL or folder [CRAWLMILL_SOURCE].")
    @click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE].")
    @click.option("--run-id", default="", help="Name of this attempt in the ledger.")
    @click.option("--force", is_flag=True, help="Run again even if nothing changed.")
    def command(
        name: str | None,
        shards: str | None,
        lake: str | None,
        source: str | None,
        recipe_file: str | None,
        run_id: str,
        force: bool,
    ) -> int:
        job = Job(
            lake=layout.lake_root(lake),
            recipe=recipe.load(layout.recipe_path(recipe_file)),
            source=layout.source_root(source),
            snapshot=snapshot.parse(name) if stage.per_snapshot and name else pins.EVERY,
            shards=snapshot.parse_shards(shards) if stage.per_snapshot else None,
            run_id=run_id or uuid.uuid4().hex,
            force=force,
        )
        done = run(stage, job, say=lambda line: print(line, flush=True))
        written = sum(count["written"] for count in done.counts)
        print(f"{stage.name} {done.snapshot}: {done.verdict}, {written} rows in {done.seconds:.1f} s", flush=True)
        if done.message:
            print(f"  {done.message}", flush=True)
        return 0

    return command
