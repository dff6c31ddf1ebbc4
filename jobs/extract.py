"""Crawl files to documents: every record becomes a document or a reject with its reason. Writes documents, rejects, crawl_files, links."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StructField, StructType

from crawlmill.contracts import contract
from crawlmill.errors import CriticalFailure
from crawlmill.lake import table
from crawlmill.protocol import reconcile
from crawlmill.protocol.command import main
from crawlmill.protocol.stage import INCOMPLETE, Context, Stage

KINDS = {"document": "documents", "reject": "rejects", "file": "crawl_files"}
KEYS = ("snapshot", "shard", "stage")  # added outside the reader


LINK = ("position", "url", "host", "text", "rel")


def schema() -> StructType:
    """A row is a document with its links, a reject or a file's counts: one pass over a crawl file gives all the tables."""
    fields = []
    for kind, name in KINDS.items():
        columns = [StructField(f.name, f.dataType) for f in contract.load(name).struct() if f.name not in KEYS]
        fields.append(StructField(kind, StructType(columns)))
    link = contract.load("links").struct()
    links = StructField("links", ArrayType(StructType([StructField(name, link[name].dataType) for name in LINK])))
    return StructType([contract.load("documents").struct()["shard"], *fields, links])


def transform(context: Context) -> dict[str, DataFrame]:
    """All the tables; the second of two records with one id becomes a reject."""
    rows = read_files(context).persist()
    rows.count()  # the work is done here; what is left to the commits is to pick columns
    seconds = doubles(rows)
    kept = rows.where("document IS NOT NULL").select("shard", "document.*", "links")
    keys = ["shard", "file_path", "offset"]
    rejected = kept.join(F.broadcast(seconds), keys, "left_semi").select(
        "shard", "file_path", "offset", "length", "id", "url", F.lit("duplicate_id").alias("reason"),
        F.lit("another record of the shard has this id and comes first").alias("message"),
    )  # fmt: skip
    kept = kept.join(F.broadcast(seconds), keys, "left_anti")
    rejects = rows.where("reject IS NOT NULL").select("shard", "reject.*").unionByName(rejected, allowMissingColumns=True)
    tables = {
        "documents": kept,
        "rejects": rejects.withColumn("stage", F.lit("extract")),
        "crawl_files": rows.where("file IS NOT NULL").select("shard", "file.*"),
    }
    if context.recipe.extract.outlinks or _has_links(context):
        links = kept.where("links IS NOT NULL").select("shard", "id", F.explode("links").alias("link"))
        tables["links"] = links.select("shard", "id", *(f"link.{name}" for name in LINK))
    return {
        name: frame.withColumn("snapshot", F.lit(context.job.snapshot)).select(*contract.load(name).columns)
        for name, frame in tables.items()
    }


def read_files(context: Context) -> DataFrame:
    """The rows of every crawl file of the job, a task a file."""
    from pyspark.sql.pandas.types import to_arrow_schema

    assert context.listing is not None
    files = context.listing.files(context.job.shards)
    job, options = context.job, context.recipe.extract
    source, lake, snapshot = job.source, job.lake, job.snapshot
    arrow = to_arrow_schema(schema(), timezone="UTC")

    def extract(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from crawlmill.sources.batches import Reading
        from crawlmill.sources.quarantine import Quarantine

        reading = Reading(source, options, arrow, Quarantine(lake, snapshot))
        for batch in batches:
            for row in batch.to_pylist():
                yield from reading.batches(row["file_path"], row["shard"])

    paths = context.spark.createDataFrame(files, "shard int, file_path string").repartition(max(1, len(files)), "file_path")
    return paths.mapInArrow(extract, schema())


def doubles(rows: DataFrame) -> DataFrame:
    """Places (shard, file_path, offset) of the documents whose id another of the shard has that comes first."""
    ids = rows.where("document IS NOT NULL").select(
        "shard",
        F.col("document.id").alias("id"),
        F.col("document.file_path").alias("file_path"),
        F.col("document.offset").alias("offset"),
    )
    first = Window.partitionBy("shard", "id").orderBy("file_path", "offset")
    return ids.withColumn("copy", F.row_number().over(first)).where("copy > 1").select("shard", "file_path", "offset")


def _has_links(context: Context) -> bool:
    """Whether an earlier recipe left links in the job's partitions, which then must go."""
    job = context.job
    left = table.shards_of(job.lake, "links", job.snapshot)
    return bool(left if job.shards is None else left.intersection(job.shards))


def check(context: Context, versions: dict[str, int]) -> list[dict[str, Any]]:
    """The records that the reader counted equal the rows in documents and rejects, shard by shard."""
    files = reconcile.committed(context, "crawl_files", versions["crawl_files"])
    found = files.groupBy("shard").agg(
        F.sum(F.col("documents") + F.col("rejects")).alias("read"), F.count("file_path").alias("files")
    )
    read = {row["shard"]: row for row in found.collect()}
    if failed := files.where("state = 'failed'").count():
        context.digests[INCOMPLETE] = str(failed)
    written = reconcile.committed(context, "documents", versions["documents"]).select("shard", "id")
    reconcile.refuse_doubles(context, "documents", written)
    documents = reconcile.ids(written)
    rejected = reconcile.committed(context, "rejects", versions["rejects"]).where("stage = 'extract'")
    rejects = {row["shard"]: row["n"] for row in rejected.groupBy("shard").agg(F.count("reason").alias("n")).collect()}
    listed: dict[int, int] = {}
    for shard, _ in context.listing.files(context.job.shards) if context.listing else []:
        listed[shard] = listed.get(shard, 0) + 1
    counts = []
    for shard, files_listed in sorted(listed.items()):
        if shard not in read or read[shard]["files"] != files_listed:
            seen = read[shard]["files"] if shard in read else 0
            raise CriticalFailure(
                f"{seen} of {files_listed} crawl files of shard {shard} are accounted for in crawl_files; not released"
            )
        counts.append(
            {
                "shard": shard,
                "read": read[shard]["read"],
                "written": documents.get(shard, reconcile.NONE)[0],
                "rejected": rejects.get(shard, 0),
            }
        )
    reconcile.refuse_losses(context, "crawl files", "documents and rejects", counts)
    return counts


STAGE = Stage(
    name="extract",
    reads=(),
    writes=("documents", "rejects", "crawl_files"),
    recipe=("extract",),
    version=4,  # 4: confidence calibrated on texts without repetitions
    transform=transform,
    reconcile=check,
    optional=("links",),
    keep=False,
)

if __name__ == "__main__":
    sys.exit(main(STAGE))
