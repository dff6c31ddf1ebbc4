"""The pages' routes: each reads the lake without Spark, and answers with HTML that holds no script."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException as Refused

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.lake import snapshot as snapshots
from crawlmill.orchestrate.pages.access import Access
from crawlmill.orchestrate.pages.html import page, stylesheet

INGEST = "ingest_snapshot"
# Nothing but our own style sheet is loaded, nothing runs, forms go home, only Airflow itself may frame a page.
POLICY = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
REPORT_POLICY = (
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"  # its own element says what runs
)
MOST = 3_000_000  # documents up to which a report is made while somebody waits: about a minute
_making = Lock()


def build(access: Access) -> FastAPI:
    """The application; `access` says who may see and write."""
    from crawlmill.orchestrate.pages import judge, workbench

    app = FastAPI(title="crawlmill", docs_url=None, redoc_url=None, openapi_url=None)
    read, run = [Depends(access.read)], [Depends(access.run)]

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        answer: Response = await call_next(request)
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"  # with no-referrer, browsers would send a form's origin as null
        answer.headers["Cache-Control"] = "private, no-store"
        return answer

    def refused(request: Request, error: Any) -> HTMLResponse:
        if isinstance(error, UserError):
            return page("refused.html", "This cannot be shown", status=400, message=str(error), login=None)
        if isinstance(error, RequestValidationError):
            said = "; ".join(f"{entry['loc'][-1]}: {entry['msg']}" for entry in error.errors())
            return page("refused.html", "This cannot be shown", status=422, message=said, login=None)
        login = access.login(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
        title = {401: "Log in first", 403: "Not allowed", 404: "Not here"}.get(error.status_code, "This cannot be shown")
        return page("refused.html", title, status=error.status_code, message=str(error.detail),
                    login=login if error.status_code == 401 else None)  # fmt: skip

    for kind in (UserError, Refused, RequestValidationError):
        app.add_exception_handler(kind, refused)

    @app.get("/static/pages.css", include_in_schema=False)
    def style() -> Response:
        return Response(stylesheet(), media_type="text/css")

    app.get("/", dependencies=read)(over_time)
    app.get("/why", dependencies=read)(why)
    app.get("/report", dependencies=read)(report)
    app.get("/table", dependencies=read)(table)

    @app.get("/run", dependencies=run)
    def of_run(dag_id: str, run_id: str) -> HTMLResponse:
        return report_of(access, dag_id, run_id)

    @app.get("/stage", dependencies=run)
    def of_task(dag_id: str, run_id: str, task_id: str) -> HTMLResponse:
        return stage(access, dag_id, run_id, task_id)

    workbench.add(app, access)
    judge.add(app, access)
    return app


def over_time() -> HTMLResponse:
    """Funnel, keep rates and languages of every snapshot."""
    from crawlmill.explain import over_time

    return page("snapshots.html", "Snapshots", page="./", **over_time.gather(layout.lake_root()))


def why(asked: str = Query("", alias="page", max_length=4096)) -> HTMLResponse:
    """The search box, and what is known of the page that was asked for."""
    from crawlmill.explain import why
    from crawlmill.recipes import defined_at
    from crawlmill.verbs import why_cli

    name = asked.strip()
    found = why.explain(layout.lake_root(), name, defined_at.rulebook()) if name else None
    captures = [
        {"snapshot": one["snapshot"], "verdict": one["verdict"], "facts": _grouped(why_cli.facts(one))}
        for one in (found["captures"] if found else ())
    ]
    return page("why.html", "Why is a page in or out?", page="why", asked=name, found=found, captures=captures)


def _grouped(facts: Any) -> list[tuple[str, list[str]]]:
    """Lines without a label belong to the one before."""
    found: list[tuple[str, list[str]]] = []
    for label, text in facts:
        if label or not found:
            found.append((label, []))
        if text not in (None, ""):
            found[-1][1].append(str(text))
    return found


def report(snapshot: str) -> HTMLResponse:
    """A snapshot's report."""
    return _report(layout.lake_root(), snapshots.parse(snapshot), None)


def report_of(access: Access, dag_id: str, run_id: str) -> HTMLResponse:
    """The tab of a run: the report of its snapshot; for runs across snapshots all of them."""
    run = access.find(dag_id, run_id)
    if run is None:
        raise HTTPException(404, "there is no such run")
    if dag_id == INGEST and run.snapshot:
        return _report(layout.lake_root(run.params.get("lake")), snapshots.parse(run.snapshot), run.params.get("recipe") or None)
    if dag_id in ("publish_corpus", "maintain_tables", "build_release", "watch_crawls"):
        return over_time()
    raise HTTPException(404, f"{dag_id} is none of crawlmill's DAGs, so its runs have no report")


def _report(lake: str, snapshot: str, recipe: str | None) -> HTMLResponse:
    gate = ledger.released(lake, "gate", snapshot)
    if gate is None:
        raise HTTPException(404, f"{snapshot} has not passed the gate yet: the report is here when it has")
    documents = sum(count["read"] for count in gate.counts)
    if documents > MOST:
        return _kept(lake, snapshot, gate, documents)
    path = layout.recipe_path(recipe)
    with _making:  # one at a time: two browsers that ask at once get the same
        text = _made(lake, snapshot, _versions(lake), str(path), path.stat().st_mtime_ns if path.is_file() else 0)
    return HTMLResponse(text, headers={"Content-Security-Policy": REPORT_POLICY})


def _kept(lake: str, snapshot: str, gate: ledger.RunRow, documents: int) -> HTMLResponse:
    """The report of a large snapshot, which `crawlmill report --keep` has written after its gate."""
    from crawlmill import report as reports

    path = reports.kept(lake, snapshot)
    if not path.is_file() or path.stat().st_mtime < gate.finished_at.timestamp():
        raise HTTPException(404, f"{snapshot} has {documents:,} documents, too many to count while you wait: "
                                 f"`crawlmill report {snapshot} --keep` makes the report for this tab")  # fmt: skip
    return HTMLResponse(path.read_bytes(), headers={"Content-Security-Policy": REPORT_POLICY})


@lru_cache(maxsize=8)
def _made(lake: str, snapshot: str, versions: tuple[int, ...], recipe: str, changed: int) -> str:
    """The report, made again only where the ledger, the verdicts of expectations or the recipe have changed."""
    from crawlmill import report as reports
    from crawlmill.recipes import defined_at
    from crawlmill.report import data

    return reports.render(data.gather(lake, snapshot, defined_at.rulebook(recipe))).encode("utf-8", "replace").decode()


def _versions(lake: str) -> tuple[int, ...]:
    from deltalake import DeltaTable

    return tuple(int(DeltaTable(f"{lake}/{name}").version()) for name in ("runs", "quality"))


def stage(access: Access, dag_id: str, run_id: str, task_id: str) -> HTMLResponse:
    """What a task's stage wrote: tables, versions, counts, verdict."""
    from crawlmill.explain import over_time
    from crawlmill.lake import pins

    run, name = access.find(dag_id, run_id), task_id.partition(".")[0]
    if run is None:
        raise HTTPException(404, "there is no such run")
    lake, attempt = layout.lake_root(run.params.get("lake")), f"{run_id}/{name}/"
    rows = []
    for found in over_time.runs_of(lake, name, attempt, run.snapshot or pins.EVERY):
        total = {side: sum(count[side] for count in found.counts) for side in ("read", "written", "rejected")}
        rate = total["written"] / found.seconds if found.seconds else 0.0
        rows.append({**vars(found), **total, "rate": rate, "own": found.run_id.startswith(attempt)})
    return page("stage.html", f"Stage {name}", run=run, task=task_id, rows=rows)


def table(name: str, version: int | None = None) -> HTMLResponse:
    """A table's versions and columns."""
    from crawlmill.contracts import contract
    from crawlmill.lake import table as tables
    from crawlmill.lake import table_log

    lake = layout.lake_root()
    if name not in contract.all_tables():
        raise HTTPException(404, f"there is no table {name!r}")
    tables.require(lake, name)
    described = contract.load(name)
    return page("table.html", f"Table {name}", versions=table_log.versions(lake, name, 100), version=version,
                purpose=described.purpose, fields=described.fields)  # fmt: skip
