"""The crawl files of a snapshot as a recipe selects them: listing, sharding, groups for Airflow."""

from __future__ import annotations

from typing import Any

from crawlmill.errors import UserError
from crawlmill.lake import snapshot as snapshots
from crawlmill.lake.snapshot import Listing
from crawlmill.recipes.recipe import Recipe


def listing(source: str, snapshot: str, recipe: Recipe) -> Listing:
    """The selected crawl files by shard. Raises UserError: unknown snapshot, unreachable source, empty listing."""
    from crawlmill.sources.listing import check_snapshot, crawl_files

    snapshots.parse(snapshot)
    check_snapshot(source, snapshot)
    paths = crawl_files(source, snapshot, recipe.extract.kind)
    if not paths:
        raise UserError(
            f"snapshot {snapshot} at {source} lists no {recipe.extract.kind} files: wait for the crawl to be published"
        )
    options, select = recipe.extract, recipe.extract.select
    found = snapshots.listing(snapshot, paths, options.shards, options.files, select.seed, select.segments)
    if not found.shards:
        known = ", ".join(sorted({snapshots.segment_of(path) for path in paths})[:3])
        raise UserError(
            f"snapshot {snapshot} has no crawl file in the segments {', '.join(select.segments or ())}: it has {known} and others"
        )
    return found


def plan_shards(source: str, snapshot: str, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of shards, each the work of one extract task: `{"name": "shards 0-1, 4 files", "shards": "0-1"}`."""
    found = listing(source, snapshot, recipe)
    return [
        {
            "name": f"shards {snapshots.format_shards(group)}, {len(found.files(group))} files",
            "shards": snapshots.format_shards(group),
        }
        for group in snapshots.groups(found)
    ]
