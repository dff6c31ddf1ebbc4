"""The text of a document: the rewritten one where hooks changed it, the extracted one otherwise. The one place that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

KEYS = ["shard", "id"]  # of a document within its snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def final_text(documents: DataFrame, rewrites: DataFrame) -> DataFrame:
    """(snapshot, shard, id, text) of every document, `coalesce(rewrites.text, documents.text)`.

    Written as a union, not as a join of the texts: only ids are exchanged (broadcast), texts stay where they were read.
    """
    from pyspark.sql import functions as F

    columns = ["snapshot", "shard", "id", "text"]
    unchanged = documents.select(columns).join(F.broadcast(rewrites.select(*KEYS)), KEYS, "left_anti")
    return unchanged.select(columns).unionByName(rewrites.select(columns))


def with_language(texts: DataFrame, languages: DataFrame) -> DataFrame:
    """Texts with language and script; the narrow side is broadcast."""
    from pyspark.sql import functions as F

    return texts.join(F.broadcast(languages.select(*KEYS, "language", "language_script")), KEYS, "inner")
