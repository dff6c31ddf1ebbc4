"""Buttons on a task's page: the report of its run, the table versions that its stage wrote, the Spark UI of its job."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

SPARK_HISTORY = "CRAWLMILL_SPARK_HISTORY"  # environment variable: address of Spark's history server
SPARK_KEY = "_link_SparkUI"  # the XCom that Airflow reads the link from


def base() -> str:
    """Airflow's address, with a slash at its end."""
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/") + "/"


class ReportLink(BaseOperatorLink):
    """To the tab of the run that holds the report."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The tab's address within the UI."""
        return f"{base()}dags/{quote(ti_key.dag_id)}/runs/{quote(ti_key.run_id, safe='')}/plugin/crawlmill-report"


class TablesLink(BaseOperatorLink):
    """To what the task's stage wrote: tables, versions, counts."""

    name = "Table versions"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """The page's address; it looks the versions up in the ledger."""
        asked = {"dag_id": ti_key.dag_id, "run_id": ti_key.run_id, "task_id": ti_key.task_id}
        return f"{base()}crawlmill/stage?{urlencode(asked)}"


class SparkUI(BaseOperatorLink):
    """To the job's own pages: the driver's while it runs, the history server's afterwards."""

    name = "Spark UI"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Empty, which hides the button, where the job had no UI and no history server is known."""
        history, application = os.environ.get(SPARK_HISTORY, "").rstrip("/"), getattr(operator, "application_id", "")
        return f"{history}/history/{quote(application)}/" if history and application else ""


LINKS = (ReportLink(), TablesLink())
SPARK_LINKS = (*LINKS, SparkUI())
