"""The question to a person before the corpus is published: what a warning saw, what earlier snapshots showed, publish or hold.

Warnings never stop ingestion. Where some are open when dedup is done, the task `approve` parks in the UI under Required Actions, without a worker
slot, and its answer, with the name of who gave it, goes into `quality`. Where nobody answers in time, what the contracts declare holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException

from crawlmill import layout
from crawlmill.protocol import answers

if TYPE_CHECKING:
    from airflow.sdk import Context

PUBLISH, HOLD = "Publish", "Hold"
ASKED = "asked"  # XCom: the warnings that the form showed
ANSWER_HOURS = Param(72, type="number", exclusiveMinimum=0, maximum=720, title="Answer within", section="When",
                     description="Hours to wait for a person's answer to quality warnings; then what the contracts declare for a timeout holds.")  # fmt: skip


class QualityApproval(HITLOperator):
    """Ends at once where no warning is open, else asks a person and records the answer.

    "Hold" fails the task for good: nothing is published until it is cleared and answered otherwise.
    """

    template_fields = ("subject", "body", "lake", "hours")

    def __init__(self, *, lake: str, hours: str, **kwargs: Any) -> None:
        super().__init__(subject="Publish in spite of quality warnings?", options=[PUBLISH, HOLD], **kwargs)
        self.lake, self.hours = lake, hours

    def _form(self) -> ParamsDict:
        """The form's one field. Airflow gives a task all parameters of its DAG, and they would be asked for, too."""
        return ParamsDict({"because": Param("", type="string", title="Because", description="The reason, kept with the answer.")})

    def execute(self, context: Context) -> None:
        """Ask, if there is anything to ask."""
        lake = layout.lake_root(self.lake)
        open_ = answers.waiting(lake)
        if not open_:
            self.log.info("no quality warning is open")
            return
        context["ti"].xcom_push(ASKED, [answers.key(row) for row in open_])
        self.subject = f"{len(open_)} quality warning{'s' if len(open_) > 1 else ''}: publish all the same?"
        self.defaults = [PUBLISH if answers.on_timeout(open_) == "publish" else HOLD]
        silence = f"Without an answer within {float(self.hours):g} hours: **{self.defaults[0]}**. The tab Report of a snapshot's run shows its numbers."
        self.body = f"{answers.question(lake, open_)}\n\n{silence}"
        self.response_timeout = timedelta(hours=float(self.hours))
        self.params = self._form()
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Record the answer; raise AirflowFailException where it was to hold."""
        self.params = self._form()
        answer = super().execute_complete(context, event)
        (choice,) = answer["chosen_options"]
        who = _name(answer["responded_by_user"])
        because = str((answer["params_input"] or {}).get("because") or "no reason given")
        lake = layout.lake_root(self.lake)
        shown = _shown(context["ti"].xcom_pull(key=ASKED, task_ids=context["ti"].task_id))
        rows = [row for row in answers.waiting(lake) if answers.key(row) in shown]
        answers.record(lake, rows, choice == PUBLISH, who, because)
        if choice == HOLD:
            raise AirflowFailException(f"held by {who}: {because}; clear this task to be asked again")
        return {"answer": choice, "by": who, "because": because, "warnings": len(rows)}


def _shown(pulled: Any) -> list[str]:
    """The keys that were pushed; Airflow gives a list of lists where several attempts pushed."""
    found: Sequence[Any] = pulled or []
    return [str(key) for entry in found for key in ([entry] if isinstance(entry, str) else entry)]


def _name(user: Mapping[str, Any] | None) -> str:
    """Who answered; nobody, where the time ran out."""
    return str(user.get("name") or user.get("id")) if user else "nobody in time"
