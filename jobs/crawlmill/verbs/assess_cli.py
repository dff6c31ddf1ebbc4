"""The verb `crawlmill assess`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crawlmill import layout
from crawlmill.cli import LAKE
from crawlmill.errors import UserError
from crawlmill.text_table import as_table

if TYPE_CHECKING:
    from crawlmill.assess import Assessment


@click.command()
@click.argument("side", default="corpus")
@click.option("--against", "other", help="Another version, release, snapshot or file to put beside it.")
@click.option(
    "-n", "documents", default=500, show_default=True, type=click.IntRange(5, 100_000), help="Documents of each language."
)
@click.option(
    "--model", "models", multiple=True, metavar="LANGUAGE=FILE", help="An n-gram model (ARPA) for perplexity; may be repeated."
)
@click.option("--out", "-o", metavar="FILE", help="Write an HTML page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@LAKE
def assess(
    side: str, other: str | None, documents: int, models: tuple[str, ...], out: str | None, as_json: bool, lake: str | None
) -> None:
    """What texts are like by language, of samples: distinct n-grams, compression, lexical diversity, copies, language purity, perplexity.

    SIDE is `corpus`, a number (a version of it), a release, a snapshot, or a file of texts with `language`.

    \b
    Example: crawlmill assess web-2026.10 --against other.jsonl.zst --out page.html
    Example: crawlmill assess CC-MAIN-2026-43 --against CC-MAIN-2026-38 --model deu=deu.arpa
    """
    from crawlmill import assess as assessing

    chosen = dict(model.partition("=")[::2] for model in models)
    for language, path in chosen.items():
        if not language or not Path(path).is_file():
            raise UserError(f"--model {language}={path} names no file: give a language and an ARPA file, like deu=deu.arpa")
    found = assessing.compare(layout.lake_root(lake), [side, other] if other else [side], documents, chosen)
    if out:
        try:
            Path(out).write_text(page(found), encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{out} cannot be written ({error.strerror}): give another --out") from None
    click.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1) if as_json else as_table(list(_lines(found))))


def _lines(found: Assessment) -> Any:
    from crawlmill.assess.metrics import TOLD

    for row in found.rows:
        for name, one in zip(found.sides, row.figures, strict=True):
            values = {} if one is None else vars(one)
            yield {"language": row.language, "side": name, "documents": values.get("documents", 0), "words": values.get("words", 0),
                   **{key: "" if values.get(key) is None else f"{values[key]:.4g}" for key in TOLD}}  # fmt: skip


def page(found: Assessment) -> str:
    """Small multiples of the figures, one self-contained HTML page without a script."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from crawlmill import report
    from crawlmill.assess.metrics import TOLD

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "assess"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= report.FILTERS
    values = {
        key: [value for row in found.rows for one in row.figures if one and (value := vars(one)[key]) is not None] for key in TOLD
    }
    style = Markup((report.FOLDER / "page.css").read_text(encoding="utf-8"))  # noqa: S704 (our own)
    return environment.get_template("page.html").render(
        sides=found.sides,
        rows=found.rows,
        told=TOLD,
        maxima={key: max(own, default=0) for key, own in values.items()},
        style=style,
    )


@click.command()
@click.argument("side", default="corpus")
@click.option("--against", "other", help="The other side of a new set of pairs.")
@click.option("--name", required=True, help="Of the set; without --against that of one that is there.")
@click.option("--language", help="Of this language only (ISO 639-3).")
@click.option("-n", "pairs", default=40, show_default=True, type=click.IntRange(1, 1000), help="Pairs.")
@click.option("--ask", is_flag=True, help="Ask the language model of CRAWLMILL_LLM_MODEL about each pair, in both orders.")
@LAKE
def judge(side: str, other: str | None, name: str, language: str | None, pairs: int, ask: bool, lake: str | None) -> None:
    """Which of two corpora has the better texts: pairs judged blind, by people in Airflow's UI (Crawlmill, Judge) and by a language model.

    \b
    Example: crawlmill judge web-2026.10 --against web-2026.09 --language deu --name october
    Example: crawlmill judge --name october --ask
    """
    from crawlmill.assess import judge as judging
    from crawlmill.llm import settings

    root = layout.lake_root(lake)
    if other:
        judging.make(root, name, side, other, language, pairs)
    a, b, held = judging.load(root, name)
    if ask:
        judging.ask(root, name, settings.load(), judging.model_name())
    given = judging.votes(root, name)
    click.echo(f"{len(held)} pairs of {a} and {b}")
    rows = []
    for who in ("people", *sorted({one["who"] for one in given if one["who"].startswith("model ")})):
        own = [one for one in given if (one["who"] == who or (who == "people" and not one["who"].startswith("model ")))]
        told = judging.tally(held, own)
        share = "" if told.share is None else f"{100 * told.share:.0f} % ({100 * told.low:.0f} to {100 * told.high:.0f})"
        rows.append({"judge": who, f"for {a}": told.first, f"for {b}": told.second, "ties": told.ties, f"share of {a}": share})
    click.echo(as_table(rows))
