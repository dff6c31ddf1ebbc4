"""The beginning of single documents' texts, read without Spark: personal data masked, cut to what fits a line or two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from crawlmill.contracts.audit import PERSONAL

CHARS = 200
DIFF_CHARS, DIFF_CUT = 20_000, 1_500  # of the texts that are compared; of the difference that is shown
_MARKS = re.compile(r"(\[-|-\]|\{\+|\+\})")  # of a word diff

Key = tuple[int, str]  # shard, id


def read(lake: str, snapshot: str, at: dict[str, int], wanted: set[Key]) -> dict[Key, dict[str, Any]]:
    """For each document its URL and an excerpt of its final text; `at` names the versions of documents and rewrites.

    Only the row groups that hold one of the documents are read.
    """
    found: dict[Key, dict[str, Any]] = {}
    for shard in sorted({shard for shard, _ in wanted}):
        ids = {id_ for of, id_ in wanted if of == shard}
        for row in _rows(lake, "documents", snapshot, shard, at, ids, ["id", "url", "text"]):
            found[shard, row["id"]] = {"url": mask(row["url"]), "excerpt": mask(row["text"])}
        for row in _rows(lake, "rewrites", snapshot, shard, at, ids, ["id", "text"]):
            found[shard, row["id"]]["excerpt"] = mask(row["text"])
    return found


def mask(text: str) -> str:
    """One line without e-mail addresses, IP addresses and long numbers."""
    shown = PERSONAL.sub("***", " ".join(text[: 4 * CHARS].split()))
    return shown if len(shown) <= CHARS else shown[: CHARS - 1] + "…"


def diff(before: str, after: str) -> str:
    """What differs between two texts, a word diff of the beginnings; personal data that was taken out is not shown either."""
    from crawlmill.explain.try_hook import word_diff

    parts = _MARKS.split(word_diff(before[:DIFF_CHARS], after[:DIFF_CHARS]))
    shown = "".join(part if _MARKS.fullmatch(part) else PERSONAL.sub("***", part) for part in parts)
    return shown if len(shown) <= DIFF_CUT else shown[: DIFF_CUT - 1] + "…"


def _rows(
    lake: str, table: str, snapshot: str, shard: int, at: dict[str, int], ids: set[str], columns: list[str]
) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    part = (ds.field("snapshot") == snapshot) & (ds.field("shard") == shard)
    chosen = pa.array(sorted(ids), pa.string())
    for fragment in DeltaTable(f"{lake}/{table}", version=at[table]).to_pyarrow_dataset().get_fragments(filter=part):
        for group in fragment.split_by_row_group():
            if pc.any(pc.is_in(group.to_table(columns=["id"])["id"], value_set=chosen)).as_py():
                yield from group.to_table(columns=columns, filter=ds.field("id").isin(chosen)).to_pylist()
