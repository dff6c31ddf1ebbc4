"""spark-submit of a stage, without starting Spark where there is nothing to do."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.errors import CrawlmillError, SourceUnavailable
from crawlmill.orchestrate import links

if TYPE_CHECKING:
    from airflow.sdk import Context

    from crawlmill.lake.ledger import RunRow


_SAYS = re.compile(r"Spark application (\S+)(?: (https?://\S+))?$")  # the first line of `session.build`
PODS = "CRAWLMILL_SPARK_PODS"  # environment variable: set where drivers are pods of a Kubernetes cluster


def placement() -> dict[str, Any]:
    """Where the driver runs. As a pod it goes on when the Airflow worker ends, and the task's next attempt finds it again by its name."""
    return {"track_driver_via_k8s_api": True, "status_poll_interval": 20} if os.environ.get(PODS) else {}


def job_file(stage: str) -> str:
    """A stage's job file as spark-submit takes it; a pod finds it in its image."""
    return f"{'local://' if os.environ.get(PODS) else ''}{layout.jobs_dir() / f'{stage}.py'}"


class StageSubmit(SparkSubmitOperator):
    """The Spark job of a stage; ends at once where the ledger says that the same work has already passed.

    Asking costs a second or two, a Spark session about ten: a repeated backfill, or a run of `publish_corpus` that another one has made
    needless, is green in seconds.

    Args:
        stage: name of the stage, whose job file is run.
    """

    operator_extra_links = links.SPARK_LINKS
    application_id = ""  # Spark's name of the job, once it has said it

    def __init__(self, *, stage: str, **kwargs: Any) -> None:
        super().__init__(application=job_file(stage), **kwargs)
        self.stage = stage

    def execute(self, context: Context) -> None:
        """Submit the job unless it is up to date. Wrong input and an unanswered warning fail the task for good, a silent source does not."""
        try:
            done = up_to_date(self.stage, self.application_args or [])
        except SourceUnavailable:
            raise
        except CrawlmillError as error:
            raise AirflowFailException(str(error)) from error
        if done:
            self.log.info("%s of %s: up to date since run %s", self.stage, done.snapshot, done.run_id)
            return
        if self.stage in ("rewrite", "recycle"):
            lend_connection()
        self._ti = context["ti"]
        super().execute(context)

    def _get_hook(self) -> Any:
        """The provider's hook, which lets us read along what the job says."""
        hook: Any = super()._get_hook()
        process = hook._process_spark_submit_log
        hook._process_spark_submit_log = lambda said: process(self._watched(said))
        return hook

    def _watched(self, said: Iterable[str]) -> Iterator[str]:
        """The job's lines as they are; the one that names the application makes the link to its UI, while it runs."""
        for line in said:
            if not self.application_id and (found := _SAYS.match(line.strip())):
                self.application_id = found[1]
                if found[2]:
                    self._ti.xcom_push(links.SPARK_KEY, found[2])
            yield line

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What OpenLineage's provider asks of a task that is done: the tables that the stage's last released run read and wrote."""
        from crawlmill.lake import ledger, pins
        from crawlmill.orchestrate import lineage

        given = arguments(self.application_args or [])
        lake = layout.lake_root(given["--lake"])
        run = ledger.released(lake, self.stage, given.get("--snapshot", pins.EVERY))
        return lineage.facets(lake, run) if run else None


def arguments(words: list[str]) -> dict[str, str]:
    """The options of a job's command line."""
    return dict(zip(words[::2], words[1::2], strict=True))


def lend_connection() -> None:
    """Hand Airflow's connection `crawlmill_llm`, where there is one, to the job: by its environment, never on a command line."""
    import json

    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from crawlmill.llm import settings

    if os.environ.get(f"{settings.PREFIX}BASE_URL") or os.environ.get(settings.CONNECTION):
        return
    try:
        found = BaseHook.get_connection("crawlmill_llm")
    except AirflowNotFoundException:
        return
    parts = {name: getattr(found, name) for name in ("host", "port", "schema", "password", "extra")}
    os.environ[settings.CONNECTION] = json.dumps(parts)


def up_to_date(name: str, words: list[str]) -> RunRow | None:
    """The released run that makes a job with these arguments needless, by the same rule as the job itself applies."""
    from crawlmill.lake import ledger, pins
    from crawlmill.protocol import stage
    from crawlmill.recipes import recipe

    given = arguments(words)
    lake, snapshot = layout.lake_root(given["--lake"]), given.get("--snapshot", pins.EVERY)
    if ledger.released(lake, name, snapshot) is None:
        return None
    chosen = recipe.load(layout.recipe_path(given["--recipe"]))
    job = stage.Job(lake=lake, recipe=chosen, source=layout.source_root(given["--source"]), snapshot=snapshot)
    declared = stage.load(name)
    found, key, _ = stage.resolve(declared, job)
    return stage.up_to_date(declared, job, key, found)
