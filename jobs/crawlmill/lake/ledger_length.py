"""How long the ledger was, kept beside it: a ledger that has lost its end reads without an error, and stages would forget what they have done.

`_control/ledger.json` has the version and the rows of `runs` and `quality` as of the last append. It is written after the append, so a process that dies
in between leaves it behind by one append; it is never ahead.
"""

from __future__ import annotations

import json

from crawlmill.errors import UserError
from crawlmill.storage import lake_files

FILE = "_control/ledger.json"
Length = tuple[int, int]  # version, rows


def known(lake: str, table: str) -> Length:
    """How long a table was at least; (-1, 0) where nobody has said."""
    held = lake_files.parsed(lake, FILE, lake_files.read(lake, FILE), {}).get(table) or {"version": -1, "rows": 0}
    return held["version"], held["rows"]


def remember(lake: str, table: str) -> None:
    """Keep how long a table is now."""
    from deltalake import DeltaTable

    found = DeltaTable(f"{lake}/{table}")
    _keep(lake, table, found.version(), sum(found.get_add_actions(flatten=True)["num_records"].to_pylist()), grows=True)


def forget(lake: str, table: str, version: int, rows: int) -> None:
    """Take a shorter table for whole."""
    _keep(lake, table, version, rows, grows=False)


def _keep(lake: str, table: str, version: int, rows: int, grows: bool) -> None:
    def change(before: bytes | None) -> bytes:
        held = lake_files.parsed(lake, FILE, before, {})
        old = held.get(table, {"version": -1, "rows": 0}) if grows else {"version": -1, "rows": 0}
        held[table] = {"version": max(version, old["version"]), "rows": max(rows, old["rows"])}
        return json.dumps(held, sort_keys=True).encode()

    lake_files.update(lake, FILE, change)


def compare(lake: str, table: str, before: Length, version: int, rows: int) -> None:
    """Raise UserError where a table is shorter than it was."""
    if version >= before[0] and rows >= before[1]:
        return
    last = f"{lake}/{table}/_delta_log/{max(before[0], version):020d}.json"
    raise UserError(
        f"table {table} of the lake has lost its end: version {version} with {rows} rows is read, version {before[0]} with {before[1]} rows was written: "
        f"put {last} back from a copy, or `crawlmill recover` (infra/RUNBOOK.md, LedgerDamaged)"
    )
