"""Which failures are tried again: judged by the exception that the Spark hook raises."""

from __future__ import annotations

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowException

from crawlmill.errors import SourceUnavailable
from crawlmill.orchestrate.retry import StageRetryPolicy


def failure(code: int, tail: str) -> AirflowException:
    """As SparkSubmitHook words it."""
    return AirflowException(
        f"Cannot execute: spark-submit --master local[2,4] --name x jobs/gate.py. Error code is: {code}.\nLast spark-submit output:\n{tail}"
    )


@pytest.mark.parametrize(
    ("code", "tail"),
    [
        (2, "crawlmill: user error: unknown snapshot"),
        (2, "Usage: gate [OPTIONS]"),
        (3, "crawlmill: answer needed: 1 warning waits"),
        (1, "crawlmill: fenced: attempt 1 of gate may not commit"),
        (1, "WARN something\ncrawlmill: critical: documents: url is never null (observed 3)"),
    ],
)
def test_what_would_fail_again_fails_at_once(code: int, tail: str) -> None:
    decision = StageRetryPolicy().evaluate(failure(code, tail), 1, 3)
    assert decision.action is RetryAction.FAIL and decision.reason


@pytest.mark.parametrize(
    "exception",
    [
        failure(1, "java.lang.OutOfMemoryError: Java heap space"),
        failure(1, "py4j.protocol.Py4JNetworkError"),
        failure(1, "crawlmill: failed: the disk is full"),
        failure(2, "crawlmill: source unavailable: http://127.0.0.1:1/ cannot be read"),
        SourceUnavailable("http://127.0.0.1:1/ cannot be read"),
        failure(
            1,
            "crawlmill: fenced: attempt 1 of extract may not commit: attempt 2 (run takedown-0123456789ab) has taken over all shards",
        ),
        failure(137, ""),
        failure(-9, ""),
        ConnectionError("Execution API server did not answer"),
        TimeoutError("execution timeout"),
    ],
)
def test_what_may_be_different_next_time_is_left_to_the_back_off(exception: Exception) -> None:
    assert StageRetryPolicy().evaluate(exception, 1, 3).action is RetryAction.DEFAULT


def test_the_policy_survives_serialisation() -> None:
    policy = StageRetryPolicy()
    assert isinstance(StageRetryPolicy.deserialize(policy.serialize()), StageRetryPolicy)
