"""What stages took and cost: documents per second, core-hours and money, from the ledger's seconds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from crawlmill.errors import UserError
from crawlmill.recipes.limit_table import finite

PRICE, CORES = "CRAWLMILL_CORE_HOUR_PRICE", "CRAWLMILL_CORES"  # environment variables
LOCAL = 2.0  # cores of the default master, local[2,4]


@dataclass(frozen=True)
class Rates:
    """Cores that a stage's job has, and what a core costs an hour; None: nobody has said a price."""

    cores: float = LOCAL
    price: float | None = None


def rates(cores: float | None = None, price: float | None = None) -> Rates:
    """Rates as given, else by the environment. Raises UserError for one that is no number above or, for the price, at 0."""
    had = _number(CORES, cores, LOCAL)
    found = Rates(LOCAL if had is None else had, _number(PRICE, price, None))
    if found.cores <= 0 or (found.price is not None and found.price < 0):
        raise UserError(f"{found.cores:g} cores at {found.price} an hour cannot be: give cores above 0 and a price from 0 on")
    return found


def _number(name: str, given: float | None, default: float | None) -> float | None:
    text = os.environ.get(name, "")
    if given is not None or not text:
        return default if given is None else given
    value = finite(text)
    if value is None:
        raise UserError(f"{name}={text!r} is no number: give one, or unset it")
    return value


def priced(rows: list[dict[str, Any]], at: Rates, documents: int) -> dict[str, Any]:
    """Add core-hours and cost to the rows of runs, which have `seconds`; returns their sums, and what a million documents cost.

    Core-hours are seconds times cores: what was paid for, busy or not. A run across snapshots is not part of a snapshot's sums.
    """
    for row in rows:
        row["core_hours"] = row["seconds"] * at.cores / 3600
        row["cost"] = None if at.price is None else row["core_hours"] * at.price
    own = [row for row in rows if row["snapshot"] != "*"]
    hours = sum(row["core_hours"] for row in own)
    cost = None if at.price is None else hours * at.price
    per_million = cost / documents * 1e6 if cost is not None and documents else None
    return {"cores": at.cores, "price": at.price, "core_hours": hours, "seconds": sum(row["seconds"] for row in own), "cost": cost,
            "per_million": per_million}  # fmt: skip
