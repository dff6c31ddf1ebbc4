"""Releases that hold pages which are taken down: withdrawn, and built again without them under a name of their own.

A withdrawn release keeps its folder, its manifest as `withdrawn.json`, and its name, which is never given again; its rows are deleted at once.
Copies that left the lake (`crawlmill export`) are out of reach: whoever has them learns from the data card which release takes their place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crawlmill.protocol.stage import Job
from crawlmill.releases import release
from crawlmill.storage import lake_files
from crawlmill.takedowns import takedown_rows
from crawlmill.takedowns.orders import Orders

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def concerned(spark: SparkSession, lake: str, known: Orders) -> list[str]:
    """The releases in which orders name a document."""
    found = []
    for name in release.names(lake):
        rows = spark.read.format("delta").load(f"{release.root(lake, name)}/corpus")
        if not takedown_rows.matching(rows, known).isEmpty():
            found.append(name)
    return found


def successor(name: str) -> str:
    """The name of the release in its place: `web-2026.10` ► `web-2026.10-r2` ► `web-2026.10-r3`."""
    found = re.fullmatch(r"(.*)-r(\d+)", name)
    return f"{found[1]}-r{int(found[2]) + 1}" if found else f"{name[: 64 - len('-r2')]}-r2"


def withdraw(lake: str, name: str, order: str) -> str:
    """Withdraw a release; returns the name of its successor, which is still to be built."""
    root, after = release.root(lake, name), successor(name)
    entry = {**(release.manifest(lake, name) or {}), "withdrawn": {"order": order, "successor": after}}
    said = f"# {name}\n\nWithdrawn by {order}; release {after} takes its place. Delete copies and exports of this one.\n"
    lake_files.replace(root, "withdrawn.json", (json.dumps(entry, indent=1, ensure_ascii=False) + "\n").encode())
    lake_files.replace(root, "README.md", said.encode())
    lake_files.remove(root, "manifest.json")
    lake_files.remove(root, "corpus")
    return after


def due(lake: str) -> list[dict[str, Any]]:
    """The manifests of withdrawn releases whose successors are not there yet."""
    names = (name.split("/") for name in lake_files.names(lake, "releases"))
    found = [release.withdrawn(lake, parts[1]) or {} for parts in names if len(parts) == 3 and parts[2] == "withdrawn.json"]
    return [
        entry for entry in found
        if not release.manifest(lake, entry["withdrawn"]["successor"]) and not release.withdrawn(lake, entry["withdrawn"]["successor"])
    ]  # fmt: skip


def succeed(spark: SparkSession, lake: str, say: Callable[[str], None]) -> list[str]:
    """Build the successors that are due, by the recipes of the releases that they replace; returns their names.

    Raises what `release.build` raises; what is built stays.
    """
    from crawlmill.recipes.recipe import Recipe

    built = []
    for entry in due(lake):
        name = entry["withdrawn"]["successor"]
        say(f"building release {name} in place of {entry['name']}")
        job = Job(lake=lake, recipe=Recipe.model_validate(entry["recipe"]), source="")
        most = entry.get("greatest_weight", release.MOST)
        release.build(
            spark, job, name, entry["snapshots"], most, say, {"release": entry["name"], "order": entry["withdrawn"]["order"]}
        )
        built.append(name)
    return built
