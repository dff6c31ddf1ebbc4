"""Tables `line_counts` and `duplicate_lines`: which lines of a snapshot stand in several of its documents, and where first.

Hashes are exchanged, never texts. The first document of a line is the one of least (shard, key), so both tables are a function of the
set of documents. In Bloom mode there are no counts: a filter of bounded memory runs over each shard in the order of its crawl files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from crawlmill.recipes.recipe import Lines

DOCUMENT = ["snapshot", "shard", "key"]


def key() -> Column:
    """What a document is called in these tables' making: 64 bits of its id."""
    from pyspark.sql import functions as F

    return F.xxhash64("id").alias("key")


def lines(documents: DataFrame, options: Lines) -> DataFrame:
    """A row per document and distinct line, as `duplicate_lines.LINES` says; documents has snapshot, shard, id, text."""
    from crawlmill.text.duplicate_lines import LINES

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.duplicate_lines import lines_batch

        return (lines_batch(batch, options) for batch in batches)

    return documents.select("snapshot", "shard", key(), "text").mapInArrow(work, LINES)


def counts(found: DataFrame) -> DataFrame:
    """Rows of `line_counts` for rows of `lines`: lines that stand at least twice in the snapshot."""
    from pyspark.sql import functions as F

    grouped = found.groupBy("snapshot", "hash").agg(
        F.count("*").alias("documents"), F.sum("times").alias("lines"), F.min(F.struct("shard", "key")).alias("first")
    )
    held = grouped.where("lines > 1")
    return held.select("snapshot", "hash", "documents", "lines", "first.shard", "first.key").toDF(
        "snapshot", "hash", "documents", "lines", "first_shard", "first_key"
    )


def duplicates(found: DataFrame, counted: DataFrame) -> DataFrame:
    """Rows of `duplicate_lines.ELSEWHERE`: documents with lines that stand first elsewhere, or twice in themselves."""
    from pyspark.sql import functions as F

    joined = found.join(counted.select("snapshot", "hash", "first_shard", "first_key"), ["snapshot", "hash"])
    elsewhere = (F.col("first_shard") != F.col("shard")) | (F.col("first_key") != F.col("key"))
    again = F.when(elsewhere, F.col("times")).otherwise(F.col("times") - 1)
    grouped = joined.withColumns({"again": again, "elsewhere": elsewhere}).where("again > 0").groupBy(*DOCUMENT)
    return grouped.agg(
        F.first("lines").alias("lines"),
        F.sum("again").cast("int").alias("duplicates"),
        (F.sum(F.col("again") * F.col("chars")) / F.first("total")).alias("share"),
        F.sort_array(F.collect_list(F.when(F.col("elsewhere"), F.col("hash")))).alias("hashes"),
        F.lit(0.0).alias("false_positives"),
    )


def duplicates_by_filter(found: DataFrame, documents: DataFrame, options: Lines) -> DataFrame:
    """The same in Bloom mode: one row a document with its hashes goes through an exchange, ordered as in the crawl files."""
    from pyspark.sql import functions as F

    from crawlmill.text.duplicate_lines import ELSEWHERE

    each = F.sort_array(F.collect_list(F.struct("hash", "times", "chars"))).alias("each")
    listed = found.groupBy(*DOCUMENT).agg(F.first("lines").alias("lines"), F.first("total").alias("total"), each)
    placed = listed.join(documents.select("snapshot", "shard", key(), "file_path", "offset"), DOCUMENT)
    columns = [F.col(f"each.{name}").alias(alias) for name, alias in (("hash", "hashes"), ("times", "times"), ("chars", "chars"))]
    ordered = placed.repartition("snapshot", "shard").sortWithinPartitions("snapshot", "shard", "file_path", "offset", "key")

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.text.duplicate_lines import first_in_order

        return first_in_order(batches, options)

    return ordered.select(*DOCUMENT, "lines", "total", *columns).mapInArrow(work, ELSEWHERE)


def with_ids(found: DataFrame, documents: DataFrame) -> DataFrame:
    """Rows of table `duplicate_lines`: keys turned back into ids."""
    from crawlmill.contracts import contract

    ids = documents.select("snapshot", "shard", "id", key())
    return found.join(ids, DOCUMENT).select(*contract.load("duplicate_lines").columns)


def tables(documents: DataFrame, options: Lines) -> dict[str, DataFrame]:
    """The tables that the recipe asks for; documents has snapshot, shard, id, text, file_path, offset."""
    found = lines(documents, options)
    if options.mode == "bloom":
        return {"duplicate_lines": with_ids(duplicates_by_filter(found, documents, options), documents)}
    found = found.persist()  # read twice: for the counts, and for whose they are
    counted = counts(found).persist()
    return {"line_counts": counted, "duplicate_lines": with_ids(duplicates(found, counted), documents)}
