"""Stages as task groups: a Spark job, then a light task that reads its verdict and announces its tables.

    submit   spark-submit of jobs/<stage>.py; retried with back-off unless the same call would fail again
    check    reads the verdict in the ledger; its outlets are the stage's tables, so whatever listens hears of released versions only

`extract` has `plan` in front: it asks the source which crawl files there are and cuts them into groups of shards, a Spark job each.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, Param, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.lake.pins import EVERY, WRITTEN_BY
from crawlmill.orchestrate import alerts
from crawlmill.orchestrate.links import LINKS
from crawlmill.orchestrate.priority import ScheduledFirst
from crawlmill.orchestrate.retry import StageRetryPolicy
from crawlmill.orchestrate.submit import StageSubmit, placement

if TYPE_CHECKING:
    from airflow.sdk.definitions._internal.node import DAGNode

# Partitioned runs have a key and no logical date; a run by hand may give the snapshot as a parameter instead.
SNAPSHOT = "{{ partition_key or params.snapshot }}"
PUBLISHED = "every-snapshot"  # the one partition key of runs across snapshots

# What each stage writes, and so announces.
TABLES = {
    stage: tuple(table for table, by in WRITTEN_BY.items() if by == stage)
    for stage in dict.fromkeys(WRITTEN_BY.values())
    if stage != "load-scores"  # a verb of the shell
}

DEFAULTS: dict[str, Any] = {
    "owner": "crawlmill",
    "retries": 3,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
    "retry_policy": StageRetryPolicy(),
    "execution_timeout": timedelta(minutes=10),
    "pool": "default_pool",
    "weight_rule": ScheduledFirst(),
    "on_failure_callback": alerts.notifiers(),
}
SPARK_TIMEOUT = timedelta(hours=12)
# Who asks the crawl's server, by how many machines; who writes tables of all snapshots, one at a time. All others share `spark`.
POOLS = {"extract": "source", "dedup": "writers", "publish": "writers"}

WHERE = {
    "lake": Param("", type="string", pattern=r"^((s3a?:/)?/[^\x00-\x1f{}]*)?$(?!\n)", title="Lake", section="Where",
                  description="Folder of the tables, an absolute path, or s3a://bucket/prefix; empty: that of this installation (CRAWLMILL_LAKE)."),
    "source": Param("", type="string", pattern=r"^((https?://|/)[^\s{}]*)?$(?!\n)", title="Source", section="Where",
                    description="Where crawl files come from, URL or folder; empty: that of this installation (CRAWLMILL_SOURCE)."),
    "recipe": Param("", type="string", pattern=r"^(/[^\x00-\x1f{}]*\.ya?ml)?$(?!\n)", title="Recipe", section="How",
                    description="Recipe file, an absolute path; empty: that of this installation (CRAWLMILL_RECIPE)."),
}  # fmt: skip
SNAPSHOT_PARAM = Param(None, type=["null", "string"], pattern=r"^CC-MAIN-20[0-9]{2}-[0-9]{2}(-[0-9]{2})?$(?!\n)", title="Snapshot", section="What",
                       description="Only for a run without a partition key: a snapshot id, CC-MAIN-2026-43.")  # fmt: skip


def arguments(stage: str, snapshot: str | None) -> list[str]:
    """The job's command line as templates; an empty value means the installation's own. Spark-submit is called without a shell."""
    return [
        *([] if snapshot is None else ["--snapshot", snapshot]),
        "--lake", "{{ params.lake }}", "--source", "{{ params.source }}", "--recipe", "{{ params.recipe }}",
        "--run-id", f"{{{{ run_id }}}}/{stage}/try{{{{ ti.try_number }}}}",
    ]  # fmt: skip


def _spark(stage: str, **kwargs: Any) -> dict[str, Any]:
    return {
        "task_id": "submit",
        "stage": stage,
        "conn_id": "spark_default",
        "pool": POOLS.get(stage, "spark"),
        "execution_timeout": SPARK_TIMEOUT,
        **placement(),
        **kwargs,
    }


def submit(stage: str, snapshot: str | None) -> StageSubmit:
    """The Spark job of a stage on a whole snapshot, or across snapshots (None)."""
    name = f"{stage} {snapshot or ''}".strip()
    return StageSubmit(**_spark(stage, name=name, application_args=arguments(stage, snapshot)))


def check(stage: str, snapshot: str) -> Any:
    """A task that fails unless the stage's latest verdict on the snapshot releases what it wrote, and announces the tables."""

    @task(task_id="check", outlets=[Asset(table) for table in TABLES[stage]])
    def read_verdict(snapshot: str, lake: str, outlet_events: Any = None) -> dict[str, Any]:
        from crawlmill.lake import ledger

        run = ledger.verdict(layout.lake_root(lake), stage, snapshot)
        if run is None:
            raise AirflowFailException(
                f"{stage} of {snapshot} left no verdict in the ledger: its job did not run, or on another lake"
            )
        if run.verdict not in ledger.RELEASED:
            raise AirflowFailException(f"{stage} of {snapshot} {run.verdict}: {run.message}")
        if run.message:
            print(f"{stage} of {snapshot} {run.verdict}: {run.message}")
        written = [entry["table"] for entry in run.outputs if entry["table"] in TABLES[stage]]
        for table in written:  # some tables are written only where the recipe asks for them
            outlet_events[Asset(table)].extra = {"version": run.output(table), "run": run.run_id}
            if snapshot != EVERY:
                outlet_events[Asset(table)].add_partitions(snapshot)
        total = {what: sum(count[what] for count in run.counts) for what in ("read", "written", "rejected")}
        return {"verdict": run.verdict, "run": run.run_id, "seconds": round(run.seconds, 1), **total}

    told: Any = read_verdict(snapshot, "{{ params.lake }}")
    told.operator.operator_extra_links = LINKS
    return told


def stage_group(stage: str, summary: str, snapshot: str | None = SNAPSHOT) -> DAGNode:
    """The task group of a stage: submit, then check.

    Args:
        stage: one of the stages; also the group's id.
        summary: one sentence for the UI.
        snapshot: template of the snapshot id; None for a stage across snapshots.
    """

    @task_group(group_id=stage, tooltip=summary)
    def group() -> None:
        submit(stage, snapshot) >> check(stage, snapshot or EVERY)

    return group()


def recycles() -> bool:
    """Whether this installation's recipe recycles; without an answer, it does not."""
    from crawlmill.errors import UserError
    from crawlmill.recipes.recipe_file import read_keys

    try:
        return bool((read_keys(layout.recipe_path()).get("recycle") or {}).get("hooks"))
    except UserError:
        return False  # whatever is wrong with the recipe, `plan` says it


def extract_group(summary: str) -> DAGNode:
    """The task group of `extract`: plan, a Spark job for each group of shards, check."""

    @task_group(group_id="extract", tooltip=summary)
    def group() -> None:
        # Airflow 3.3 cannot read a weight rule of one's own back for a mapped task, and then refuses every run: these go first come, first served.
        jobs = StageSubmit.partial(
            **_spark("extract", map_index_template="{{ task.name }}", weight_rule="absolute")
        ).expand_kwargs(plan())
        jobs >> check("extract", SNAPSHOT)

    return group()


@task(task_id="plan")
def plan(params: Any = None, run_id: Any = None, partition_key: str | None = None) -> list[dict[str, Any]]:
    """Name and arguments of each extract job. Wrong input (unknown snapshot, bad recipe) ends here, once; a silent source is asked again."""
    from crawlmill.errors import SourceUnavailable, UserError
    from crawlmill.protocol import crawl
    from crawlmill.recipes import recipe

    snapshot = partition_key or params["snapshot"]
    try:
        if not snapshot:
            raise UserError(
                "no snapshot: trigger the DAG with a partition key, like CC-MAIN-2026-43, or start a backfill over a range of days"
            )
        chosen = recipe.load(layout.recipe_path(params["recipe"]))
        if chosen.recycle.hooks and not recycles():
            raise UserError(
                "the recipe of this run recycles and that of this installation does not, so no task would: set CRAWLMILL_RECIPE"
            )
        groups = crawl.plan_shards(layout.source_root(params["source"]), snapshot, chosen)
    except SourceUnavailable:
        raise
    except UserError as error:
        raise AirflowFailException(str(error)) from error
    if len(groups) == 1:  # then the job takes the whole snapshot
        groups[0]["shards"] = ""
    common = ["--lake", params["lake"], "--source", params["source"], "--recipe", params["recipe"]]
    return [
        {
            "name": f"{snapshot} {group['name']}",
            "application_args": [
                "--snapshot",
                snapshot,
                "--shards",
                group["shards"],
                *common,
                "--run-id",
                f"{run_id}/extract/{number}",
            ],
        }
        for number, group in enumerate(groups)
    ]
