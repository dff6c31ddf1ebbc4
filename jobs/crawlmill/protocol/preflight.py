"""`crawlmill check`: everything that a long run needs, looked at before it starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from crawlmill import layout
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.recipes import recipe
from crawlmill.storage import bucket, lake_files

FREE_GIB = 2.0


def report(lake: str | None, source: str | None, recipe_file: str | None, snapshot: str | None, with_spark: bool) -> int:
    """Print a line per check, `ok` or what is wrong with the remedy; returns how many failed."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("recipe", lambda: _recipe(recipe_file)),
        ("models", lambda: _models(recipe_file)),
        ("java", _java),
        ("jars", lambda: f"{len(layout.jars())} Delta jars"),
        ("disk", lambda: _disk(lake)),
        ("tables", lambda: _tables(lake)),
        ("source", lambda: _source(source)),
    ]
    if snapshot:
        checks.append(("record", lambda: _record(source, snapshot, recipe_file)))
    if with_spark:
        checks.append(("spark", _spark))
    return sum(not _one(name, check) for name, check in checks)


def _one(name: str, check: Callable[[], str]) -> bool:
    try:
        click.echo(f"{name:<8} ok    {check()}")
    except CrawlmillError as error:
        click.echo(f"{name:<8} {click.style('wrong', fg='red')} {error}")
        return False
    return True


def _recipe(recipe_file: str | None) -> str:
    path = layout.recipe_path(recipe_file)
    return f"{path}, hash {recipe.load(path).hash()[:12]}"


def _models(recipe_file: str | None) -> str:
    from crawlmill.text import language, reference

    loaded = recipe.load(layout.recipe_path(recipe_file))
    reference.check(loaded.measure)
    options = loaded.identify
    language.identifier(options).identify(["All models answer."])
    return f"{options.model}, sha256 {str(options.sha256)[:12]}"


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not java or not Path(java).exists():
        raise UserError("no Java: set JAVA_HOME to a Java 17 or newer, or run `make setup`, which takes one from a package")
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)[^"]*"', shown)
    if not found or int(found[1]) < 17:
        raise UserError(f"{java} is not Java 17 or newer: set JAVA_HOME to one, or run `make setup`")
    return f"{java}, {found[0]}"


def _disk(lake: str | None) -> str:
    found = layout.lake_root(lake)
    if lake_files.is_bucket(found):
        bucket.probe(found)
        return f"{found}, which keeps the condition of a PUT"
    root = Path(found)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=root):
            pass
    except OSError as error:
        raise UserError(f"lake {root} cannot be written ({error.strerror}): give another folder with --lake") from None
    free = shutil.disk_usage(root).free / 2**30
    if free < FREE_GIB:
        raise UserError(
            f"{root} has {free:.1f} GiB free, {FREE_GIB:.0f} are needed: free some space or give another folder with --lake"
        )
    return f"{root}, {free:.0f} GiB free"


def _tables(lake: str | None) -> str:
    from crawlmill.contracts import contract
    from crawlmill.lake import intact

    root = layout.lake_root(lake)
    if not any(lake_files.holds(f"{root}/{name}", "_delta_log", ".json") for name in ("runs", "documents")):
        return "there are none yet"
    intact.refuse(intact.of_lake(root))
    return f"{len(contract.all_tables())} tables hold what the ledger says"


def _source(source: str | None) -> str:
    from crawlmill.sources.listing import collinfo

    root = layout.source_root(source)
    return f"{root}, {len(collinfo(root))} snapshots"


def _record(source: str | None, snapshot: str, recipe_file: str | None) -> str:
    from crawlmill.protocol import crawl
    from crawlmill.sources import fetch
    from crawlmill.sources.pages import read_pages

    loaded, root = recipe.load(layout.recipe_path(recipe_file)), layout.source_root(source)
    found = crawl.listing(root, snapshot, loaded)
    path = found.files()[0][1]
    options = loaded.extract
    with fetch.open_file(root, path) as stream:
        for row in read_pages(stream, path, options.kind, options.read_limits(), options.backend):
            if row["row"] == "document":
                return f"{row['url']}: {len(row['text'])} characters of text"
    raise UserError(f"{path} of {snapshot} yields no document")


def _spark() -> str:
    from crawlmill.protocol.session import build

    spark = build("crawlmill check")
    try:
        with tempfile.TemporaryDirectory() as folder:
            spark.range(3).write.format("delta").save(f"{folder}/t")
            count = spark.read.format("delta").load(f"{folder}/t").count()
        if count != 3:
            raise UserError("Spark wrote three rows to a Delta table and read back another number")
        return f"Spark {spark.version} wrote and read a Delta table"
    finally:
        spark.stop()
