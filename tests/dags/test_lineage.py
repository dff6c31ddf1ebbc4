"""What OpenLineage is told: tables with their versions. The event itself only where OpenLineage's provider is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.orchestrate import lineage
from crawlmill.orchestrate.submit import StageSubmit

S = "CC-MAIN-2026-43"
RUN = RunRow(
    run_id="r", stage="identify", snapshot=S, stage_key="k", verdict="passed",
    inputs=[{"table": "documents", "snapshot": S, "version": 7}], outputs=[{"table": "languages", "version": 3}],
)  # fmt: skip


def test_several_versions_of_a_table_are_all_named() -> None:
    pinned = [{"table": "verdicts", "snapshot": str(n), "version": at} for n, at in enumerate((9, 12, 9))]
    assert lineage.versions([*pinned, {"table": "bands", "snapshot": "0", "version": 1}]) == {"bands": "1", "verdicts": "9,12"}


def test_a_table_bears_the_name_that_other_tools_give_it() -> None:
    assert lineage.dataset("/data/lake", "bands") == ("file", "/data/lake/bands")
    assert lineage.dataset("s3a://lakes/web/all", "bands") == ("s3://lakes", "web/all/bands")


@pytest.fixture
def submit(lake: str) -> StageSubmit:
    table.create_all(lake)
    return StageSubmit(task_id="submit", stage="identify", application_args=["--snapshot", S, "--lake", lake])


def test_a_task_without_a_released_run_tells_nothing(submit: StageSubmit) -> None:
    assert submit.get_openlineage_facets_on_complete(None) is None


def test_an_event_names_the_tables_with_their_versions(submit: StageSubmit, lake: str, tmp_path: Path) -> None:
    extractors = pytest.importorskip("airflow.providers.openlineage.extractors.base")
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.transport.file import FileConfig, FileTransport

    ledger.append_run(lake, RUN)
    found = extractors.DefaultExtractor(submit).extract_on_complete(None)
    client = OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=str(tmp_path / "events"), append=True)))
    event = RunEvent(
        eventType=RunState.COMPLETE, eventTime="2026-11-21T00:00:00Z", run=Run("0190fa73-0000-7000-8000-000000000001"),
        job=Job("crawlmill", "identify.submit"), producer="https://crawlmill.example", inputs=found.inputs, outputs=found.outputs,
    )  # fmt: skip
    client.emit(event)
    told: dict[str, Any] = json.loads((tmp_path / "events").read_text())
    shown = {
        side: [(row["name"], row["facets"]["version"]["datasetVersion"]) for row in told[side]] for side in ("inputs", "outputs")
    }
    assert shown == {"inputs": [(f"{lake}/documents", "7")], "outputs": [(f"{lake}/languages", "3")]}
