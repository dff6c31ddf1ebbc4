"""The report of a snapshot: one HTML file that asks no network for anything.

Texts of pages get into it in two ways only, through the template's escaping and as JSON without `<`, `>` and `&` that the script writes
with `textContent`. A content security policy lets no other script run than the one whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawlmill import layout
from crawlmill.recipes.defined_at import Rulebook
from crawlmill.text_table import printable

if TYPE_CHECKING:
    from crawlmill.report import cost

FOLDER = Path(__file__).parent
FOR_SCRIPT = ("sliders", "sizes")


def write(lake: str, snapshot: str, book: Rulebook, out: Path, rates: cost.Rates | None = None) -> int:
    """Write a snapshot's report; returns its bytes. Raises UserError where the snapshot has not passed the gate."""
    from crawlmill.report import data

    page = render(data.gather(lake, snapshot, book, rates)).encode("utf-8", "replace")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(page)
    return len(page)


def kept(lake: str, snapshot: str) -> Path:
    """Where a snapshot's report lies that was written for the tab in Airflow's UI."""
    return layout.beside(lake) / "reports" / f"{snapshot}.html"


def render(found: dict[str, Any]) -> str:
    """The page of what `data.gather` found."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    inline = {name: found.get(name) for name in FOR_SCRIPT} | {"rules": {rule["name"]: rule["op"] for rule in found["rules"]}}
    own = {name: Markup(text) for name, text in (("style", style), ("script", script), ("data", island(inline)))}  # noqa: S704
    return environment.get_template("page.html").render(**found, **own, policy=_hash(script))


def island(value: Any) -> str:
    """JSON that can stand inside a script element, whatever is in it."""
    plain = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    """The policy's name of a script, `sha256-…`."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed(change: float | None) -> str:
    return "" if change is None else f"{change:+.1f}"


FILTERS = {"n": "{:,.0f}".format, "pct": _percent, "shown": printable, "signed": _signed}
"""What templates write numbers and texts of pages with."""
