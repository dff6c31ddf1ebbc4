"""Which state `pairs` and `clusters` were last settled at: what "before" means to an incremental run.

Delta commits one table at a time, so an attempt can die between the commit of pairs and that of clusters. Each commit therefore carries the
pinned versions that the table equals from then on, and a run compares with those, never with what the tables of bands or verdicts hold
by now. A table whose record is missing, of other settings, or of a run that was found wrong is settled from nothing, and so is one whose
old state VACUUM has taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from crawlmill.lake import ledger, table_log
from crawlmill.lake.pins import Pins

LOG = logging.getLogger("crawlmill.dedup")


@dataclass(frozen=True)
class Basis:
    """The state that a table was settled at.

    Attributes:
        pins: versions by table and snapshot.
        pairs: for clusters, the version of pairs.
    """

    pins: Pins
    pairs: int | None = None


def note(pins: Pins, names: Iterable[str], settings: str, pairs: int | None = None) -> dict[str, Any]:
    """What a commit has to remember: the versions of the tables that it rests on, and the settings."""
    own: dict[str, dict[str, int]] = {name: {} for name in names}
    for (name, snapshot), at in sorted(pins.items()):
        if name in own:
            own[name][snapshot] = at
    return {"pins": own, "settings": settings, "pairs": pairs}


def last(lake: str, name: str, settings: str) -> Basis | None:
    """What a table was last settled at; None, said in the log, where that is nothing to build upon."""
    if table_log.empty(lake, name) and table_log.noted(lake, name) is None:
        return None
    found = table_log.noted(lake, name)
    if found is None:
        _nothing(name, "its last commit says nothing of the state that it was settled at")
        return None
    if found["note"]["settings"] != settings:
        _nothing(name, "the recipe or the code has changed")
        return None
    if any(run.verdict == "failed" and run.fence == found["fence"] for run in ledger.runs(lake, "dedup")):
        _nothing(name, "what wrote it last was found wrong")
        return None
    pins = {(read, snapshot): at for read, own in found["note"]["pins"].items() for snapshot, at in own.items()}
    return Basis(pins, found["note"]["pairs"])


def changed(
    before: Pins, now: Pins, names: Iterable[str]
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]], set[str]]:
    """The pins of some tables by snapshot, before and now, and the snapshots that differ in one of them or are on one side only."""
    was, are = _by_snapshot(before, names), _by_snapshot(now, names)
    return was, are, {snapshot for snapshot in was.keys() | are.keys() if was.get(snapshot) != are.get(snapshot)}


def still_there(lake: str, name: str, was: Mapping[str, int], what: str) -> bool:
    """Whether the old partitions that a comparison needs can be read; said in the log where they cannot."""
    lost = sorted(snapshot for snapshot, at in was.items() if not table_log.readable(lake, name, at, snapshot))
    if lost:
        _nothing(what, f"VACUUM has taken what table {name} held of {', '.join(lost)} when it was settled last")
    return not lost


def _by_snapshot(pins: Pins, names: Iterable[str]) -> dict[str, dict[str, int]]:
    wanted, found = set(names), dict[str, dict[str, int]]()
    for (name, snapshot), at in pins.items():
        if name in wanted:
            found.setdefault(snapshot, {})[name] = at
    return found


def _nothing(name: str, why: str) -> None:
    LOG.warning("dedup settles table %s from nothing: %s", name, why)
