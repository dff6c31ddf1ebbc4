"""Where the driver of a stage runs: below the Airflow worker, or as a pod that outlives it."""

from __future__ import annotations

import pytest

from crawlmill.orchestrate import releases, stages, submit, takedowns


def test_below_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(submit.PODS, raising=False)
    task = stages.submit("gate", "CC-MAIN-2026-43")
    assert not task._track_driver_via_k8s_api and task.application.startswith("/") and task.application.endswith("jobs/gate.py")


def test_as_a_pod_that_a_restarted_worker_finds_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(submit.PODS, "1")
    task = stages.submit("gate", "CC-MAIN-2026-43")
    assert task._track_driver_via_k8s_api and task.durable
    assert task.application.startswith("local:///") and task.application.endswith("jobs/gate.py")
    for other in (releases.build(), takedowns.submit("find")):
        assert other._track_driver_via_k8s_api and other.application.startswith("local:///")
