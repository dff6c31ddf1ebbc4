"""The stages at the shell, on plain files, without tables: JSON lines or Parquet in, the same with more columns out."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from crawlmill import layout, rowfile
from crawlmill.errors import UserError

OUT = click.option("-o", "--output", default="-", help="Where to write: .jsonl, .jsonl.gz, .jsonl.zst, .parquet or - [-].")
NO_CRAWL_FILE = ("empty_file", "not_a_crawl_file")  # reasons that are about the whole file
RECIPE = click.option("--recipe", "recipe_file", help="Recipe file [CRAWLMILL_RECIPE].")


def _recipe(recipe_file: str | None) -> Any:
    from crawlmill.recipes import recipe

    return recipe.load(layout.recipe_path(recipe_file))


def _texts(name: str) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rowfile.read(name), 1):
        if not isinstance(row.get("text"), str):
            raise UserError(f"{name} row {number} has no text: each row needs a string `text`")
        yield row


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--backend", help="Extraction backend: crawlmill, resiliparse or trafilatura [the recipe's].")
@click.option("--rejects", is_flag=True, help="Write the rejected records, too, with their reason.")
@RECIPE
@OUT
def text(files: tuple[str, ...], backend: str | None, rejects: bool, recipe_file: str | None, output: str) -> None:
    """Main text of the pages in WARC or WET files (`-`: standard input); how many were rejected, and why, on standard error.

    \b
    Example: crawlmill text crawl.warc.gz --backend trafilatura | head -1
    """
    from crawlmill.text.html import BACKENDS

    options = _recipe(recipe_file).extract
    if backend:
        options = options.model_copy(update={"backend": backend})
    if options.backend not in BACKENDS:
        raise UserError(f"no extraction backend is called {options.backend!r}: there are {', '.join(BACKENDS)}")
    found = Found()
    rowfile.write(output, _pages(files, options, rejects, found))
    click.echo(str(found), err=True)
    if found.no_crawl_files:
        raise UserError(f"not read, since not crawl files: {', '.join(found.no_crawl_files)}: give WARC or WET files")


@dataclass
class Found:
    """What `text` met: documents, rejects by reason, files that are no crawl files."""

    documents: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    no_crawl_files: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(self.rejects.items(), key=lambda kv: (-kv[1], kv[0])))
        return f"{self.documents} documents, {self.rejects.total()} rejects" + (f" ({reasons})" if reasons else "")


def _pages(files: tuple[str, ...], options: Any, rejects: bool, found: Found) -> Iterator[dict[str, Any]]:
    from crawlmill.sources.pages import EVERY_TEXT, read_pages

    limits = replace(options.read_limits(), mimes=EVERY_TEXT)
    for name in files:
        for row in read_pages(sys.stdin.buffer if name == "-" else name, name, None, limits, options.text_options()):
            kind = row.pop("row")
            if kind == "document":
                found.documents += 1
                yield row
            elif kind == "reject":
                found.rejects[row["reason"]] += 1
                if row["reason"] in NO_CRAWL_FILE:
                    found.no_crawl_files.append(f"{name} ({row['message']})")
                if rejects:
                    yield row


@click.command()
@click.argument("file")
@RECIPE
@OUT
def identify(file: str, recipe_file: str | None, output: str) -> None:
    """Add language, script and score to rows with a `text`.

    \b
    Example: crawlmill text crawl.warc.gz | crawlmill identify - -o labelled.jsonl.zst
    """
    from crawlmill.text.language import identify_rows

    rowfile.write(output, identify_rows(_texts(file), _recipe(recipe_file)))


@click.command()
@click.argument("file")
@RECIPE
@OUT
def measure(file: str, recipe_file: str | None, output: str) -> None:
    """Add the quality signals to rows with a `text` (and, better, language and script).

    \b
    Example: crawlmill measure labelled.jsonl.zst -o measured.parquet
    """
    from crawlmill.text import reference
    from crawlmill.text.signals import measure_rows

    recipe = _recipe(recipe_file)
    reference.check(recipe.measure)
    rowfile.write(output, measure_rows(_texts(file), recipe))


@click.command()
@click.argument("file")
@click.option("-o", "--output", required=True, help="Where to write: a file .npz.")
@click.option(
    "--buckets", default=10_000, type=click.IntRange(min=1), show_default=True, help="Buckets that n-grams are hashed into."
)
def count_ngrams(file: str, output: str, buckets: int) -> None:
    """Count the words and pairs of words of rows with a `text`, for importance weights; prints what the recipe needs.

    \b
    Example: crawlmill count-ngrams wikipedia.jsonl.zst -o wikipedia.npz
    """
    from crawlmill.text import reference

    raw = reference.count((row["text"] for row in _texts(file)), buckets)
    with rowfile.whole_file(output) as out:
        out.write(raw)
    click.echo(f"{{path: {Path(output).resolve()}, sha256: {hashlib.sha256(raw).hexdigest()}}}")


@click.command()
@click.argument("file")
@RECIPE
@OUT
def dedup(file: str, recipe_file: str | None, output: str) -> None:
    """Add cluster, duplicate_of and similarity to rows with a `text`; all rows are held in memory.

    \b
    Example: crawlmill dedup labelled.jsonl.zst -o clustered.jsonl
    """
    from crawlmill.text.dedup_small import dedup_rows

    rowfile.write(output, dedup_rows(_texts(file), _recipe(recipe_file)))
