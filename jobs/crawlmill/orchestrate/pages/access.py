"""Who may see and who may write: Airflow's auth manager decides, by the user's rights on the DAG `ingest_snapshot`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

DAG = "ingest_snapshot"


@dataclass(frozen=True)
class RunOf:
    """A run of a DAG: the snapshot that it is on, and its parameters."""

    dag_id: str
    run_id: str
    snapshot: str | None
    params: dict[str, Any]


@dataclass(frozen=True)
class Access:
    """What the pages ask of whoever serves them.

    Attributes:
        read: dependency that raises HTTPException 401 or 403 unless the user may read DAG.
        run: the same for the DAG that the query names.
        edit: the same for writing.
        may_edit: dependency, whether the user may write.
        find: the run of a DAG, None where there is none.
        login: the address of the log-in page that comes back to a path.
    """

    read: Callable[..., Any]
    run: Callable[..., Any]
    edit: Callable[..., Any]
    may_edit: Callable[..., Any]
    find: Callable[[str, str], RunOf | None]
    login: Callable[[str], str]


def by_airflow() -> Access:
    """The dependencies of Airflow's own endpoints: a request without log-in gets 401, one without the right 403."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
    from airflow.api_fastapi.core_api.security import get_user, requires_access_dag
    from fastapi import Depends

    def may_edit(user: Any = Depends(get_user)) -> bool:
        return bool(get_auth_manager().is_authorized_dag(method="PUT", details=DagDetails(id=DAG), user=user))

    return Access(
        read=requires_access_dag("GET", param_dag_id=DAG),
        run=requires_access_dag("GET"),
        edit=requires_access_dag("PUT", param_dag_id=DAG),
        may_edit=may_edit,
        find=_find,
        login=lambda path: str(get_auth_manager().get_url_login(next_url=path)),
    )


def _find(dag_id: str, run_id: str) -> RunOf | None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None:
            return None
        params = dict(run.conf or {})
        return RunOf(dag_id, run_id, run.partition_key or params.get("snapshot"), params)


def same_origin(request: Request) -> None:
    """Refuse a form that another site's page sent: browsers say where a form comes from, and a cookie alone proves nothing."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    own = request.headers.get("x-forwarded-host") or request.headers.get("host")
    if site != "same-origin" or origin is None or urlsplit(origin).netloc != own:
        raise HTTPException(403, "this form came from another site: open the workbench and send it from there")
