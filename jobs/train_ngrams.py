"""Trains an n-gram language model on the texts of a table or of files: counted by Spark, interpolated Kneser-Ney, written in ARPA form.

    python jobs/train_ngrams.py --data wikipedia.parquet --out models/wiki-en.arpa

Data are Delta tables (folders), Parquet or JSON-lines files with a text in each row. Words that are not among the most frequent ones count as <unk>. What
is collected are the distinct n-grams, some 20 bytes each: about a gigabyte of text a language fits into 8 GB. Equal texts give an equal file.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crawlmill.errors import UserError
from crawlmill.text import arpa, kneser_ney

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_WORDS = 2_000_000  # different words that a worker counts before it hands them on: some 200 MB
MOST_NGRAMS = 1 << 24  # n-grams that it holds before it adds equal ones up: 8 bytes each, and twice that to sort
PART_BYTES = 32 << 20  # of a file: parts of Spark's 128 MB would leave cores idle while the last one counts
BLOBS = "part int, keys binary, n binary"
PART_BITS = 6
MIX = np.uint64(0x9E3779B97F4A7C15)  # 2 ** 64 over the golden ratio: spreads neighbours
SLICE = 1 << 20  # n-grams in a row of the result


def read(spark: SparkSession, names: Iterable[str], text: str) -> DataFrame:
    """The texts of tables and files as one column `text`."""
    found: list[DataFrame] = []
    spark.conf.set("spark.sql.files.maxPartitionBytes", str(PART_BYTES))
    for name in names:
        kind = "delta" if (Path(name) / "_delta_log").is_dir() else "parquet" if name.endswith(".parquet") else "json"
        rows = spark.read.format(kind).load(name)
        if text not in rows.columns:
            raise UserError(f"{name} has no column {text!r}: name the column with --text")
        found.append(rows.select(rows[text].alias("text")).where("text IS NOT NULL"))
    together = found[0]
    for rows in found[1:]:
        together = together.unionByName(rows)
    return together


def vocabulary(texts: DataFrame, size: int) -> list[str]:
    """The most frequent words, behind the special ones; of equally frequent ones the first by code point."""

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = Counter[str]()
        for batch in batches:
            for text in batch.column("text").to_pylist():
                found.update(chain.from_iterable(arpa.words_of(text)))
            if len(found) > MOST_WORDS:
                yield _words(found)
                found = Counter()
        yield _words(found)

    counted = texts.mapInArrow(count, "word string, n bigint").groupBy("word").sum("n")
    rows = counted.orderBy(counted["sum(n)"].desc(), "word").limit(size).collect()
    known = [row["word"] for row in rows if row["word"] not in kneser_ney.SPECIAL]
    return [*kneser_ney.SPECIAL, *known]


def _words(found: Counter[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"word": pa.array(list(found), pa.string()), "n": pa.array(list(found.values()), pa.int64())}
    )


def counts(texts: DataFrame, words: list[str], n: int) -> tuple[Any, Any]:
    """(distinct n-grams as rows of numbers, count of each), in order.

    Workers sort and add up. Spark moves their n-grams as bytes, some thousands in a row: a row for each would cost more than the counting.
    """
    shared = texts.sparkSession.sparkContext.broadcast({word: number for number, word in enumerate(words)})
    size, columns = len(words), kneser_ney.packed(np.zeros((0, n), dtype=np.int64), len(words)).shape[1]

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known, held = shared.value.get, list[Any]()
        for batch in batches:
            lines = [[*map(known, line, repeat(0))] for text in batch.column("text").to_pylist() for line in arpa.words_of(text)]
            held.append(kneser_ney.packed(kneser_ney.windows(lines, n), size))
            if sum(map(len, held)) > MOST_NGRAMS:
                yield _parted(np.concatenate(held))
                held = []
        if held:
            yield _parted(np.concatenate(held))

    def add(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = [_unparted(batch, columns) for batch in batches]
        if held:
            keys, seen = kneser_ney.distinct(*(np.concatenate(side) for side in zip(*held, strict=True)))
            for first in range(0, len(keys), SLICE):
                yield _blobs([(0, keys[first : first + SLICE], seen[first : first + SLICE])])

    parted = texts.mapInArrow(count, BLOBS).repartition("part").mapInArrow(add, BLOBS)
    found = [
        (_read(row["keys"]).reshape(-1, columns), _read(row["n"])) for row in parted.toLocalIterator(prefetchPartitions=True)
    ]
    if not found:
        return np.zeros((0, n), dtype=np.int64), np.zeros(0, dtype=np.int64)
    keys, seen = kneser_ney.distinct(*(np.concatenate(side) for side in zip(*found, strict=True)))
    return kneser_ney.unpacked(keys, size, n), seen


def _parted(keys: Any) -> pa.RecordBatch:
    """Blobs of packed n-grams, distinct and by part, so that equal ones meet."""
    keys, seen = kneser_ney.distinct(keys)
    part = ((keys[:, -1].astype(np.uint64) * MIX) >> np.uint64(64 - PART_BITS)).astype(np.int64)
    order = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[order], np.arange((1 << PART_BITS) + 1))
    keys, seen = keys[order], seen[order]
    return _blobs([(at, keys[a:b], seen[a:b]) for at, (a, b) in enumerate(pairwise(bounds.tolist())) if a < b])


def _blobs(rows: list[tuple[int, Any, Any]]) -> pa.RecordBatch:
    part, keys, seen = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.RecordBatch.from_pydict(
        {
            "part": pa.array(part, pa.int32()),
            "keys": pa.array([one.tobytes() for one in keys], pa.binary()),
            "n": pa.array([one.tobytes() for one in seen], pa.binary()),
        }
    )


def _unparted(batch: pa.RecordBatch, columns: int) -> tuple[Any, Any]:
    """(packed n-grams, counts) of a batch of blobs."""
    keys, seen = (b"".join(batch.column(name).to_pylist()) for name in ("keys", "n"))
    return _read(keys).reshape(-1, columns), _read(seen)


def _read(blob: bytes) -> Any:
    return np.frombuffer(blob, dtype=np.int64)


def train(texts: DataFrame, out: Path, n: int = 3, words: int = 200_000, min_count: int = 1) -> arpa.Model:
    """Train and write a model. Raises UserError where there is no text."""
    known = vocabulary(texts, words)
    model = kneser_ney.estimate(known, *counts(texts, known, n), min_count)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(out.name + ".part")
    with draft.open("w", encoding="utf-8") as file:
        arpa.write(model, file)
    draft.replace(out)
    return model


def main() -> None:
    from crawlmill.protocol.session import build
    from crawlmill.text.scorer_file import sha256

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="Delta tables, Parquet or JSON-lines files")
    parser.add_argument("--text", default="text", help="column of the text [text]")
    parser.add_argument("--order", type=int, default=3, choices=range(1, 7), help="words of the longest n-gram [3]")
    parser.add_argument("--words", type=int, default=200_000, help="most frequent words that are told apart [200000]")
    parser.add_argument("--min-count", type=int, default=1, help="leave out longest n-grams counted less often [1]")
    parser.add_argument("--out", type=Path, required=True, help="ARPA file to write")
    given = parser.parse_args()
    spark = build("crawlmill train_ngrams")
    try:
        model = train(read(spark, given.data, given.text), given.out, given.order, given.words, given.min_count)
    finally:
        spark.stop()
    sizes = ", ".join(f"{len(order.keys)} {n}-grams" for n, order in enumerate(model.orders, 1))
    print(f"{sizes}\n\n{given.out.stem}:\n  kind: perplexity\n  path: {given.out.absolute()}\n  sha256: {sha256(given.out)}")


if __name__ == "__main__":
    from crawlmill.errors import CrawlmillError

    try:
        main()
    except CrawlmillError as error:
        raise SystemExit(f"train_ngrams: {error}") from None
