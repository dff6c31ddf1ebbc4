"""
# Take pages down

Deletes pages from every table and release, and never lets them in again. Trigger it with the *Pages* (domains, addresses, record ids), a reason and who asks.

| task | what it does |
|---|---|
| wait_for_ingestion | waits until no snapshot is being ingested or queued (at most *Wait* minutes) |
| find | counts the rows of every table, and the releases, that are concerned; changes nothing |
| approve | shows that under *Required Actions* and asks a person; "Keep", or no answer within a week, ends the run |
| delete | writes the order down, deletes the rows, settles clusters and corpus anew, puts successors in the place of releases |

From then on extract turns what is named into rejects with reason `taken_down`, whatever the recipe says. What stood in the shadow of a page that is gone stands
for itself again. `runs` has a row (stage `takedown`) for each snapshot: who asked, why, what was replaced by what. DAG `maintain_tables` deletes the data
files that held the pages once they are older than its *Retention*. Stopped anywhere, clear the task: the same call goes on. At the shell: `crawlmill takedown`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import dag

from crawlmill.orchestrate.coalesce import WAIT_MINUTES, wait_for_ingestion
from crawlmill.orchestrate.stages import DEFAULTS, WHERE
from crawlmill.orchestrate.takedowns import PARAMS, approve, submit


@dag(
    dag_display_name="Take pages down",
    description="Delete pages from every table and release, for good",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2008, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    max_active_tasks=1,
    dagrun_timeout=timedelta(days=14),
    default_args=DEFAULTS,
    params={**PARAMS, "lake": WHERE["lake"], "recipe": WHERE["recipe"], "wait_minutes": WAIT_MINUTES},
    tags=["maintenance", "across snapshots"],
)
def takedown() -> None:
    quiet = wait_for_ingestion("{{ params.wait_minutes }}")
    agreed = approve()
    done = submit("delete", "--yes", by="{{ params.by }}, approved by {{ ti.xcom_pull(task_ids='approve') }}")

    quiet >> submit("find") >> agreed >> done


takedown()
