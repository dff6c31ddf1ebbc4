"""Trains an n-gram language model on the texts of a table or of files: counted by Spark, interpolated Kneser-Ney, written in ARPA form.

    python jobs/train_ngrams.py --data wikipedia.parquet --out models/wiki-en.arpa

Data are Delta tables (folders), Parquet or JSON-lines files with a text in each row. Words that are not among the most frequent ones count as <unk>. What
is collected are the distinct n-grams, some 20 bytes each: about a gigabyte of text a language fits into 8 GB. Equal texts give an equal file.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crawlmill.errors import UserError
from crawlmill.text import arpa, kneser_ney

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read(spark: SparkSession, names: Iterable[str], text: str) -> DataFrame:
    """The texts of tables and files as one column `text`."""
    found: list[DataFrame] = []
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
        for batch in batches:
            found = Counter[str]()
            for text in batch.column("text").to_pylist():
                for line in arpa.words_of(text):
                    found.update(line)
            yield pa.RecordBatch.from_pydict(
                {"word": pa.array(list(found), pa.string()), "n": pa.array(list(found.values()), pa.int64())}
            )

    counted = texts.mapInArrow(count, "word string, n bigint").groupBy("word").sum("n")
    rows = counted.orderBy(counted["sum(n)"].desc(), "word").limit(size).collect()
    known = [row["word"] for row in rows if row["word"] not in kneser_ney.SPECIAL]
    return [*kneser_ney.SPECIAL, *known]


def counts(texts: DataFrame, words: list[str], n: int) -> tuple[Any, Any]:
    """(distinct n-grams as rows of numbers, count of each), in order."""
    numbers = {word: number for number, word in enumerate(words)}
    shared = texts.sparkSession.sparkContext.broadcast(numbers)
    names = [f"w{at}" for at in range(n)]

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known = shared.value
        for batch in batches:
            lines = [
                [known.get(word, 0) for word in line] for text in batch.column("text").to_pylist() for line in arpa.words_of(text)
            ]
            rows = kneser_ney.windows(lines, n)
            found, seen = kneser_ney.distinct(rows, np.ones(len(rows), dtype=np.int64))
            columns = {name: pa.array(found[:, at].astype(np.int32)) for at, name in enumerate(names)}
            yield pa.RecordBatch.from_pydict({**columns, "n": pa.array(seen)})

    schema = ", ".join(f"{name} int" for name in names) + ", n bigint"
    table = texts.mapInArrow(count, schema).groupBy(*names).sum("n").toArrow().sort_by([(name, "ascending") for name in names])
    return np.stack([table[name].to_numpy() for name in names], axis=1).astype(np.int64), table["sum(n)"].to_numpy()


def train(texts: DataFrame, out: Path, n: int = 3, words: int = 200_000, min_count: int = 1) -> arpa.Model:
    """Train and write a model. Raises UserError where there is no text."""
    texts = texts.persist()
    known = vocabulary(texts, words)
    model = kneser_ney.estimate(known, *counts(texts, known, n), min_count)
    texts.unpersist()
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
