"""Who is told: of a task that failed for good, of a question that waits, of a run that is late.

`CRAWLMILL_NOTIFIER` names an Airflow notifier by its import path, `CRAWLMILL_NOTIFIER_ARGS` its arguments as JSON, templates included; both are read where DAGs
are parsed. Without one the task's log says it, and a missed deadline the triggerer's. `CRAWLMILL_DEADLINE_HOURS` is how long after it was queued a run
may take.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.definitions.callback import AsyncCallback, SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from crawlmill.errors import UserError

NOTIFIER, ARGUMENTS, HOURS = "CRAWLMILL_NOTIFIER", "CRAWLMILL_NOTIFIER_ARGS", "CRAWLMILL_DEADLINE_HOURS"
LATE = 72.0  # hours: a snapshot takes a day or two on a cluster that fits it
LOG = logging.getLogger("crawlmill.alerts")


def configured() -> tuple[type[BaseNotifier], dict[str, Any]] | None:
    """The notifier's class and its arguments; None where none is set. Raises UserError naming the variable that is wrong."""
    name = os.environ.get(NOTIFIER, "").strip()
    if not name:
        return None
    try:
        module, _, own = name.rpartition(".")
        found = getattr(import_module(module), own)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"{NOTIFIER}={name} cannot be imported ({error}): give the path of a class, like package.module.Notifier"
        ) from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise UserError(f"{NOTIFIER}={name} is no Airflow notifier: give a class derived from airflow.sdk.BaseNotifier")
    try:
        arguments = json.loads(os.environ.get(ARGUMENTS) or "{}")
        if not isinstance(arguments, dict):
            raise ValueError("it is no object")
        found(**arguments)
    except (ValueError, TypeError) as error:
        raise UserError(
            f'{ARGUMENTS} does not fit {name} ({error}): give its arguments as JSON, like {{"text": "{{{{ dag.dag_id }}}} failed"}}'
        ) from None
    return found, arguments


def notifiers() -> list[BaseNotifier]:
    """What is called with the context of a failed task or of a question: the notifier, where one is set."""
    made = configured()
    return [made[0](**made[1])] if made else []


async def log_late(dag: str = "", **_: Any) -> None:
    """What happens at a missed deadline where no notifier is set; the run's page shows it, too."""
    LOG.warning("a run of %s has missed its deadline", dag)


def deadline(dag: str) -> DeadlineAlert:
    """The alert of a DAG: so many hours after a run was queued.

    Runs of snapshots have no logical date, so a deadline counts from when they were queued.
    """
    made = configured()
    callback: AsyncCallback | SyncCallback = AsyncCallback(log_late, kwargs={"dag": dag})
    if made:
        kind, arguments = made
        asynchronous = kind.async_notify is not BaseNotifier.async_notify
        path = f"{kind.__module__}.{kind.__qualname__}"
        callback = AsyncCallback(path, kwargs=arguments) if asynchronous else SyncCallback(path, kwargs=arguments)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(hours=hours()), callback, name=f"{dag} is late")


def hours() -> float:
    """The hours that a run may take. Raises UserError for what is no number above 0."""
    given = os.environ.get(HOURS) or str(LATE)
    try:
        found = float(given)
    except ValueError:
        found = 0.0
    if not 0 < found < 24 * 365:
        raise UserError(f"{HOURS}={given}: give a number of hours above 0")
    return found
