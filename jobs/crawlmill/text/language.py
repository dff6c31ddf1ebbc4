"""Language of a text: what a fastText model and further opinions say, as ISO 639-3, and a script that the text itself must show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crawlmill.text.language_labels import LANGUAGES, SCRIPT_CODES, UNDETERMINED, fitting, hint, is_label, resolve
from crawlmill.text.language_model import Entry, Guess, Model, entry, file_hash, load
from crawlmill.text.language_opinions import Candidate, Opinions, opinions
from crawlmill.text.script import shares

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Identify, Recipe

__all__ = [
    "LANGUAGES",
    "SCRIPT_CODES",
    "UNDETERMINED",
    "Identifier",
    "LanguageRow",
    "file_hash",
    "hint",
    "identifier",
    "identify_batch",
    "identify_rows",
    "is_label",
    "labeller",
    "resolve",
    "sample",
]

PIECE = 1000
"""Code points of a piece of a sample, at least: fewer say little of a language, and more pieces see more of a mixed page."""
PIECES = 5


@dataclass(frozen=True)
class LanguageRow:
    """What `identify` writes about a text."""

    language: str  # ISO 639-3, `und`
    language_script: str  # ISO 15924: the language's script in this text, for `und` that of most letters, `Zyyy` without letters
    language_score: float  # 0..1
    runner_up: str | None
    runner_up_score: float | None
    script_share: float  # share of the letters that are of that script
    model_score: float | None  # the model's own probability of the language, null where only CLD2 named it
    model: str  # sha256 of the model file


_COLUMNS = {
    "language": pa.string(),
    "language_script": pa.string(),
    "language_score": pa.float64(),
    "runner_up": pa.string(),
    "runner_up_score": pa.float64(),
    "script_share": pa.float64(),
    "model_score": pa.float64(),
    "model": pa.string(),
}


class Identifier:
    """A model ready to label texts; loaded once per process."""

    def __init__(
        self,
        model: Entry,
        *,
        use_opinions: bool = True,
        min_score: float = 0.0,
        max_chars: int | None = None,
        min_letters: int = 1,
    ) -> None:
        """Load the model.

        Raises:
            UserError: the file is absent, has another hash, or is no model; or the shipped opinions are for another file.
        """
        self._model: Model = load(model)
        self.sha256 = self._model.sha256
        self.max_chars = max_chars
        self.min_letters = min_letters
        self.min_score = min_score
        wanted = self._model.opinions if use_opinions else None
        self._opinions: Opinions | None = opinions(wanted, self.sha256, self._model.languages) if wanted else None

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every label that a text can get (ISO 639-3), `und` included: CLD2 chooses among the model's languages, it adds none."""
        return self._model.languages | {UNDETERMINED}

    def identify(self, texts: list[str]) -> list[LanguageRow]:
        """One row for each text, in order; a text without letters is `und` with score 0."""
        return [self._row(text) for text in texts]

    def _row(self, text: str) -> LanguageRow:
        scripts, letters = shares(text)
        main = next(iter(scripts), "Zyyy")
        ranked: list[Candidate] = []
        passed_over: list[Candidate] = []
        if letters >= self.min_letters:
            for candidate in self._candidates(sample(text, self.max_chars), letters, scripts):
                (ranked if fitting(candidate.scripts, scripts) else passed_over).append(candidate)
        best = ranked[0] if ranked and ranked[0].score >= self.min_score else None
        others = ranked[1:] if best else ranked
        second = next(iter([*others, *passed_over]), None)
        script = (fitting(best.scripts, scripts) if best else None) or main
        return LanguageRow(
            language=best.language if best else UNDETERMINED,
            language_script=script,
            language_score=best.score if best else 0.0,
            runner_up=second.language if second else None,
            runner_up_score=second.score if second else None,
            script_share=scripts.get(script, 0.0),
            model_score=best.model_score if best else None,
            model=self.sha256,
        )

    def _candidates(self, text: str, letters: int, scripts: Mapping[str, float]) -> list[Candidate]:
        guesses: list[Guess] = self._model.guess(text)
        if self._opinions is not None:
            return self._opinions.candidates(text, guesses, letters, scripts)
        return [Candidate(guess.language, guess.scripts, guess.score, guess.score) for guess in guesses]


def sample(text: str, max_chars: int | None) -> str:
    """At most so many code points of a text: its beginning, and, where the sample is long enough for several pieces, others evenly over it.

    Pieces begin and end at white space where there is some within fifty code points.
    """
    if max_chars is None or len(text) <= max_chars:
        return text
    pieces = max(1, min(PIECES, max_chars // PIECE))
    size = max_chars // pieces
    step = (len(text) - size) / max(1, pieces - 1)
    return "\n".join(_piece(text, round(at * step), size) for at in range(pieces))


def _piece(text: str, start: int, size: int) -> str:
    end = start + size
    first = next((at for at in range(start, min(start + 50, end)) if text[at].isspace()), start) if start else 0
    last = next((at for at in range(end, max(end - 50, first), -1) if at < len(text) and text[at].isspace()), end)
    return text[first:last]


def identifier(wanted: Identify) -> Identifier:
    """The identifier that a recipe's section `identify` asks for; what is heavy about it is loaded once per process."""
    filled = {"sha256": wanted.sha256, "labels": wanted.labels, "text": wanted.text}
    model = entry(wanted.model, wanted.registry).model_copy(
        update={key: value for key, value in filled.items() if value is not None}
    )
    return Identifier(
        model,
        use_opinions=wanted.opinions,
        min_score=wanted.min_score,
        max_chars=wanted.max_chars,
        min_letters=wanted.min_letters,
    )


def labeller(wanted: Identify) -> Callable[[str], tuple[str, str]]:
    """A function from a text to its language and script."""
    model = identifier(wanted)

    def label(text: str) -> tuple[str, str]:
        (row,) = model.identify([text])
        return row.language, row.language_script

    return label


def identify_batch(batch: pa.RecordBatch, options: Identify) -> pa.RecordBatch:
    """Rows of `languages` for rows with snapshot, shard, id and text."""
    found = identifier(options).identify([text or "" for text in batch.column("text").to_pylist()])
    keys = ["snapshot", "shard", "id"]
    arrays = [batch.column(name) for name in keys]
    for name, kind in _COLUMNS.items():
        arrays.append(pa.array([getattr(row, name) for row in found], kind))
    return pa.RecordBatch.from_arrays(arrays, [*keys, *_COLUMNS])


def identify_rows(rows: Iterable[dict[str, Any]], recipe: Recipe) -> Iterator[dict[str, Any]]:
    """Rows with a `text`, each with the columns of LanguageRow added."""
    model = identifier(recipe.identify)
    for row in rows:
        (found,) = model.identify([str(row.get("text") or "")])
        yield {**row, **asdict(found)}
