"""Which failures of a stage are worth another attempt.

Not wrong input, not a broken contract, not a question to a person, not work that a later attempt has taken over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from crawlmill.errors import AnswerNeeded, CriticalFailure, Fenced, SourceUnavailable, UserError

if TYPE_CHECKING:
    from airflow.sdk import Context

# SparkSubmitHook's exception ends in the exit code and the tail of the output; the markers are those that `crawlmill.protocol.command` prints.
EXIT_CODE = re.compile(r"Error code is: (-?\d+)")
FINAL = re.compile(f"crawlmill: (?:{'|'.join(error.kind for error in (AnswerNeeded, CriticalFailure, Fenced, UserError))}): .*")
TRANSIENT = f"crawlmill: {SourceUnavailable.kind}: "
TAKEN_OVER = re.compile(rf"crawlmill: {Fenced.kind}: .*\(run takedown-")  # a takedown lets nobody else go on, and is done with


class StageRetryPolicy(RetryPolicy):
    """Fail at once where the same call would fail again; otherwise leave it to the task's retries and their back-off."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Judge a failed attempt by the exit code and the last words of its job.

        Exit code 2 is wrong input unless the source did not answer, 3 an unanswered warning, 1 with `critical` a broken contract and with
        `fenced` an attempt that a later one has replaced, unless that was a takedown: then the work is still to be done. Anything else (a
        lost JVM, a full disk) may be different next time.
        """
        text = str(exception)
        code = int(found[1]) if (found := EXIT_CODE.search(text)) else None
        said = FINAL.search(text)
        if (code in (2, 3) and TRANSIENT not in text) or (code == 1 and said and not TAKEN_OVER.search(text)):
            return RetryDecision.fail(said[0] if said else f"exit code {code}: another attempt would end the same way")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        return {"__type": "StageRetryPolicy"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> StageRetryPolicy:
        return cls()
