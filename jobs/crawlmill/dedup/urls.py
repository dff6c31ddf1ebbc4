"""Documents that stay although another one of the same address stays: an address whose page has changed between two captures.

Dedup compares contents, so such a pair is no duplicate to it. Worked out on demand from pinned tables: as a column of `clusters` it would make
an append rewrite older rows under every order but `oldest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawlmill.dedup.candidates import rank

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from crawlmill.recipes.recipe import Dedup

KEYS = ["snapshot", "shard", "id"]


def repeated(clusters: DataFrame, documents: DataFrame, rules: Dedup) -> DataFrame:
    """(snapshot, shard, id, url, first_snapshot, first_shard, first_id): survivors whose address a survivor of smaller rank has.

    Args:
        clusters: rows of the table.
        documents: snapshot, shard, id, url of the same snapshots.
        rules: whose order says which one is first; inside a snapshot it is the least id.
    """
    kept = clusters.where("kind = 'survivor'").select(*KEYS).join(documents.select(*KEYS, "url"), KEYS)
    spec = f"PARTITION BY url ORDER BY {rank(rules.order)}, snapshot, id, shard"
    firsts = [f"first({name}) OVER ({spec}) AS first_{name}" for name in KEYS]
    ranked = kept.selectExpr(*KEYS, "url", *firsts, f"row_number() OVER ({spec}) AS place")
    return ranked.where("place > 1").drop("place")
