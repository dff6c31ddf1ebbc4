"""Templates of the pages: every value is escaped, what could steer the text's direction is shown as its code."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

FOLDER = Path(__file__).parent


def page(template: str, title: str, status: int = 200, page: str = "", **values: Any) -> HTMLResponse:
    """A page of a template; `page` is its own address in the menu."""
    text = _environment().get_template(template).render(title=title, page=page, **values)
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status)


@lru_cache(maxsize=1)
def stylesheet() -> str:
    """The report's style and what the pages have besides."""
    from crawlmill import report

    return "".join(path.read_text(encoding="utf-8") for path in (report.FOLDER / "page.css", FOLDER / "pages.css"))


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from crawlmill import report

    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= report.FILTERS
    return found
