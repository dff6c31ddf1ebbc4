"""Single rows of pinned tables without Spark: partitions and statistics say which files can hold them, ids which row groups. Every file is noted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Reader:
    """Reads a lake and remembers in `files` what it opened, relative to the lake."""

    lake: str
    files: list[str] = field(default_factory=list)

    def rows(self, table: str, at: int, chosen: Any, columns: list[str] | None = None) -> list[dict[str, Any]]:
        """The rows that an expression picks from a version."""
        data, found = dataset(self.lake, table, at), list[dict[str, Any]]()
        for fragment in data.get_fragments(filter=chosen):
            self.files.append(f"{table}/{fragment.path}")
            found += fragment.to_table(schema=data.schema, columns=columns, filter=chosen).to_pylist()
        return found

    def by_id(
        self, table: str, at: int, snapshot: str, shard: int, ids: Iterable[str], columns: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """The rows of some documents of a shard; of other row groups than theirs nothing but ids is read."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.dataset as ds

        data, found = dataset(self.lake, table, at), list[dict[str, Any]]()
        wanted = pa.array(sorted(ids), pa.string())
        for fragment in data.get_fragments(filter=part(snapshot, shard)):
            self.files.append(f"{table}/{fragment.path}")
            for group in fragment.split_by_row_group():
                held = group.to_table(schema=data.schema, columns=["id"])["id"].cast(pa.string())
                if pc.any(pc.is_in(held, value_set=wanted)).as_py():
                    own = ds.field("id").isin(wanted)
                    found += group.to_table(schema=data.schema, columns=columns, filter=own).to_pylist()
        return found


def part(snapshot: str, shard: int | None = None) -> Any:
    """The expression of a snapshot's partition, or of one of its shards."""
    import pyarrow.dataset as ds

    own = ds.field("snapshot") == snapshot
    return own if shard is None else own & (ds.field("shard") == shard)


@lru_cache(maxsize=64)
def dataset(lake: str, table: str, at: int) -> Any:
    """A version of a table; its log is read once."""
    from deltalake import DeltaTable

    return DeltaTable(f"{lake}/{table}", version=at).to_pyarrow_dataset()


def newest(lake: str, table: str) -> int:
    """The newest version of a table: for those that are written once, as releases are."""
    from deltalake import DeltaTable

    return int(DeltaTable(f"{lake}/{table}").version())
