"""The rows of `corpus` and of releases: documents that are kept, with the columns that a trainer wants. The one place that joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crawlmill.contracts import contract
from crawlmill.lake.snapshot import MAX_SHARDS
from crawlmill.rows.final_text import KEYS, final_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SOURCES = ("documents", "rewrites", "languages")
FROM_DOCUMENTS = ("shard", "id", "url", "date", "file_path", "title", "parent_id")
FROM_LANGUAGES = ("shard", "id", "language", "language_script", "language_score")


def corpus_rows(read: Callable[[str], DataFrame], keep: DataFrame, more: Sequence[str] = (), derived: bool = True) -> DataFrame:
    """Rows of kept documents of one snapshot. Only ids and narrow columns are exchanged, never texts.

    Args:
        read: gives the snapshot's rows of a table: documents, rewrites, languages, and rewrite_steps for derived documents.
        keep: shard and id of the documents, and the columns in `more`.
        more: columns that go behind those of `corpus`.
        derived: whether derived documents can be among them.
    """
    from pyspark.sql import functions as F

    documents, rewrites = read("documents"), read("rewrites")
    kept = documents.select(*FROM_DOCUMENTS).join(F.broadcast(keep.select(*KEYS, *more)), KEYS)
    narrow = kept.join(F.broadcast(read("languages").select(*FROM_LANGUAGES)), KEYS)
    changed = rewrites.select(*KEYS, F.lit(True).alias("rewritten"))
    narrow = narrow.join(F.broadcast(changed), KEYS, "left").fillna(False, ["rewritten"])
    if derived:
        narrow = narrow.join(F.broadcast(provenance(read("rewrite_steps"))), KEYS, "left")
    else:
        narrow = narrow.withColumn("provenance", F.lit(None).cast(contract.load("corpus").struct()["provenance"].dataType))
    columns = (*contract.load("corpus").columns, *more)
    return final_text(documents, rewrites).join(F.broadcast(narrow), KEYS, "inner").select(*columns)


def provenance(steps: DataFrame) -> DataFrame:
    """(shard, id, provenance) of derived documents: the steps that made and changed them, in order."""
    from pyspark.sql import functions as F

    made = F.struct("position", "hook", "version", "model", "requests", "prompt_tokens", "completion_tokens", "cost")
    own = steps.where(f"shard >= {MAX_SHARDS} AND outcome = 'changed'")
    listed = own.groupBy(*KEYS).agg(F.sort_array(F.collect_list(made)).alias("steps"))
    return listed.select(*KEYS, F.transform("steps", lambda step: step.dropFields("position")).alias("provenance"))
