"""A release as files that trainers read: Parquet or JSON lines, in shards of a size, shuffled by a seed, with tokens counted where asked.

The one place where texts go through an exchange: a shuffle of the whole is what is asked for. A document's place is a function of the seed and its id,
so the same release and seed give the same files, whatever the number of machines. They go to a folder that all of these share, or to a bucket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from crawlmill import layout, rowfile
from crawlmill.errors import UserError
from crawlmill.releases import release
from crawlmill.storage import bucket, lake_files

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

FILES = "file string, documents long, tokens long, bytes long, sha256 string"


def export(
    spark: SparkSession,
    lake: str,
    name: str,
    out: str | Path,
    kind: str = "parquet",
    shard_mb: int = 256,
    seed: int = 0,
    tokenizer: Path | None = None,
) -> list[dict[str, Any]]:
    """Write a release as shards; returns a row a file: file, documents, tokens (null where none are counted), bytes, sha256.

    Args:
        spark: session.
        lake: that the release is in.
        name: of the release.
        out: a folder that is empty or absent and that all machines share, or s3a://bucket/prefix; `index.json` there comes last.
        kind: parquet, jsonl.zst or jsonl.gz.
        shard_mb: megabytes (10^6 bytes) of UTF-8 text in a shard, before compression, about.
        seed: of the shuffle.
        tokenizer: a `tokenizer.json` of the `tokenizers` library; adds a column `token_count`.

    Raises:
        UserError: no such release, a folder that holds something or that is another one on each machine, a tokenizer that cannot be read.
    """
    made, vocabulary = check(lake, name, out, tokenizer)
    to = _place(out)
    shards = max(1, ceil(made["total"]["bytes"] / (shard_mb * 1_000_000)))
    rows = spark.read.format("delta").load(f"{release.root(lake, name)}/corpus")
    files = [
        row.asDict() for row in _shuffled(rows, shards, seed).mapInArrow(_writer(to, kind, shards, vocabulary), FILES).collect()
    ]
    files.sort(key=lambda row: row["file"])
    if (written := sum(row["documents"] for row in files)) != made["total"]["documents"]:
        raise UserError(
            f"{written} of {made['total']['documents']} documents were written to {out}: empty the folder and export again"
        )
    index = {
        "release": name,
        "key": made["key"],
        "seed": seed,
        "tokenizer": tokenizer.name if tokenizer else None,
        "files": files,
    }
    _require_all(to, [row["file"] for row in files])
    lake_files.replace(to, "index.json", (json.dumps(index, indent=1) + "\n").encode())
    return files


def check(lake: str, name: str, out: str | Path, tokenizer: Path | None = None) -> tuple[dict[str, Any], str | None]:
    """The release's manifest and the tokenizer's JSON; raises what `export` raises, before Spark is needed."""
    made = release.manifest(lake, name)
    if made is None:
        known = ", ".join(release.names(lake)) or "none yet"
        raise UserError(f"there is no release {name} in {lake} (there are: {known}): build it with `crawlmill release`")
    _require_empty(_place(out))
    return made, None if tokenizer is None else _read_tokenizer(tokenizer)


def _place(out: str | Path) -> str:
    """The folder, or the bucket with its prefix, as lakes are named."""
    return layout.lake_root(str(out)) if "://" in str(out) else str(out)


def _require_empty(to: str) -> None:
    try:
        if not lake_files.is_bucket(to):
            Path(to).mkdir(parents=True, exist_ok=True)
        if bucket.names(to, "", 1) if lake_files.is_bucket(to) else any(Path(to).iterdir()):
            raise UserError(f"{to} is not empty: give a new folder with --out")
    except OSError as error:
        raise UserError(f"{to} cannot be written ({error.strerror}): give another folder with --out") from None


def _require_all(to: str, names: list[str]) -> None:
    """Raise UserError where executors on other machines wrote to folders of their own."""
    if lacking := sorted(set(names) - set(lake_files.names(to, ""))):
        raise UserError(
            f"{len(lacking)} of {len(names)} files are not in {to}, but on other machines: give a folder that all share, or s3a://bucket/prefix"
        )


def _read_tokenizer(path: Path) -> str:
    """The tokenizer's JSON, once read as one."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise UserError(
            "counting tokens needs the package `tokenizers`: `pip install tokenizers`, or export without --tokenizer"
        ) from None
    try:
        text = path.read_text()
        Tokenizer.from_str(text)
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"{path} is no tokenizer ({error}): give a tokenizer.json") from None
    return text


def _shuffled(rows: DataFrame, shards: int, seed: int) -> DataFrame:
    """Rows with their shard, those of a shard together and in order."""
    from pyspark.sql import functions as F

    place = F.xxhash64(F.lit(seed), "id", "snapshot")
    placed = rows.withColumn("_order", place).withColumn("_shard", F.pmod(place, F.lit(shards)))
    return placed.repartition(min(shards, 2000), "_shard").sortWithinPartitions("_shard", "_order", "id", "snapshot")


def _writer(to: str, kind: str, shards: int, vocabulary: str | None) -> Any:
    """What a worker does with the shards of its partition: one file each, written whole or not at all."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        count = _counter(vocabulary)
        rows = (row for batch in batches for row in batch.to_pylist())
        for shard, own in groupby(rows, key=lambda row: row["_shard"]):
            tokens: list[int] = []
            with _file(to, f"{shard:05d}-of-{shards:05d}.{kind}") as path:
                documents = rowfile.write(str(path), _finished(own, count, tokens))
                entry = {
                    "file": path.name, "documents": documents, "tokens": sum(tokens) if count else None,
                    "bytes": path.stat().st_size, "sha256": _sha256(path),
                }  # fmt: skip
            yield pa.RecordBatch.from_pylist([entry], schema=_file_schema())

    return write


@contextmanager
def _file(to: str, name: str) -> Iterator[Path]:
    """Where a file is written to; if that is a bucket, it goes there when the block is through."""
    if not lake_files.is_bucket(to):
        yield Path(to) / name
        return
    with TemporaryDirectory(prefix="crawlmill-export-") as folder:
        yield Path(folder) / name
        bucket.upload(to, name, Path(folder) / name)


def _file_schema() -> pa.Schema:
    """The rows of `FILES` for Arrow."""
    import pyarrow as pa

    number, text = pa.int64(), pa.string()
    return pa.schema([("file", text), ("documents", number), ("tokens", number), ("bytes", number), ("sha256", text)])


def _finished(rows: Iterator[dict[str, Any]], count: Any, tokens: list[int]) -> Iterator[rowfile.Row]:
    for row in rows:
        kept = {name: value for name, value in row.items() if not name.startswith("_")}
        if count:
            tokens.append(count(row["text"]))
            kept["token_count"] = tokens[-1]
        yield kept


def _counter(vocabulary: str | None) -> Any:
    """Text to number of tokens, special ones left out; None where none are counted."""
    if vocabulary is None:
        return None
    from tokenizers import Tokenizer

    found = Tokenizer.from_str(vocabulary)
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
