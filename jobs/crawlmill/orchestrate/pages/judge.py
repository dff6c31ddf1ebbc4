"""The blind page: two texts, three buttons; which side a text is of is told by `crawlmill judge` only."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from crawlmill import layout
from crawlmill.assess import judge
from crawlmill.orchestrate.pages.access import Access, same_origin
from crawlmill.orchestrate.pages.html import page


def add(app: FastAPI, access: Access) -> None:
    """The routes of the blind page; a vote needs the right to edit."""

    @app.get("/judge", dependencies=[Depends(access.read)])
    def show(
        name: str = Query("", max_length=100), skip: int = Query(0, ge=0), may_edit: bool = Depends(access.may_edit)
    ) -> HTMLResponse:
        lake = layout.lake_root()
        pairs = judge.load(lake, name)[2] if name else []
        done = {one["pair"] for one in (judge.votes(lake, name) if name else ()) if not one["who"].startswith("model ")}
        left = [pair for pair in pairs if pair.id not in done]
        return page("judge.html", "Which text is better?", page="judge", names=judge.names(lake), name=name, total=len(pairs), left=len(left),
                    pair=left[skip % len(left)] if left else None, skip=skip, may_edit=may_edit)  # fmt: skip

    @app.post("/judge", dependencies=[Depends(access.edit), Depends(same_origin)])
    def keep(
        name: str = Form(max_length=100), pair: str = Form(max_length=40), choice: str = Form(max_length=10)
    ) -> RedirectResponse:
        judge.vote(layout.lake_root(), name, pair, choice, "a person")
        return RedirectResponse(f"judge?name={name}", status_code=303)
