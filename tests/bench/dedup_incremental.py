"""What the 2nd, 4th and 8th equal snapshot cost: stage dedup on a lake that grows by snapshots of the same size and overlap.

    python -m tests.bench.dedup_incremental TEXTS.parquet FOLDER [--documents 20000] [--overlap 0.3] [--snapshots 8]

Snapshot k holds real pages: a share of them with the contents of the first snapshot, the others as contents of their own whose sets and
collisions are those of the first snapshot's, under other keys. So every snapshot is of one size and has the same duplicates inside.
Everything runs on Spark, however small. CPU is that of the driver, the JVM and the Python workers, for transform and commit; the scan of
the bands of earlier snapshots is timed apart, by reading the same columns once more for each time that the engine does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.bench.dedup_meter import Meter

from crawlmill.contracts import contract
from crawlmill.dedup import local
from crawlmill.lake import fence, pins, table, table_log
from crawlmill.protocol import stage
from crawlmill.recipes.recipe import Recipe, Sketch, load
from crawlmill.text.minhash import scheme, sketches

SHARDS = 4


def snapshot_id(k: int) -> str:
    return f"CC-MAIN-2026-{10 + k}"


def sketched(texts: Path, documents: int) -> list[tuple[str, bytes, list[int]]]:
    """(content, set, keys) of the first documents of a file of texts."""
    found, rows = [], pq.read_table(texts, columns=["text"]).column("text").to_pylist()[:documents]
    for first in range(0, len(rows), 500):
        found += [(s.content, s.shingles, s.keys) for s in sketches(rows[first : first + 500], Sketch())]
    return found


def snapshot_rows(pages: list[tuple[str, bytes, list[int]]], k: int, overlap: float) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """Shard by shard the tables of snapshot k."""
    shift = int.from_bytes(hashlib.blake2b(str(k).encode(), digest_size=8).digest(), "little", signed=True)
    columns: list[dict[str, list[Any]]] = [{"id": [], "content": [], "shingles": [], "keys": []} for _ in range(SHARDS)]
    for n, (content, shingles, keys) in enumerate(pages):
        again = int(content[:8], 16) / 2**32 < overlap  # equal contents are all new or all known
        own = columns[n % SHARDS]
        own["id"].append(f"<urn:uuid:{uuid.UUID(int=(k << 64) + n)}>")
        own["content"].append(content if again else hashlib.blake2b(f"{k}{content}".encode(), digest_size=16).hexdigest())
        own["shingles"].append(shingles or None)
        own["keys"].append(keys if again else [key ^ shift for key in keys])
    for shard, own in enumerate(columns):
        first = set[str]()
        once = [not (c in first or first.add(c)) for c in own["content"]]  # type: ignore[func-returns-value]
        count = len(once)
        signatures = pa.table({
            "id": own["id"], "content": own["content"], "scheme": [scheme(Sketch())] * count, "tokens": pa.array([1] * count, pa.int32()),
            "shingle_count": pa.array([1] * count, pa.int32()), "shingles": [s if o else None for s, o in zip(own["shingles"], once, strict=True)],
            "sampled": [False] * count,
        })  # fmt: skip
        keys = [(b, key, c) for c, ks, o in zip(own["content"], own["keys"], once, strict=True) if o for b, key in enumerate(ks)]
        keys.sort()
        bands = pa.table({
            "scope": ["all"] * len(keys), "band": pa.array([row[0] for row in keys], pa.int32()),
            "key": pa.array([row[1] for row in keys], pa.int64()), "content": [row[2] for row in keys],
        })  # fmt: skip
        yield (
            shard,
            {"signatures": signatures, "bands": bands, "verdicts": pa.table({"id": own["id"], "eligible": [True] * count})},
        )


def put(lake: str, name: str, snapshot: str, shards: dict[int, pa.Table]) -> int:
    """Files and one commit, as the stage would leave them."""
    actions: list[dict[str, Any]] = [{"commitInfo": {"timestamp": 0, "operation": "WRITE", "operationParameters": {},
                                                     "userMetadata": json.dumps({"stage": pins.WRITTEN_BY[name], "snapshot": snapshot})}}]  # fmt: skip
    for shard, rows in shards.items():
        relative = f"snapshot={snapshot}/shard={shard}/part.parquet"
        path = Path(lake) / name / relative
        path.parent.mkdir(parents=True)
        pq.write_table(rows, path, compression="zstd", row_group_size=1 << 17)
        actions.append({"add": {"path": relative, "partitionValues": {"snapshot": snapshot, "shard": str(shard)}, "size": path.stat().st_size,
                                "modificationTime": 0, "dataChange": True, "stats": json.dumps({"numRecords": rows.num_rows})}})  # fmt: skip
    version = table.version(lake, name) + 1
    contract._commit(Path(lake) / name, version, actions)
    return version


def settle(spark: Any, lake: str, recipe: Recipe, pinned: dict[tuple[str, str], int]) -> None:
    """One run of the stage, without its checks."""
    dedup, context = stage.load("dedup"), stage.Context(spark, stage.Job(lake, recipe, ""), dict(pinned))
    token = fence.draw(lake, "dedup", "*", None, "bench")
    assert dedup.commit is not None
    dedup.commit(context, table.Commit(lake, "dedup", "*", None, token, {"run_id": str(token)}), dedup.transform(context))
    spark.catalog.clearCache()


def scan(spark: Any, lake: str, pinned: dict[str, int]) -> None:
    """What the engine reads of the bands of earlier snapshots: band 0 for ranks, all for buckets."""
    rows = table.read_pinned(spark, lake, "bands", pinned).select("snapshot", "scope", "band", "key", "content")
    for part in (rows.where("band = 0"), rows):
        part.selectExpr("bit_xor(xxhash64(*))").collect()


def size(lake: str, name: str, snapshots: list[str]) -> int:
    return sum(file.stat().st_size for s in snapshots for file in (Path(lake) / name / f"snapshot={s}").rglob("*.parquet"))


def measure(
    spark: Any, lake: str, pages: list[tuple[str, bytes, list[int]]], overlap: float, count: int, show: bool = True
) -> None:
    """Grow a lake and print a line a snapshot."""
    from crawlmill.dedup import removals

    removals.commit = lambda *_: 0  # type: ignore[assignment]  # the guard's own counts are not the engine's
    table.create_all(lake)
    recipe, pinned, meter, first = load(), dict[tuple[str, str], int](), Meter(), 0.0
    for k in range(count):
        shards: dict[str, dict[int, pa.Table]] = {"signatures": {}, "bands": {}, "verdicts": {}}
        for shard, tables in snapshot_rows(pages, k, overlap):
            for name, rows in tables.items():
                shards[name][shard] = rows
        earlier = [snapshot_id(i) for i in range(k)]
        for name, parts in shards.items():
            pinned[name, snapshot_id(k)] = put(lake, name, snapshot_id(k), parts)
        at = meter.cpu()
        settle(spark, lake, recipe, pinned)
        settled = meter.cpu()
        scan(spark, lake, {s: pinned["bands", s] for s in earlier})
        scanned = meter.cpu() - settled if earlier else 0.0
        first = first or settled - at
        if show:
            rest = settled - at - scanned
            print(
                f"{k + 1:2d}  {len(pages):7d}  CPU {settled - at:6.1f} s  scan {scanned:5.1f} s  without {rest:6.1f} s  = {rest / first:4.2f} x the 1st   "
                f"earlier bands {size(lake, 'bands', earlier) / 1e6:7.1f} MB  sets {size(lake, 'signatures', earlier) / 1e6:7.1f} MB  "
                f"pairs {table_log.size(lake, 'pairs') / 1e6:5.1f} MB  clusters {table_log.size(lake, 'clusters') / 1e6:5.1f} MB",
                flush=True,
            )


def main() -> None:
    from crawlmill.protocol.session import build

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--overlap", type=float, default=0.3)
    parser.add_argument("--snapshots", type=int, default=8)
    given = parser.parse_args()
    local.SMALL = 0
    pages = sketched(given.texts, given.documents)
    spark = build("dedup incremental")
    # Once through all code on a small lake first: the first snapshot must not pay for compiling it.
    measure(spark, str(given.folder / "warm"), pages[:500], given.overlap, 2, show=False)
    print(
        f"{len(pages)} documents a snapshot, {np.mean([bool(p[2]) for p in pages]):.1%} with shingles, overlap {given.overlap:.0%}"
    )
    measure(spark, str(given.folder / "lake"), pages, given.overlap, given.snapshots)
    spark.stop()


if __name__ == "__main__":
    main()
