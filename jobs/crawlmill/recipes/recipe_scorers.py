"""The recipe's section of scorers: what gives a document a score, each known by name, version, the hash of its file and its languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.recipes.recipe_file import Source, suggestion
from crawlmill.text import buckets
from crawlmill.text.rules import SCORE
from crawlmill.text.scorer_file import card, sha256

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Measure

Kind = Literal["fasttext", "linear", "words", "regex", "perplexity", "external", "buckets", "ccnet", "bertin"]
FILELESS = ("external",)
DERIVED = ("buckets", *buckets.PARTS)
"""Kinds that are made of other scores."""
READING = ("fasttext", "words", "regex", "perplexity")
"""Kinds that read the text."""
UNIT = ("fasttext", "words")
"""Kinds whose scores are shares, 0 to 1."""


class Scorer(BaseModel):
    """One scorer. What its file holds decides, not where it lies; a row in another language than `languages` has no score."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind = Field(
        description="fasttext: probability of `label`; linear: weights of signals; words: share of listed words; regex: matches per 1,000 "
        "characters; perplexity: of an n-gram model in ARPA form; external: from table external_scores; buckets: greatest of `of`, 0 to 19; "
        "ccnet: 0 head, 1 middle, 2 tail by a perplexity; bertin: at least 0 for the documents that BERTIN's sampling by it keeps"
    )
    version: str = Field(default="1", min_length=1, description="of the scorer; external: the version that is joined")
    path: str | None = Field(default=None, exclude=True, description="file beside the recipe, below the models folder, or a path")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="refuse another file; filled in where it is empty")
    languages: tuple[str, ...] | None = Field(default=None, description="that it is valid for (ISO 639-3); null: all")
    label: str = Field(default="__label__hq", description="fasttext: the label whose probability is the score")
    text: Literal["dclm", "craw4llm", "infimm", "line", "letters"] = Field(
        default="dclm", description="fasttext: how a text is prepared; must be what the model was trained with"
    )
    windows: int = Field(
        default=0,
        ge=0,
        description="kinds that read the text: its score is the mean of those of its top, middle and bottom, so many characters each; 0: of all",
    )
    of: tuple[str, ...] = Field(
        default=(),
        description="buckets: the scorers of which the greatest bucket is taken; ccnet, bertin: the one of perplexities",
    )
    form: Literal["gaussian", "stepwise"] = Field(default="gaussian", description="bertin: of the sampling")
    factor: float = Field(default=0.0, ge=0, description="bertin: scales the share that is kept; 0: the authors' .78, or 1.5e5")
    seed: int = Field(default=0, description="bertin: another number takes another sample")
    scorer: str = Field(default="", description="external: its name in the table; empty: the name here")


def checked(measure: Measure, source: Source) -> Measure:
    """The section with the hashes of all files; raises UserError for a scorer that cannot be computed."""
    filled = {name: _filled(name, scorer, measure, source) for name, scorer in measure.scorers.items()}
    return measure.model_copy(update={"scorers": filled})


def _filled(name: str, scorer: Scorer, measure: Measure, source: Source) -> Scorer:
    place = source.place(("measure", "scorers", name))
    _check_fields(name, scorer, measure, place)
    if scorer.path is None:
        return scorer
    try:
        path = layout.model_path(scorer.path)
        found = sha256(path)
    except UserError as error:
        raise UserError(f"{place}: scorer {name!r}: {error}") from None
    if scorer.sha256 not in ("", found):
        raise UserError(
            f"{place}: scorer {name!r} has sha256 {found}, not {scorer.sha256}: give the file that was meant or its hash"
        )
    if scorer.kind == "fasttext":
        _check_card(name, scorer, path, place)
    if scorer.kind in DERIVED:
        _check_cuts(name, scorer, path, place)
    return scorer.model_copy(update={"sha256": found})


def _check_fields(name: str, scorer: Scorer, measure: Measure, place: str) -> None:
    if not name.replace("_", "").replace("-", "").isalnum():
        raise UserError(f"{place}: {name!r} is no name for a scorer: use letters, digits, _ and -")
    if (scorer.path is None) != (scorer.kind in FILELESS):
        remedy = "take `path` away" if scorer.path else "give its `path`"
        raise UserError(f"{place}: scorer {name!r} of kind {scorer.kind} {'has no' if scorer.path else 'needs a'} file: {remedy}")
    if (scorer.kind in DERIVED) != bool(scorer.of):
        raise UserError(f"{place}: scorer {name!r}: `of` names the scorers of one of kind {', '.join(DERIVED)}, and of no other")
    if scorer.kind in buckets.PARTS and len(scorer.of) != 1:
        raise UserError(f"{place}: scorer {name!r} of kind {scorer.kind} is made of one score: name one under `of`")
    if scorer.windows and scorer.kind not in READING:
        raise UserError(
            f"{place}: scorer {name!r} of kind {scorer.kind} reads no text, so it has no windows: take `windows` away"
        )
    for other in scorer.of:
        if other not in measure.scorers or measure.scorers[other].kind in DERIVED:
            raise UserError(
                f"{place}: scorer {name!r} takes buckets of {other!r}, which is no scorer{suggestion(other, measure.scorers)}"
            )


def _check_card(name: str, scorer: Scorer, path: Path, place: str) -> None:
    written = card(path)
    for key in ("text", "label"):
        if key in written and written[key] != getattr(scorer, key):
            raise UserError(
                f"{place}: the model of scorer {name!r} was trained with {key} {written[key]!r}, the recipe says {getattr(scorer, key)!r}: "
                f"write `{key}: {written[key]}`"
            )


def _check_cuts(name: str, scorer: Scorer, path: Path, place: str) -> None:
    try:
        cuts = json.loads(path.read_text(encoding="utf-8"))["cuts"]
        known = set(cuts)
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{place}: {path} holds no cut points: make it by `crawlmill fit-scores`") from None
    if missing := [other for other in scorer.of if other not in known]:
        raise UserError(f"{place}: {path} has no cut points of {missing[0]!r}: make it anew by `crawlmill fit-scores`")
    for other in scorer.of:
        points = cuts[other].items() if scorer.kind in buckets.PARTS and isinstance(cuts[other], dict) else [("", cuts[other])]
        size = len(buckets.PARTS[scorer.kind]) if scorer.kind in buckets.PARTS else None
        for language, own in points:
            if not _ascending(own, size) or bool(size) != bool(language):
                asked = f"{size} numbers for each language (`--parts {scorer.kind}`)" if size else "numbers (`--buckets`)"
                raise UserError(f"{place}: {path} has for {other!r} no ascending {asked}: make it anew by `crawlmill fit-scores`")


def _ascending(values: object, size: int | None) -> bool:
    """Whether these are numbers in order, as many as asked; where so many are asked, they are perplexities, so above 0."""
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        return False
    return values == sorted(values) and len(values) == (size or len(values)) and (not size or values[0] > 0)


def signal_names(measure: Measure) -> dict[str, str]:
    """What rules may read of a recipe's scorers: signal -> unit."""
    return {f"{SCORE}{name}": "fraction" if scorer.kind in UNIT else scorer.kind for name, scorer in measure.scorers.items()}
