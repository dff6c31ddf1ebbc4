"""What comparisons look at: aggregates of a table's rows of one snapshot, small enough to be compared and kept in `quality`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Label = tuple[str, str]  # ISO 639-3, ISO 15924 (empty where a table has no scripts)


@dataclass(frozen=True)
class Facts:
    """Counts of one table; those that a table has not are empty.

    Attributes:
        rows: of the snapshot.
        documents: rows by language and script.
        eligible: of these, the eligible ones.
        fires: by rule, how many documents of a language and script broke it, whether that decided or not.
        nulls: by column, how many rows have no value in it.
        scored: by scorer, how many rows of a language have its score.
        spoken: rows by language, where there are scores.
        files: crawl files that were read to their end, and the sums over them of their number columns.
    """

    rows: int
    documents: dict[Label, int] = field(default_factory=dict)
    eligible: dict[Label, int] = field(default_factory=dict)
    fires: dict[str, dict[Label, int]] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    scored: dict[str, dict[str, int]] = field(default_factory=dict)
    spoken: dict[str, int] = field(default_factory=dict)


def by_language(counts: Mapping[Label, int]) -> dict[str, int]:
    """Counts over all scripts of a language."""
    found: dict[str, int] = {}
    for (language, _), n in counts.items():
        found[language] = found.get(language, 0) + n
    return found


def of(table: str, rows: DataFrame) -> Facts:
    """The facts of a table's rows. Raises UserError for a table that nothing is compared of."""
    from crawlmill.errors import UserError

    if table not in _READERS:
        raise UserError(f"nothing is compared in table {table}: take its entries of engine crawlmill out of schemas/{table}.yaml")
    return _READERS[table](rows)


def _verdicts(rows: DataFrame) -> Facts:
    from pyspark.sql import functions as F

    label = ["language", "language_script"]
    counted = rows.groupBy(*label).agg(F.count("id").alias("n"), F.sum(F.col("eligible").cast("bigint")).alias("eligible"))
    documents, eligible = {}, {}
    for row in counted.collect():  # a row per language and script
        key = (row["language"], row["language_script"] or "")
        documents[key], eligible[key] = row["n"], row["eligible"]
    both = F.expr("explode(transform(concat(failed, coalesce(flagged, array())), x -> x.rule))").alias("rule")
    fires: dict[str, dict[Label, int]] = {}
    for row in rows.select(*label, both).groupBy("rule", *label).count().collect():
        fires.setdefault(row["rule"], {})[row["language"], row["language_script"] or ""] = row["count"]
    return Facts(sum(documents.values()), documents=documents, eligible=eligible, fires=fires)


def _languages(rows: DataFrame) -> Facts:
    counted = rows.groupBy("language", "language_script").count().collect()
    documents = {(row["language"], row["language_script"]): row["count"] for row in counted}
    return Facts(sum(documents.values()), documents=documents)


def _signals(rows: DataFrame) -> Facts:
    from pyspark.sql import functions as F

    columns = [found.name for found in rows.schema if found.dataType.simpleString() == "double"]
    counts = [F.count("id").alias("rows"), *(F.count(name).alias(name) for name in (*columns, "scores"))]
    found = rows.groupBy("language").agg(*counts).collect()  # a row per language
    total = {name: sum(row[name] for row in found) for name in ("rows", *columns)}
    documents = {(row["language"], ""): row["rows"] for row in found}
    spoken = {row["language"]: row["scores"] for row in found if row["scores"]}
    scored: dict[str, dict[str, int]] = {}
    if spoken:
        each = rows.select("language", F.explode("scores").alias("scorer", "value")).where("value IS NOT NULL")
        for row in each.groupBy("scorer", "language").count().collect():
            scored.setdefault(row["scorer"], {})[row["language"]] = row["count"]
    nulls = {name: total["rows"] - total[name] for name in columns}
    return Facts(total["rows"], documents=documents, nulls=nulls, scored=scored, spoken=spoken)


def _crawl_files(rows: DataFrame) -> Facts:
    from pyspark.sql import functions as F

    sums = ("bytes", "responses", "documents")
    found = rows.where("state = 'done'").agg(F.count("file_path").alias("files"), *(F.sum(name).alias(name) for name in sums))
    row = found.collect()[0]
    return Facts(row["files"], files={name: int(row[name] or 0) for name in ("files", *sums)})


_READERS: dict[str, Callable[[DataFrame], Facts]] = {
    "verdicts": _verdicts,
    "languages": _languages,
    "signals": _signals,
    "crawl_files": _crawl_files,
}
