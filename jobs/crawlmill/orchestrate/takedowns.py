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

    from crawlmill.takedowns.orders import Order

DELETE, KEEP = "Delete", "Keep"
SHOWN = 50  # names in the question
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

    template_fields = ("subject", "body", "lake", "names", "because", "by")

    def __init__(self, *, lake: str, names: str, because: str, by: str, **kwargs: Any) -> None:
        super().__init__(subject="Delete these pages for good?", options=[DELETE, KEEP], defaults=[KEEP], **kwargs)
        self.lake, self.names, self.because, self.by = lake, names, because, by

    def execute(self, context: Context) -> None:
        """Ask."""
        from crawlmill.takedowns import orders
        from crawlmill.verbs import takedown_cli

        order = orders.make(self.names.split(), "", "")
        found = takedown_cli.preview(layout.lake_root(self.lake), order.name)
        self.body = _question(order, found, self.by, self.because)
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


def _question(order: Order, found: dict[str, Any], by: str, because: str) -> str:
    """Who asks, what for, what would go; as Markdown whose lines are paragraphs and list items, since Airflow's page joins those of a block of code."""
    names = (*order.domains, *order.urls, *order.ids)
    rows = [
        f"{table}: {sum(counts.values()):,} ({', '.join(f'{snapshot} {number:,}' for snapshot, number in sorted(counts.items()))})"
        for table, counts in sorted(found["tables"].items())
    ]
    parts = [
        f"Asked for by {_code(by)}, because: {_code(because)}",
        _list([_code(name) for name in names[:SHOWN]] + ([f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else [])),
        "Rows that would go:" if rows else "No row of the lake is named.",
        _list(rows),
        f"releases to withdraw: {', '.join(found['releases']) or 'none'}",
        f"Without an answer within a week: **{KEEP}**.",
    ]
    return "\n\n".join(part for part in parts if part)


def _list(items: list[str]) -> str:
    return "\n".join(f"* {item}" for item in items)


def _code(text: str) -> str:
    """What people wrote is data, not Markdown."""
    return "`" + text.replace("`", "'") + "`"


def approve() -> TakedownApproval:
    """The question, open for a week."""
    return TakedownApproval(
        task_id="approve", lake="{{ params.lake }}", names="{{ params.names }}", because="{{ params.because }}", by="{{ params.by }}",
        response_timeout=timedelta(days=7),
    )  # fmt: skip
