"""Whose turn it is when slots are few: what came by itself before what was asked for by a backfill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.task.priority_strategy import PriorityWeightStrategy

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance

SCHEDULED, BACKFILL = 100, 1


class ScheduledFirst(PriorityWeightStrategy):
    """Tasks of backfills wait for those of all other runs; among equals, who came first goes first."""

    def get_weight(self, ti: TaskInstance) -> int:
        """The weight, by the kind of run that is in the run's id (`CrawlCalendar.generate_run_id`, and Airflow's own)."""
        return BACKFILL if (ti.run_id or "").startswith("backfill__") else SCHEDULED

    def __repr__(self) -> str:
        """What Airflow writes down of a DAG's default arguments: with an address in it, each parse would make a new version of every DAG."""
        return f"{type(self).__name__}()"
