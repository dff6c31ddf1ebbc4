"""The rule workbench: plain forms; a try is an address that can be sent to somebody, saving a draft needs the right to edit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.lake import ledger
from crawlmill.lake import snapshot as snapshots
from crawlmill.orchestrate.pages.access import Access, same_origin
from crawlmill.orchestrate.pages.html import page

WAYS = ("limit", "expression", "pattern", "recipes")


@dataclass(frozen=True)
class Asked:
    """What a form says."""

    snapshot: str = Query("", max_length=40)
    language: str = Query("", max_length=8)
    way: str = Query("", max_length=20)
    rule: str = Query("", max_length=100)
    limit: str = Query("", max_length=40)
    expression: str = Query("", max_length=1000)
    pattern: str = Query("", max_length=1000)
    a: str = Query("in force", max_length=100)
    b: str = Query("", max_length=100)
    seed: int = Query(0, ge=0, le=10**6)


def add(app: FastAPI, access: Access) -> None:
    """The routes of the workbench."""

    @app.get("/workbench", dependencies=[Depends(access.read)])
    def show(asked: Asked = Depends(), may_edit: bool = Depends(access.may_edit)) -> HTMLResponse:
        return _page(asked, may_edit)

    @app.post("/draft", dependencies=[Depends(access.edit), Depends(same_origin)])
    def keep(
        request: Request, name: str = Form(max_length=100), way: str = Form(max_length=20), snapshot: str = Form("", max_length=40),
        language: str = Form("", max_length=8), rule: str = Form("", max_length=100), limit: str = Form("", max_length=40),
        expression: str = Form("", max_length=1000), pattern: str = Form("", max_length=1000),
    ) -> HTMLResponse:  # fmt: skip
        asked = Asked(snapshot, language, way, rule, limit, expression, pattern, "in force", "", 0)
        path = _save(layout.lake_root(), asked, name.strip())
        return page(
            "draft.html", "Draft saved", path=str(path), text=path.read_text(encoding="utf-8"), name=path.stem, asked=asked
        )


def _page(asked: Asked, may_edit: bool) -> HTMLResponse:
    """The forms with what was asked, and the answer; wrong input is told beside the forms, which keep it."""
    from crawlmill.text import rules, signals
    from crawlmill.workbench import draft

    lake = layout.lake_root()
    passed = list(ledger.released_snapshots(lake, "gate"))
    if not passed:
        return page(
            "refused.html",
            "Workbench",
            page="workbench",
            message="No snapshot has passed the gate yet: ingest one first.",
            login=None,
        )
    chosen = snapshots.parse(asked.snapshot) if asked.snapshot else passed[-1]
    began, answer, wrong = time.perf_counter(), None, None
    try:
        answer = _try(lake, chosen, asked) if asked.way in WAYS else None
    except UserError as error:
        wrong = str(error)
    known = {**{name: one.description for name, one in signals.SIGNALS.items()}, **rules.ANNOTATIONS}
    return page(
        "workbench.html", "Workbench", page="workbench", status=400 if wrong else 200, asked=asked,
        snapshot=chosen, snapshots=passed, languages=_languages(lake, chosen),
        rules=_gate(str(layout.recipe_path())).rules, signals=known, recipes=list(draft.offered(lake)), answer=answer, wrong=wrong,
        seconds=time.perf_counter() - began, may_edit=may_edit,
    )  # fmt: skip


def _languages(lake: str, snapshot: str) -> dict[str, int]:
    """Documents by language, most first; from the ledger where the run says it."""
    run = ledger.released(lake, "gate", snapshot)
    told = run.by_language if run else {}
    if not told:
        from crawlmill.explain import funnel

        found = funnel.of(lake, snapshot)
        told = {line.language: line.documents for line in found.lines} if found else {}
    return dict(sorted(told.items(), key=lambda kv: (-kv[1], kv[0])))


@lru_cache(maxsize=16)
def _loaded(path: str, changed: int) -> Any:
    from crawlmill.recipes import recipe

    return recipe.load(path).gate


def _gate(path: str) -> Any:
    """A recipe's gate, read again where the file has changed. Raises UserError."""
    found = Path(path)
    return _loaded(path, found.stat().st_mtime_ns if found.is_file() else 0)


def _try(lake: str, snapshot: str, asked: Asked) -> Any:
    from crawlmill.recipes.recipe_file import suggestion
    from crawlmill.workbench import draft, expression, sample, trying

    drawn = sample.draw(lake, snapshot, asked.language or None)
    if asked.way == "expression":
        return trying.condition(drawn, expression.parse(asked.expression, drawn.measured), asked.seed)
    if asked.way == "pattern":
        if not asked.pattern:
            raise UserError("write a pattern to look for, like (?i)lorem ipsum")
        return trying.pattern(drawn, asked.pattern, asked.seed)
    if asked.way == "limit":
        return trying.limit(drawn, _gate(str(layout.recipe_path())), asked.rule, asked.limit, asked.seed)
    offered = draft.offered(lake)
    for name in (asked.a, asked.b):
        if name not in offered:
            raise UserError(f"there is no recipe {name!r}{suggestion(name, offered)}: choose one of the lists")
    return trying.compare(drawn, _gate(str(offered[asked.a])), _gate(str(offered[asked.b])), asked.seed)


def _save(lake: str, asked: Asked, name: str) -> Path:
    """Write what was tried as a draft. Raises UserError where the gate has no rule for it."""
    from crawlmill.explain import trial
    from crawlmill.text import rules, signals
    from crawlmill.workbench import draft, expression

    gate, language = _gate(str(layout.recipe_path())), asked.language or None
    if asked.way == "limit":
        changed = trial.gate(gate, asked.rule, asked.limit, (language,) if language else ())
        new = changed.limits[language][asked.rule] if language else changed.rules[asked.rule].limit
        if new == "own":
            raise UserError(f"{asked.limit!r} is no limit: give a number, or `off`")
        values, words = draft.of_limit(asked.rule, new, language), f"rule {asked.rule} with limit {asked.limit}"
    elif asked.way == "expression":
        terms = expression.parse(asked.expression, {*signals.SIGNALS, *rules.ANNOTATIONS}).terms()
        values, words = draft.of_terms(name, terms, language), f"reject where {asked.expression}"
    elif asked.way == "pattern":
        return draft.save(
            lake,
            name,
            draft.of_pattern(name, language),
            f"Draft of the workbench, tried on {asked.snapshot}: reject a pattern",
            asked.pattern,
        )
    else:
        raise UserError("a comparison of recipes is no draft: save a rule")
    return draft.save(lake, name, values, f"Draft of the workbench, tried on {asked.snapshot}: {words}")
