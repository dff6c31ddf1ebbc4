"""Crawlmill's pages in Airflow's UI: the report as a tab of a run, snapshots over time, the search box for `why`, the rule workbench.

Plain HTML without a script, served by the API server to users whom Airflow's auth manager lets read the DAG `ingest_snapshot`. Nothing is
imported before the first request, because every component of Airflow loads the plugin.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

PREFIX = "/crawlmill"
# A funnel; of a grey that can be seen on both of Airflow's themes.
ICON = (
    "data:image/svg+xml;base64,"
    "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHZpZXdCb3g9IjAgMCAyNCAyNCI+PGcgZmlsbD0ibm9uZSIgc3Ryb2tlPSIjNmI3"
    "MjgwIiBzdHJva2Utd2lkdGg9IjIiPjxwYXRoIGQ9Ik0zIDRoMThsLTcgOHY4bC00LTJ2LTZ6Ii8+PC9nPjwvc3ZnPg=="
)
VIEWS = [
    {"name": "Crawlmill", "href": "crawlmill/", "destination": "nav", "url_route": "crawlmill", "icon": ICON},
    {"name": "Report", "href": "crawlmill/run?dag_id={DAG_ID}&run_id={RUN_ID}", "destination": "dag_run",
     "url_route": "crawlmill-report", "icon": ICON},
]  # fmt: skip


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application that Airflow mounts."""
    await _built()(scope, receive, send)


@lru_cache(maxsize=1)
def _built() -> Any:
    from crawlmill.orchestrate.pages import access, app

    return app.build(access.by_airflow())
