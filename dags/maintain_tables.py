"""
# Maintain the tables

Once a week: puts the small files of tables that grow by small commits together (those whose contracts say `compact`), and takes away files that
no version in use refers to any more (VACUUM).

A version is in use while a run in force rests on it, while an attempt that nobody has judged does, and for *Keep* days after any run that was released.
Files of such versions stay whatever their age; others go when they were replaced *Retention* hours ago. Ingestion and publishing may go on meanwhile.
`crawlmill maintain --dry-run` shows what would go.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, task

from crawlmill import layout
from crawlmill.orchestrate.stages import DEFAULTS, WHERE

RETENTION = Param(168, type="integer", minimum=24, maximum=87600, title="Retention", section="How",
                  description="Hours ago that a file must have been replaced to be taken.")  # fmt: skip
KEEP = Param(30, type="integer", minimum=0, maximum=3650, title="Keep", section="How",
             description="Days for which versions of released runs stay although later runs have replaced them.")  # fmt: skip


@dag(
    dag_display_name="Maintain the tables",
    description="Small files together, unused files away",
    doc_md=__doc__,
    # Not at once on a new installation: a start date would do that, and so would False, up to a tenth of the week after the hour.
    schedule=CronTriggerTimetable("41 3 * * 0", timezone="UTC", run_immediately=timedelta(minutes=5)),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    max_active_tasks=1,
    dagrun_timeout=timedelta(days=1),
    default_args={**DEFAULTS, "execution_timeout": timedelta(hours=6)},
    params={"lake": WHERE["lake"], "retention_hours": RETENTION, "keep_days": KEEP},
    tags=["maintenance", "across snapshots"],
)
def maintain_tables() -> None:
    @task(task_id="maintain")
    def care(params: Any = None) -> dict[str, Any]:
        from crawlmill.lake import ledger
        from crawlmill.upkeep import maintenance

        if not ledger.runs(layout.lake_root(params["lake"])):
            print("nothing to maintain: no snapshot has been ingested yet")
            return {}
        done = maintenance.maintain(layout.lake_root(params["lake"]), (), params["retention_hours"], params["keep_days"])
        for one in done:
            print(f"{one.table}: {one.merged} files put together into {one.written}, {one.removed} files removed")
        return {one.table: one.removed for one in done}

    care()


maintain_tables()
