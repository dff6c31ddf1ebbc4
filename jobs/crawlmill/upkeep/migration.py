"""What it takes to bring the tables of a lake up to their contracts, told before it is done.

Stages do the same silently when they start (`contract.migrate`), but they look at no row. This looks first: at what would break readers, and at rows
already written that a new CHECK would refuse from now on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import fence, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Step:
    """What happens to a table.

    Attributes:
        table: its name.
        held: the contract's version that it follows; empty where there is no table yet.
        wanted: the version of this code.
        columns: new ones, with their types.
        checks: new or changed CHECK constraints: name -> expression.
        dropped: constraints that go.
        broken: what breaks readers, so that the table begins anew, without rows; its contract has a new major version.
    """

    table: str
    held: str
    wanted: str
    columns: dict[str, str]
    checks: dict[str, str]
    dropped: tuple[str, ...]
    broken: tuple[str, ...]

    def __str__(self) -> str:
        if not self.held:
            return f"{self.table}: is created, contract {self.wanted}"
        parts = [
            *(f"new column {name} ({kind})" for name, kind in self.columns.items()),
            *(f"new CHECK {name}: {expression}" for name, expression in self.checks.items()),
            *(f"CHECK {name} goes" for name in self.dropped),
        ]
        if self.broken:
            parts = [
                f"{'; '.join(self.broken)}: the table is emptied, old versions stay readable by their numbers, its stages fill it again"
            ]
        versions = f"contract {self.held} to {self.wanted}" if self.held != self.wanted else f"contract {self.held}"
        return f"{self.table}: {versions}: {'; '.join(parts) or 'words and properties'}"


def steps(lake: str) -> list[Step]:
    """The tables that differ from their contracts. Raises UserError, naming table and remedy, where a contract may not be followed."""
    found = []
    for name in contract.all_tables():
        wanted = contract.load(name)
        state = contract.held(lake, name)
        if state is None:
            found.append(Step(name, "", wanted.version, {}, {}, (), ()))
            continue
        contract.refuse(lake, name, state)
        if contract.follows(lake, name):
            continue
        checks = {check: expression for check, expression in wanted.checks.items() if state.checks.get(check) != expression}
        columns = {column: str(fact["type"]) for column, fact in contract.facts(wanted).items() if column not in state.facts}
        gone = tuple(sorted(state.checks.keys() - wanted.checks.keys()))
        found.append(Step(name, state.version, wanted.version, columns, checks, gone, tuple(state.broken(wanted))))
    return found


def migrate(lake: str, spark: Callable[[], SparkSession], say: Callable[[str], None]) -> None:
    """Bring every table up to its contract. Raises UserError where a row already written breaks a new CHECK; nothing is changed then.

    Args:
        lake: folder of the tables.
        spark: gives a session, asked for only where rows have to be looked at.
        say: told of each table.
    """
    due = steps(lake)
    for step in due:
        if step.checks and step.held and not step.broken:
            refuse_rows(spark(), lake, step)
    for step in due:
        with fence.lock(lake, step.table):
            if not contract.create(lake, step.table):
                contract.migrate(lake, step.table)
        say(str(step))


def refuse_rows(spark: SparkSession, lake: str, step: Step) -> None:
    """Raise UserError where rows of the newest version break a new CHECK: its stage has to write them anew first."""
    from pyspark.sql import functions as F

    rows = table.read(spark, lake, step.table, table.version(lake, step.table))
    rows = rows.withColumns({name: F.lit(None).cast(kind) for name, kind in step.columns.items()})
    counts = rows.selectExpr(*(f"count_if(NOT ({expression})) AS {name}" for name, expression in step.checks.items())).first()
    for name, n in (counts.asDict() if counts else {}).items():
        if n:
            raise UserError(
                f"{n} rows of table {step.table} break the new CHECK {name} ({step.checks[name]}): mend the contract, or give it a new "
                "major version, so that its stages write the table anew"
            )
