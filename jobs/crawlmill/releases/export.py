"""A release as files that trainers read: Parquet or JSON lines, in shards of a size, shuffled by a seed, with tokens counted where asked,
and in a form of `crawlmill.text.forms` where one is named.

The one place where texts go through an exchange: a shuffle of the whole is what is asked for. A document's place is a function of the seed and its id,
so the same release and seed give the same files, whatever the number of machines. They go to a folder that all of these share, or to a bucket.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from crawlmill import layout, rowfile
from crawlmill.errors import UserError
from crawlmill.releases import export_shape, release
from crawlmill.releases.export_shape import PLAIN, Shape
from crawlmill.storage import bucket, lake_files
from crawlmill.text import forms

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

FILES = "file string, documents long, rows long, tokens long, bytes long, sha256 string"


def export(
    spark: SparkSession,
    lake: str,
    name: str,
    out: str | Path,
    kind: str = "parquet",
    shard_mb: int = 256,
    seed: int = 0,
    tokenizer: Path | None = None,
    shape: Shape = PLAIN,
) -> list[dict[str, Any]]:
    """Write a release as shards; returns a row a file: file, documents, rows, tokens of the documents (null where none are counted), bytes, sha256.

    Args:
        spark: session.
        lake: that the release is in.
        name: of the release.
        out: a folder that is empty or absent and that all machines share, or s3a://bucket/prefix; `index.json` there comes last.
        kind: parquet, jsonl.zst or jsonl.gz.
        shard_mb: megabytes (10^6 bytes) of UTF-8 text in a shard, before compression, about.
        seed: of the shuffle.
        tokenizer: a `tokenizer.json` of the `tokenizers` library; adds a column `token_count`.
        shape: share of the documents and form of the rows.

    Raises:
        UserError: no such release, a folder that holds something or that is another one on each machine, a tokenizer that cannot be read or is
            needed, a form or an option that does not exist.
    """
    made, vocabulary = check(lake, name, out, tokenizer, shape)
    to = _place(out)
    shards = max(1, ceil(made["total"]["bytes"] * shape.fraction / (shard_mb * 1_000_000)))
    rows = _chosen(spark.read.format("delta").load(f"{release.root(lake, name)}/corpus"), seed, shape.fraction)
    due = made["total"]["documents"] if shape.fraction == 1 else rows.count()
    write = _writer(to, kind, shards, lambda: export_shape.tools(shape, seed, vocabulary), shape)
    files = [row.asDict() for row in _shuffled(rows, shards, seed).mapInArrow(write, FILES).collect()]
    files.sort(key=lambda row: row["file"])
    if (written := sum(row["documents"] for row in files)) != due:
        raise UserError(f"{written} of {due} documents were written to {out}: empty the folder and export again")
    index = {
        "release": name, "key": made["key"], "seed": seed, "tokenizer": tokenizer.name if tokenizer else None, "fraction": shape.fraction,
        "form": shape.form or None, "options": dict(shape.options), "files": files,
    }  # fmt: skip
    _require_all(to, [row["file"] for row in files])
    lake_files.replace(to, "index.json", (json.dumps(index, indent=1) + "\n").encode())
    return files


def check(
    lake: str, name: str, out: str | Path, tokenizer: Path | None = None, shape: Shape = PLAIN
) -> tuple[dict[str, Any], str | None]:
    """The release's manifest and the tokenizer's JSON; raises what `export` raises, before Spark is needed."""
    made = release.manifest(lake, name)
    if made is None:
        known = ", ".join(release.names(lake)) or "none yet"
        raise UserError(f"there is no release {name} in {lake} (there are: {known}): build it with `crawlmill release`")
    _require_empty(_place(out))
    vocabulary = None if tokenizer is None else _read_tokenizer(tokenizer)
    export_shape.tools(shape, 0, vocabulary)
    return made, vocabulary


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


def _chosen(rows: DataFrame, seed: int, fraction: float) -> DataFrame:
    """The share of the documents with the smallest hashes of seed and id."""
    from pyspark.sql import functions as F

    if fraction >= 1:
        return rows
    return rows.where(F.xxhash64(F.lit(seed), F.lit("share"), "id", "snapshot") < F.lit(int((fraction - 0.5) * 2**64)))


def _shuffled(rows: DataFrame, shards: int, seed: int) -> DataFrame:
    """Rows with their shard, those of a shard together and in order."""
    from pyspark.sql import functions as F

    place = F.xxhash64(F.lit(seed), "id", "snapshot")
    placed = rows.withColumn("_order", place).withColumn("_shard", F.pmod(place, F.lit(shards)))
    return placed.repartition(min(shards, 2000), "_shard").sortWithinPartitions("_shard", "_order", "id", "snapshot")


def _writer(to: str, kind: str, shards: int, equip: Callable[[], forms.Tools], shape: Shape) -> Any:
    """What a worker does with the shards of its partition: one file each, written whole or not at all."""

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        tools = equip()
        form = forms.FORMS.get(shape.form)
        rows = (row for batch in batches for row in batch.to_pylist())
        for shard, own in groupby(rows, key=lambda row: row["_shard"]):
            tokens: list[int] = []
            with _file(to, f"{shard:05d}-of-{shards:05d}.{kind}") as path:
                finished = _finished(own, tools.encode, tokens)
                made = form.make(finished, shape.options, tools) if form else finished
                written = rowfile.write(str(path), made)
                entry = {
                    "file": path.name, "documents": len(tokens), "rows": written, "tokens": sum(tokens) if tools.encode else None,
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
    return pa.schema(
        [("file", text), ("documents", number), ("rows", number), ("tokens", number), ("bytes", number), ("sha256", text)]
    )


def _finished(rows: Iterator[dict[str, Any]], encode: Any, tokens: list[int]) -> Iterator[rowfile.Row]:
    """The documents as they are in the release, with their tokens; appends the number of tokens of each, 0 where none are counted."""
    for row in rows:
        kept = {name: value for name, value in row.items() if not name.startswith("_")}
        tokens.append(len(encode(row["text"])) if encode else 0)
        if encode:
            kept["token_count"] = tokens[-1]
        yield kept


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
