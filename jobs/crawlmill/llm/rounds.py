"""Asking for a stage: the driver asks, round after round, until no document of it waits for an answer any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crawlmill.errors import CriticalFailure
from crawlmill.lake import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from crawlmill.protocol.stage import Context


def answered(context: Context, work: Callable[[int], DataFrame], hooks: int) -> DataFrame:
    """The rows of `work`, given the version of the table of answers, once none of their column `pending` holds a request.

    Raises:
        CriticalFailure: a hook goes on asking; `hooks` says how many may ask one after another.
        BudgetSpent, UserError, SourceUnavailable: as `ask`.
    """
    from pyspark.sql import functions as F

    from crawlmill.llm import settings
    from crawlmill.llm.ask import ask
    from crawlmill.llm.store import TABLE
    from crawlmill.text.hooks.running import ROUNDS

    for _ in range(ROUNDS * hooks):
        rows = work(table.version(context.job.lake, TABLE))
        waiting = rows.select("shard", F.explode("pending").alias("request"))
        if waiting.isEmpty():
            return rows
        pending = ((row["shard"], row["request"]) for row in waiting.toLocalIterator())
        ask(context.job.lake, context.job.snapshot, pending, settings.load(), lambda line: print(line, flush=True))
        rows.unpersist()
    raise CriticalFailure(f"hooks of {context.job.snapshot} go on asking after {ROUNDS} rounds each: mend the hook that does")
