"""The documents that rules are tried on: 10,000 of a language with their signals, verdicts and texts, held in memory.

Which ones: shards in the order of a hash, of each whole row groups of `documents`, until there are enough; of these the ones whose ids' hashes are
least. So a sample of a large snapshot reads some row groups, not the snapshot, and is the same every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from crawlmill.errors import UserError
from crawlmill.explain import whatif
from crawlmill.lake import pins
from crawlmill.lake.snapshot import MAX_SHARDS
from crawlmill.rows.lookup import Reader, dataset, part
from crawlmill.text import rules

SIZE = 10_000
CHARS = 20_000  # of a text that is kept: a pattern sees so much of it


@dataclass(frozen=True)
class Sample:
    """Documents in a random order that never changes: any beginning of it is a sample, too.

    Attributes:
        verdicts: Arrow table of id, language, language_script, eligible, failed.
        batch: Arrow record batch of the labels, the signals and the annotations, in the same order.
        urls, before, after: a text a document, extracted and after hooks.
        measured: names of the columns that rules may read.
    """

    snapshot: str
    language: str | None
    verdicts: Any
    batch: Any
    urls: list[str]
    before: list[str]
    after: list[str]
    measured: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.urls)

    def column(self, name: str) -> Any:
        """A signal as numpy floats, NaN for null."""
        return self.batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64)


def draw(lake: str, snapshot: str, language: str | None = None, size: int = SIZE) -> Sample:
    """The sample of a snapshot, of one language or of all; the last few are kept. Raises UserError where there is nothing to draw from."""
    at = pins.newest(lake, snapshot)
    if not {"verdicts", "signals"} <= at.keys():
        raise UserError(f"{snapshot} has not passed the gate: run it first, or choose another snapshot")
    return _drawn(lake, snapshot, language, size, tuple(sorted(at.items())))


@lru_cache(maxsize=4)
def _drawn(lake: str, snapshot: str, language: str | None, size: int, versions: tuple[tuple[str, int], ...]) -> Sample:
    import pyarrow as pa

    at = dict(versions)
    measured = _measured(lake, at)
    parts: list[tuple[Any, Any, dict[str, tuple[str, str]], dict[str, str]]] = []
    held = 0
    for shard in _shards(lake, snapshot, at):
        verdicts, texts, changed = _of_shard(lake, snapshot, shard, at, language, size - held)
        if verdicts.num_rows:
            batch = whatif.annotated(lake, snapshot, shard, at, verdicts, list(measured))
            parts.append((verdicts, pa.Table.from_batches([batch]), texts, changed))
            held += verdicts.num_rows
        if held >= size:
            break
    if not held:
        raise UserError(
            f"{snapshot} has no documents{f' in {language}' if language else ''}: choose another language or snapshot"
        )
    verdicts = pa.concat_tables([one for one, *_ in parts]).combine_chunks()
    batch = pa.concat_tables([one for _, one, *_ in parts]).combine_chunks()
    ids = verdicts["id"].to_pylist()
    order = np.array(sorted(range(len(ids)), key=lambda n: _hash(ids[n]))[:size])
    known = {identity: text for *_, texts, _ in parts for identity, text in texts.items()}
    after = {identity: text for *_, changed in parts for identity, text in changed.items()}
    chosen = [ids[n] for n in order]
    return Sample(
        snapshot, language, verdicts.take(order), batch.take(order).combine_chunks().to_batches()[0],
        [known[one][0] for one in chosen], [known[one][1] for one in chosen], [after.get(one, known[one][1]) for one in chosen], measured,
    )  # fmt: skip


def _hash(name: object) -> bytes:
    return hashlib.blake2b(str(name).encode("utf-8", "replace"), digest_size=8).digest()


def _measured(lake: str, at: dict[str, int]) -> tuple[str, ...]:
    """The numbers that a snapshot's documents have: columns of `signals`, and the annotations of `languages`."""
    import pyarrow as pa

    schema = dataset(lake, "signals", at["signals"]).schema
    own = [one.name for one in schema if pa.types.is_floating(one.type) or pa.types.is_integer(one.type)]
    return (*(name for name in own if name != "shard"), *rules.ANNOTATIONS)


def _shards(lake: str, snapshot: str, at: dict[str, int]) -> list[int]:
    from deltalake import DeltaTable

    found = DeltaTable(f"{lake}/verdicts", version=at["verdicts"]).partitions([("snapshot", "=", snapshot)])
    return sorted({int(one["shard"]) for one in found if int(one["shard"]) < MAX_SHARDS}, key=_hash)


def _of_shard(
    lake: str, snapshot: str, shard: int, at: dict[str, int], language: str | None, wanted: int
) -> tuple[Any, dict[str, tuple[str, str]], dict[str, str]]:
    """Verdicts, (URL, text) and changed texts of some documents of a shard: whole row groups, until there are enough."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    columns = ["id", "language", "language_script", "eligible", "failed", "recipe_key"]
    own = part(snapshot, shard) if language is None else part(snapshot, shard) & (ds.field("language") == language)
    verdicts = dataset(lake, "verdicts", at["verdicts"]).to_table(columns=columns, filter=own).combine_chunks()
    ids, texts = verdicts["id"].cast(pa.string()).combine_chunks(), dict[str, tuple[str, str]]()
    for group in _groups(lake, snapshot, shard, at):
        if len(texts) >= wanted:
            break
        texts |= {row["id"]: (row["url"] or "", (row["text"] or "")[:CHARS]) for row in _rows(group, ids, ["id", "url", "text"])}
    verdicts = verdicts.filter(pc.is_in(ids, value_set=pa.array(list(texts), pa.string())))
    changed = (
        Reader(lake).by_id("rewrites", at["rewrites"], snapshot, shard, list(texts), ["id", "text"]) if "rewrites" in at else []
    )
    return verdicts, texts, {row["id"]: row["text"][:CHARS] for row in changed}


def _groups(lake: str, snapshot: str, shard: int, at: dict[str, int]) -> Iterator[Any]:
    data = dataset(lake, "documents", at["documents"])
    for fragment in data.get_fragments(filter=part(snapshot, shard)):
        for group in fragment.split_by_row_group():
            yield data.schema, group


def _rows(group: Any, ids: Any, columns: list[str]) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    schema, one = group
    held = one.to_table(schema=schema, columns=["id"])["id"].cast(pa.string())
    here = held.filter(pc.is_in(held, value_set=ids)).combine_chunks()
    if not len(here):
        return []
    found: list[dict[str, Any]] = one.to_table(schema=schema, columns=columns, filter=ds.field("id").isin(here)).to_pylist()
    return found
