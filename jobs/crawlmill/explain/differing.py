"""What differs between two snapshots, or two versions of the corpus or releases: what came, what went, what changed. Read without Spark.

Pages of two snapshots are the same by URL, documents of two versions of the corpus or of two releases by (snapshot, id). A URL or id is held as
16 bytes of its hash, so a hundred million pages need some gigabytes: compare fewer snapshots' worth on a small machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from crawlmill.errors import UserError
from crawlmill.explain import excerpts
from crawlmill.lake import ledger, pins
from crawlmill.lake import snapshot as snapshots
from crawlmill.recipes.recipe_file import suggestion
from crawlmill.releases import release
from crawlmill.rows.lookup import Reader, dataset, newest, part

SIDES = ("came", "went", "changed", "same")


@dataclass
class Difference:
    """Counts by side, by language and side, by rule on both sides, and samples of each side: url, language, id, text before and after, word diff."""

    a: str
    b: str
    total: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    languages: dict[str, dict[str, int]] = field(default_factory=dict)
    rules: dict[str, list[int]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Page:
    language: str
    content: str
    where: tuple[str, int, str]  # snapshot, shard, id


@dataclass(frozen=True)
class _Corpus:
    """A version of a table that has the columns of the corpus."""

    name: str
    table: str
    version: int


def compare(lake: str, a: str, b: str, samples: int = 3) -> Difference:
    """The difference between two snapshots, or two of versions of the corpus (numbers) and releases (names).

    Raises UserError where one of them does not exist, or a snapshot is compared with what is none.
    """
    reader = Reader(lake)
    sides = [_named(lake, side) for side in (a, b)]
    if sides[0] and sides[1]:
        left, right = (dict(_corpus(reader, side)) for side in sides if side)
        return _fill(Difference(sides[0].name, sides[1].name), reader, left, right, samples, (sides[0], sides[1]))
    if sides[0] or sides[1]:
        raise UserError(
            f"{a} and {b} are of two kinds: give two snapshots, or two of versions of the corpus (numbers) and releases"
        )
    first, second = (_versions(lake, side) for side in (a, b))
    left, right = dict(_pages(reader, a, first)), dict(_pages(reader, b, second))
    found = _fill(Difference(a, b), reader, left, right, samples, None)
    before, after = _fired(reader, a, first), _fired(reader, b, second)
    found.rules = {rule: [before[rule], after[rule]] for rule in sorted(before | after)}
    return found


def _named(lake: str, side: str) -> _Corpus | None:
    """What a number or a release's name stands for; None for a snapshot."""
    if side.isdigit():
        return _Corpus(f"corpus {side}", "corpus", int(side))
    known = release.names(lake)
    if side in known:
        table = f"releases/{side}/corpus"
        return _Corpus(f"release {side}", table, newest(lake, table))
    if not side.upper().startswith("CC-MAIN"):
        raise UserError(f"{side!r} is no snapshot, version of the corpus or release{suggestion(side, known)}")
    return None


def _versions(lake: str, snapshot: str) -> dict[str, int]:
    at = pins.newest(lake, snapshots.parse(snapshot))
    if "signatures" not in at:
        sketch = ledger.released(lake, "sketch", snapshot)
        at |= {"signatures": sketch.output("signatures")} if sketch else {}
    if not {"verdicts", "signatures"} <= at.keys():
        raise UserError(f"{snapshot} has not passed gate and sketch: run it first, or compare others")
    return at


def _pages(reader: Reader, snapshot: str, at: dict[str, int]) -> Iterator[tuple[bytes, _Page]]:
    """Every document of a snapshot by the hash of its URL; of several captures of one URL the one with the least id."""
    shards = sorted({int(file["shard"]) for file in _partitions(reader.lake, "verdicts", at["verdicts"], snapshot)})
    pages: dict[bytes, _Page] = {}
    for shard in shards:
        labels = _by_id(reader, "verdicts", at["verdicts"], snapshot, shard, "language")
        content = _by_id(reader, "signatures", at["signatures"], snapshot, shard, "content")
        for identity, url in _by_id(reader, "documents", at["documents"], snapshot, shard, "url").items():
            key = hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=16).digest()
            page = _Page(labels[identity], content.get(identity, ""), (snapshot, shard, identity))
            if key not in pages or identity < pages[key].where[2]:
                pages[key] = page
    yield from pages.items()


def _partitions(lake: str, table: str, at: int, snapshot: str) -> list[dict[str, Any]]:
    from deltalake import DeltaTable

    return DeltaTable(f"{lake}/{table}", version=at).partitions([("snapshot", "=", snapshot)])


def _by_id(reader: Reader, table: str, at: int, snapshot: str, shard: int, column: str) -> dict[str, Any]:
    rows = dataset(reader.lake, table, at).to_table(columns=["id", column], filter=part(snapshot, shard))
    return dict(zip(rows["id"].to_pylist(), rows[column].to_pylist(), strict=True))


def _corpus(reader: Reader, side: _Corpus) -> Iterator[tuple[bytes, _Page]]:
    from deltalake.exceptions import DeltaError

    try:
        data = dataset(reader.lake, side.table, side.version)
    except (DeltaError, OSError):
        raise UserError(f"the corpus has no version {side.version}: `crawlmill history corpus` lists them") from None
    for batch in data.to_batches(columns=["snapshot", "shard", "id", "language", "text"]):
        for row in batch.to_pylist():
            content = hashlib.blake2b(row["text"].encode("utf-8", "replace"), digest_size=16).hexdigest()
            key = hashlib.blake2b(f"{row['snapshot']} {row['id']}".encode(), digest_size=16).digest()
            yield key, _Page(row["language"], content, (row["snapshot"], row["shard"], row["id"]))


def _fired(reader: Reader, snapshot: str, at: dict[str, int]) -> Counter[str]:
    """How many documents of a snapshot fail each rule."""
    counts: Counter[str] = Counter()
    for batch in dataset(reader.lake, "verdicts", at["verdicts"]).to_batches(columns=["failed"], filter=part(snapshot)):
        counts.update(rule["rule"] for failed in batch.column(0).to_pylist() for rule in failed)
    return counts


def _fill(
    found: Difference,
    reader: Reader,
    left: dict[bytes, _Page],
    right: dict[bytes, _Page],
    most: int,
    versions: tuple[_Corpus, _Corpus] | None,
) -> Difference:
    """Count sides; samples are those with the least hashes."""
    chosen: dict[str, list[bytes]] = {side: [] for side in SIDES[:3]}
    for key in sorted(left.keys() | right.keys()):
        before, after = left.get(key), right.get(key)
        side = "came" if before is None else "went" if after is None else "same" if before.content == after.content else "changed"
        page = after or before
        assert page is not None
        found.total[side] += 1
        own = found.languages.setdefault(page.language, dict.fromkeys(SIDES, 0))
        own[side] += 1
        if side != "same" and len(chosen[side]) < most:
            chosen[side].append(key)
    for side, keys in chosen.items():
        found.samples[side] = [_sample(reader, left.get(key), right.get(key), versions) for key in keys]
    return found


def _sample(
    reader: Reader, before: _Page | None, after: _Page | None, versions: tuple[_Corpus, _Corpus] | None
) -> dict[str, Any]:
    page = after or before
    assert page is not None
    rows = [_row(reader, one, versions[n] if versions else None) for n, one in enumerate((before, after))]
    url = next((excerpts.mask(row["url"]) for row in reversed(rows) if row), None)
    texts = {name: excerpts.mask(row["text"]) if row else None for name, row in zip(("before", "after"), rows, strict=True)}
    changed = excerpts.diff(rows[0]["text"], rows[1]["text"]) if rows[0] and rows[1] else None
    return {"url": url, "language": page.language, "id": page.where[2], "snapshot": page.where[0], **texts, "diff": changed}


def _row(reader: Reader, page: _Page | None, side: _Corpus | None) -> dict[str, str] | None:
    """URL and text: of a version of the corpus, else of the snapshot's documents after hooks."""
    if page is None:
        return None
    snapshot, shard, identity = page.where
    if side is not None:
        rows = reader.by_id(side.table, side.version, snapshot, shard, [identity], ["url", "text"])
        return rows[0] if rows else None
    at = pins.newest(reader.lake, snapshot)
    rows = reader.by_id("documents", at["documents"], snapshot, shard, [identity], ["url", "text"])
    changed = reader.by_id("rewrites", at["rewrites"], snapshot, shard, [identity], ["text"])
    return {**rows[0], **(changed[0] if changed else {})} if rows else None
