"""Versions that a takedown has put others in place of: they hold pages that must not be read again.

A takedown leaves a row in `runs` (stage `takedown`) for each snapshot that it changed: its inputs are the versions that it replaced, its outputs
those that stand for them now. Without Spark.
"""

from __future__ import annotations

from collections.abc import Iterable

from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.lake.ledger import RunRow
from crawlmill.lake.pins import Pins

STAGE = "takedown"
Version = tuple[str, str, int]  # table, snapshot, version


def versions(runs: Iterable[RunRow]) -> set[Version]:
    """The replaced versions, by the rows of the ledger."""
    found: set[Version] = set()
    for run in runs:
        if run.stage == STAGE:
            found |= {(entry["table"], entry["snapshot"], int(entry["version"])) for entry in run.inputs}
    return found


def refuse(lake: str, found: Pins) -> None:
    """Raise UserError where pins are of versions that a takedown has replaced: what rests on them would bring pages back."""
    gone = versions(ledger.runs(lake, STAGE))
    if any((table, snapshot, at) in gone for (table, snapshot), at in found.items()):
        raise UserError("a takedown has replaced tables that the last dedup rests on: run dedup first")
