"""The tasks of DAG `takedown`: find, ask a person, delete."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.orchestrate.stages import SPARK_TIMEOUT
from crawlmill.orchestrate.submit import job_file, placement

if TYPE_CHECKING:
    from airflow.sdk import Context

DELETE, KEEP = "Delete", "Keep"
PARAMS = {
    "names": Param(type="string", pattern=r"^[^\x00-\x09\x0b\x0c\x0e-\x1f{}]*[^\s\x00-\x1f{}][^\x00-\x09\x0b\x0c\x0e-\x1f{}]*$", format="multiline",
                   title="Pages", section="What", description="Domains (with everything below them), addresses or record ids, a line each."),
    "because": Param(type="string", pattern=r"^[^\x00-\x1f{}]{3,500}$(?!\n)", title="Because", section="Why", description="The reason, kept with the order."),
    "by": Param(type="string", pattern=r"^[^\x00-\x1f{}]{1,100}$(?!\n)", title="Asked for by", section="Why",
                description="Who asks for it, kept with the order."),
}  # fmt: skip


def submit(task_id: str, *more: str, by: str = "{{ params.by }}") -> SparkSubmitOperator:
    """The Spark job that finds, or with --yes deletes."""
    return SparkSubmitOperator(
        task_id=task_id,
        application=job_file("takedown"),
        name=f"takedown, {task_id}",
        application_args=["{{ params.names }}", "--because", "{{ params.because }}", "--by", by, "--lake", "{{ params.lake }}",
                          "--recipe", "{{ params.recipe }}", *more],
        conn_id="spark_default",
        pool="writers",
        execution_timeout=SPARK_TIMEOUT,
        **placement(),
    )  # fmt: skip


class TakedownApproval(HITLOperator):
    """Shows what an order would delete and asks a person. "Keep", or nobody's answer in time, fails the task: nothing is deleted."""

    template_fields = ("subject", "body", "lake", "names")

    def __init__(self, *, lake: str, names: str, **kwargs: Any) -> None:
        super().__init__(subject="Delete these pages for good?", options=[DELETE, KEEP], defaults=[KEEP], **kwargs)
        self.lake, self.names = lake, names

    def execute(self, context: Context) -> None:
        """Ask."""
        from crawlmill.takedowns import orders
        from crawlmill.verbs import takedown_cli

        order = orders.make(self.names.split(), "", "")
        found = takedown_cli.preview(layout.lake_root(self.lake), order.name)
        shown = "\n".join(f"    {name}" for name in (*order.domains, *order.urls, *order.ids)[:50])
        self.body = f"{order}\n\n{shown}\n\nRows that would go:\n\n```\n{takedown_cli.show(found)}\n```"
        self.params = ParamsDict({})
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Say who agreed; raise AirflowFailException where nobody did."""
        self.params = ParamsDict({})
        answer = super().execute_complete(context, event)
        (choice,) = answer["chosen_options"]
        user = answer["responded_by_user"]
        who = str(user.get("name") or user.get("id")) if user else "nobody in time"
        if choice != DELETE:
            raise AirflowFailException(f"kept by {who}: nothing was deleted; clear this task to be asked again")
        return who


def approve() -> TakedownApproval:
    """The question, open for a week."""
    return TakedownApproval(
        task_id="approve", lake="{{ params.lake }}", names="{{ params.names }}", response_timeout=timedelta(days=7)
    )
