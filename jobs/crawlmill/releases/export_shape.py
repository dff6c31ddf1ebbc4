"""What the rows of an export are: which share of the documents, and in which form of `crawlmill.text.forms`, with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crawlmill.errors import UserError
from crawlmill.text import forms

if TYPE_CHECKING:
    from crawlmill.recipes.recipe_scorers import Scorer


@dataclass(frozen=True)
class Shape:
    """A share of the documents (the smaller share of a seed is part of the greater), a form's name or '', its options, the scorer it asks."""

    fraction: float = 1.0
    form: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    scorer: Scorer | None = None


PLAIN = Shape()


def shape(fraction: float, form: str, given: Iterable[str], recipe_file: str | None = None) -> Shape:
    """A shape from what stands at the shell: `key=value` texts, the values as YAML.

    Raises:
        UserError: no such form, option, choice or scorer, or a value of another type.
    """
    if not form and not list(given):
        return Shape(fraction)
    if form not in forms.FORMS:
        raise UserError(f"there is no form {form!r}: the forms are {', '.join(forms.FORMS)}")
    options = {**forms.FORMS[form].options, **dict(_option(form, text) for text in given)}
    scorer = _scorer(str(options["scorer"]), recipe_file) if "scorer" in forms.FORMS[form].needs else None
    return Shape(fraction, form, options, scorer)


def _option(form: str, text: str) -> tuple[str, Any]:
    import yaml

    known, choices = forms.FORMS[form].options, forms.FORMS[form].choices
    key, equals, raw = text.partition("=")
    if not equals or key not in known:
        raise UserError(f"form {form} has no option {key!r}, but {', '.join(known)}: give --option key=value")
    wanted = type(known[key])
    value: Any = None
    with suppress(yaml.YAMLError):
        value = raw if wanted is str else yaml.safe_load(raw)
    value = float(value) if wanted is float and type(value) is int else value
    if type(value) is not wanted or (wanted in (int, float) and value < 0):
        kind = {int: "a whole number from 0", float: "a number from 0", bool: "true or false", str: "a text"}[wanted]
        raise UserError(f"--option {text}: {key} must be {kind}")
    if key in choices and value not in choices[key]:
        raise UserError(f"--option {text}: give one of {', '.join(choices[key])}")
    return key, value


def _scorer(name: str, recipe_file: str | None) -> Scorer:
    from crawlmill import layout
    from crawlmill.recipes import recipe
    from crawlmill.recipes.recipe_file import suggestion
    from crawlmill.recipes.recipe_scorers import READING

    known = recipe.load(layout.recipe_path(recipe_file)).measure.scorers
    asked = {own: scorer for own, scorer in known.items() if scorer.kind in READING}
    if name not in asked:
        raise UserError(
            f"the recipe has no scorer {name!r} that reads texts{suggestion(name, asked)}: name one by --option scorer=NAME, and its recipe"
        )
    return asked[name]


def tools(shape: Shape, seed: int, vocabulary: str | None) -> forms.Tools:
    """What a form may use, made in the process that uses it. `vocabulary`: the tokenizer's JSON. Raises UserError where the form lacks something."""
    encode = token = score = None
    if vocabulary is not None:
        from tokenizers import Tokenizer

        found = Tokenizer.from_str(vocabulary)
        token = found.token_to_id

        @lru_cache(maxsize=1)  # of a document that is counted and then cut
        def encode(text: str) -> list[int]:
            own: list[int] = found.encode(text, add_special_tokens=False).ids
            return own

    if (asked := shape.scorer) is not None:
        from crawlmill.text.scorers import scores

        def score(texts: Sequence[str], language: str) -> list[float | None]:
            return scores(texts, [language] * len(texts), {}, {"it": asked})["it"]

    _require(shape, token)
    return forms.Tools(seed, encode, token, score)


def _require(shape: Shape, token: Any) -> None:
    if not shape.form or "tokenizer" not in forms.FORMS[shape.form].needs:
        return
    if token is None:
        raise UserError(f"form {shape.form} cuts texts into tokens: give --tokenizer")
    if token(shape.options["end"]) is None:
        raise UserError(
            f"the tokenizer has no token {shape.options['end']!r} for the end of a document: name its own by --option end=TOKEN"
        )
