"""Where the texts of an assessment come from: the corpus or a version of it, a release, a snapshot's part of the corpus, a file."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.lake import ledger, pins
from crawlmill.recipes.recipe_file import suggestion
from crawlmill.releases import release
from crawlmill.rows.lookup import dataset, newest, part

GROUPS = 200  # row groups that are read at most
Sample = dict[str, list[str]]


def draw(lake: str, name: str, documents: int) -> Sample:
    """Texts by language, those whose ids' hashes are least; the same every time. Raises UserError for what does not exist or has no text."""
    rows = _file(name) if Path(name).is_file() else _table(lake, name, documents)
    held: dict[str, list[tuple[bytes, str]]] = {}
    for identity, language, text in rows:
        own = held.setdefault(language, [])
        own.append((hashlib.blake2b(identity.encode("utf-8", "replace"), digest_size=8).digest(), text))
        if len(own) > 4 * documents + 100:
            held[language] = heapq.nsmallest(documents, own)
    if not held:
        raise UserError(f"{name} has no texts: ingest and publish first, or name something else")
    return {language: [text for _, text in heapq.nsmallest(documents, own)] for language, own in held.items()}


def _file(name: str) -> Iterator[tuple[str, str, str]]:
    """Rows with `text` and `language`; the text is the id of a row that has none."""
    for row in rowfile.read(name):
        if "language" not in row or "text" not in row:
            raise UserError(f"{name} has rows without `language` or `text`: label it by `crawlmill identify` first")
        yield str(row.get("id") or row["text"]), str(row["language"] or "und"), str(row["text"] or "")


def _table(lake: str, name: str, documents: int) -> Iterator[tuple[str, str, str]]:
    """Row groups in the order of a hash, until every language that was met has enough, or GROUPS were read."""
    data, own = _data(lake, name)
    groups = [group for fragment in data.get_fragments(filter=own) for group in fragment.split_by_row_group()]
    groups.sort(key=lambda group: hashlib.blake2b(f"{group.path} {group.row_groups}".encode(), digest_size=8).digest())
    counts: dict[str, int] = {}
    for group in groups[:GROUPS]:
        for row in group.to_table(schema=data.schema, columns=["id", "language", "text"], filter=own).to_pylist():
            language = row["language"] or "und"
            counts[language] = counts.get(language, 0) + 1
            yield row["id"], language, row["text"] or ""
        if counts and min(counts.values()) >= documents:
            return


def _data(lake: str, name: str) -> tuple[Any, Any]:
    from deltalake.exceptions import DeltaError

    if name in release.names(lake):
        table = f"releases/{name}/corpus"
        return dataset(lake, table, newest(lake, table)), None
    run = ledger.released(lake, "publish", pins.EVERY)
    if run is None:
        raise UserError(f"nothing is published in {lake}: run dedup and publish first")
    snapshots = pins.snapshots(pins.of(run))
    if name == "corpus" or name in snapshots:
        return dataset(lake, "corpus", run.output("corpus")), part(name) if name in snapshots else None
    if not name.isdigit():
        raise UserError(
            f"{name!r} is no snapshot of the corpus, release, version or file{suggestion(name, ['corpus', *snapshots, *release.names(lake)])}"
        )
    try:
        return dataset(lake, "corpus", int(name)), None
    except (DeltaError, OSError):
        raise UserError(f"the corpus has no version {name}: `crawlmill history corpus` lists them") from None
