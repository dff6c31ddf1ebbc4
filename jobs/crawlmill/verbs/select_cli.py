"""The verb `crawlmill select`: what methods make of losses and influences that models elsewhere gave, as rows for `crawlmill load-scores`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.text import selection

Kept = tuple[Sequence[float], Sequence[bool]]  # a score by document, and whether it is kept
Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Given:
    """What a method may use besides the columns."""

    ids: list[str]
    share: float
    temperature: float
    seed: int
    taken: list[bool]


def _color(columns: Columns, given: Given) -> Kept:
    score, kept = selection.color(columns["prior"], columns["conditional"], 1 / given.share)
    return score.tolist(), kept.tolist()


def _mates(columns: Columns, given: Given) -> Kept:
    taken = np.array(given.taken, dtype=bool)
    kept = selection.mates(columns["predicted"], given.ids, given.share, given.temperature, given.seed, taken)
    return columns["predicted"], kept.tolist()


def _attention_influence(columns: Columns, given: Given) -> Kept:
    score, kept = selection.attention_influence(columns["base"], columns["masked"], columns["domain"], given.share)
    return score.tolist(), kept.tolist()


def _presence(columns: Columns, given: Given) -> Kept:
    kept = selection.presence(columns["self_influence"], int(len(given.ids) * given.share))
    return columns["self_influence"], kept.tolist()


@dataclass(frozen=True)
class Method:
    """A method, the columns it reads, and the share that its paper keeps; None: the user must say."""

    make: Callable[[Columns, Given], Kept]
    columns: tuple[str, ...]
    share: float | None


METHODS: Mapping[str, Method] = {
    "color": Method(_color, ("prior", "conditional"), 1 / 16),
    "mates": Method(_mates, ("predicted",), 0.2),
    "attention-influence": Method(_attention_influence, ("base", "masked", "domain"), 0.2),
    "presence": Method(_presence, ("self_influence",), None),
}


@click.command()
@click.argument("file")
@click.option("--method", type=click.Choice([*METHODS, "preselect"]), required=True, help="Whose selection.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Of the documents that are kept [the paper's].")
@click.option("--temperature", type=click.FloatRange(0), default=0.5, show_default=True, help="mates: 0 takes exactly the best.")
@click.option("--seed", type=int, default=0, show_default=True, help="mates: of this round.")
@click.option(
    "--taken", multiple=True, metavar="FILE", help="mates: what earlier rounds wrote; these documents are not taken again."
)
@click.option("--losses", default="", help="preselect: columns of the models' losses, the worst model first, e.g. m7b,m13b,m30b.")
@click.option("--version", default="1", show_default=True, help="Of the score.")
@click.option(
    "--out", "-o", metavar="FILE", required=True, help="Rows for `crawlmill load-scores`; preselect: FILE's own, labelled."
)
def select(
    file: str, method: str, share: float | None, temperature: float, seed: int, taken: tuple[str, ...], losses: str, version: str, out: str
) -> None:  # fmt: skip
    """Select documents by what models elsewhere said of them: the score is 1 for a document that is kept, else 0; a rule `min 1` keeps these.

    \b
    Columns of FILE beside `id`:
      color                prior, conditional     losses of two models (CoLoR-Filter; one in 16)
      mates                predicted              loss that an influence model predicts (a fifth)
      attention-influence  base, masked, domain   losses with and without retrieval heads, compared within a domain (a fifth)
      presence             self_influence         the highest are dropped; needs --share
      preselect            those of --losses      adds preselect_teacher, and label: 1, 0 or null, for `train-scorer --label label --least 1`

    \b
    Example: crawlmill select losses.parquet --method color --share 0.1 -o kept.jsonl
    """
    rows = list(rowfile.read(file))
    if method == "preselect":
        rowfile.write(out, _labelled(rows, file, [name.strip() for name in losses.split(",") if name.strip()]))
        return
    found = METHODS[method]
    wanted = share or found.share
    if wanted is None:
        raise UserError(f"--method {method} has no share of its own: say with --share how much is kept")
    columns = {name: _column(rows, file, name, name != "domain") for name in found.columns}
    ids = [str(one) for one in _column(rows, file, "id", False)]
    before = {str(row["id"]) for name in taken for row in rowfile.read(name) if row.get("value")}
    scores, kept = found.make(columns, Given(ids, wanted, temperature, seed, [one in before for one in ids]))
    rowfile.write(out, (
        {"id": id_, "scorer": method, "version": version, "value": float(keep), "metadata": {"score": f"{score:.6g}"}}
        for id_, score, keep in zip(ids, scores, kept, strict=True)
    ))  # fmt: skip
    click.echo(f"{sum(kept)} of {len(kept)} documents are kept", err=True)


def _labelled(rows: list[dict[str, Any]], file: str, names: list[str]) -> list[dict[str, Any]]:
    if len(names) < 2:
        raise UserError("--method preselect compares models: name two columns or more by --losses, the worst model first")
    table = np.stack([np.array(_column(rows, file, name, True)) for name in names], axis=1)
    teacher = selection.preselect_teacher(table).tolist()
    labels = selection.preselect_labels(teacher, len(names) * (len(names) - 1) // 2)
    return [{**row, "preselect_teacher": score, "label": label} for row, score, label in zip(rows, teacher, labels, strict=True)]


def _column(rows: list[dict[str, Any]], file: str, name: str, numbers: bool) -> list[Any]:
    """A column without gaps. Raises UserError for a row that lacks it or has no finite number there."""
    if not rows:
        raise UserError(f"{file} has no row: give what the models said of some documents")
    for number, row in enumerate(rows, 1):
        value = row.get(name)
        if value is None:
            raise UserError(f"{file} row {number} has no {name}: see --help for the columns of a method")
        if numbers and (isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)):
            raise UserError(f"{file} row {number}: {name} is {value!r}, no finite number")
    return [row[name] for row in rows]
