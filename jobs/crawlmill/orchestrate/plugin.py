"""What Airflow must know by name in every component: an installed package, since DAG folders are on no import path there."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from crawlmill.orchestrate import pages
from crawlmill.orchestrate.calendar import CrawlCalendar
from crawlmill.orchestrate.priority import ScheduledFirst


class CrawlmillPlugin(AirflowPlugin):
    """Registers the crawl calendar, whose turn it is, and the pages; found by the entry point group `airflow.plugins`."""

    name = "crawlmill"
    priority_weight_strategies = [ScheduledFirst]  # noqa: RUF012
    timetables = [CrawlCalendar]  # noqa: RUF012 (declared so by Airflow)
    fastapi_apps = [{"app": pages.application, "url_prefix": pages.PREFIX, "name": "crawlmill"}]  # noqa: RUF012
    external_views = pages.VIEWS
