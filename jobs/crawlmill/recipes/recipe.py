"""The recipe: everything that decides bytes, in one typed file.

A recipe names a base (`extends: default`, or a path relative to itself) and overrides keys; mappings are merged
deeply, lists are replaced whole, and `null` in `gate.rules` takes a rule away. `load` gives a frozen `Recipe`
or one sentence that names file, line, key and remedy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.recipes import recipe_check
from crawlmill.recipes.recipe_errors import describe, truths
from crawlmill.recipes.recipe_extract import Extract
from crawlmill.recipes.recipe_file import Source, read_source
from crawlmill.recipes.recipe_scorers import Scorer
from crawlmill.recipes.recipe_section import Section

SECTIONS = ("extract", "identify", "rewrite", "measure", "sketch", "dedup", "gate", "recycle", "publish")


class Identify(Section):
    """Language of a document."""

    model: str = Field(
        default="lid.176.ftz", description="name in the registry of models, file name below the models folder, or a path"
    )
    registry: str | None = Field(default=None, exclude=True, description="YAML file of further models, beside the recipe")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="hash of the model file, another file is refused; null: the registry's",
    )
    labels: str | dict[str, str] | None = Field(
        default=None, description="what the model's labels mean; null: what the registry says"
    )
    text: Literal["line", "letters"] | None = Field(
        default=None, description="how a text is prepared; null: as the registry says"
    )
    opinions: bool = Field(
        default=True, description="weigh the model against CLD2 and frequent words, where the registry has weights"
    )
    min_score: float = Field(default=0.3, ge=0, le=1, description="a text whose best language scores less is `und`")
    max_chars: int | None = Field(default=None, ge=1, description="look at so many code points, in pieces; null: the whole text")
    min_letters: int = Field(default=1, ge=1, description="a text with fewer letters is `und`")


class HookSpec(Section):
    """One hook of the list: `version` and the defaults of `options` are filled in from the installed hook."""

    name: str
    version: str = ""
    options: dict[str, Any] = Field(default={})


class Lines(Section):
    """How lines that stand in several documents of a snapshot are found."""

    unit: Literal["line", "paragraph"] = "line"
    min_chars: int = Field(default=1, ge=1, description="letters, marks and digits that a line needs to be compared")
    mode: Literal["exact", "bloom"] = Field(default="exact", description="bloom: by shard, in bounded memory, without counts")
    memory_mb: float = Field(default=256, gt=0, le=1e6, description="of a filter, in million bytes")
    false_positives: float = Field(default=1e-6, gt=0, lt=1, description="rate up to which a filter is laid out")


class Rewrite(Section):
    """Hooks that change text, in order; and whether duplicate lines are looked for before."""

    lines: Lines | None = Field(default=None, description="null: no tables line_counts and duplicate_lines")
    hooks: tuple[HookSpec, ...] = ()


class Resource(Section):
    """A file that decides bytes: its hash does, wherever it lies."""

    path: str = Field(exclude=True, description="file name below the models folder, or a path")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="hash of the file; another file is refused")


class Importance(Section):
    """Counts of n-grams of a language, from `crawlmill count-ngrams`: of the source that weights are relative to, and of better texts."""

    source: Resource
    wikipedia: Resource | None = None
    books: Resource | None = None
    openwebtext: Resource | None = None


class Classifier(Section):
    """A fastText model of good texts against `__label__cc`; `languages` null: for all."""

    file: Resource
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)


class Reference(Section):
    """A set of texts to look for: its hash decides bytes, where it lies does not."""

    name: str = Field(pattern=r"^[\w.-]{1,64}$", description="as reports call it")
    path: str = Field(exclude=True, description="JSON lines, also .gz and .zst, or Parquet; relative to the recipe")
    kind: Literal["benchmark", "deny", "allow"] = Field(default="benchmark", description="what an overlap means")
    ngram: int | None = Field(default=None, ge=1, le=64, description="words of a run; null: by the examples' lengths, 8 to 13")
    fields: tuple[str, ...] | None = Field(default=None, description="keys of a row to look at; null: every text in it")
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", description="hash of the file; filled in where it is empty")


class Measure(Section):
    """Quality signals, and the files that some of them need; without its file a signal is null."""

    definition: str = Field(description="version of the signals' definitions; must be the installed one")
    lines: bool = Field(default=False, description="fill the column line_signals: every line with its span and signals")
    stop_words: dict[str, Resource] = Field(
        default={}, description="stop words by language, a word a line, instead of the own lists"
    )
    bad_words: dict[str, Resource] = Field(default={}, description="blocked phrases by language, one a line (LDNOOBW)")
    bad_domains: Resource | None = Field(default=None, description="JSON object of domains and numbers of categories (UT1)")
    importance: dict[str, Importance] = Field(default={}, description="counts of n-grams by language")
    classifiers: dict[Literal["wikiref", "palm", "wikipedia"], Classifier] = Field(default={})
    references: tuple[Reference, ...] = Field(
        default=(), description="benchmarks to decontaminate from, corpora to deny or allow"
    )
    scorers: dict[str, Scorer] = Field(default={}, description="scores by name, which rules read as `score.NAME`")


class Sketch(Section):
    """Content hash, shingles and bands of a document."""

    ngram: int = Field(default=5, ge=1, le=64, description="words a shingle, in scripts that space words")
    char_ngram: int = Field(
        default=8, ge=1, le=64, description="Han or kana characters a shingle; of Thai, Lao, Khmer and Burmese twice as many"
    )
    bands: int = Field(default=14, ge=1, le=62)
    rows: int = Field(default=8, ge=1, le=256)
    seed: int = Field(default=1, ge=0, lt=2**32)
    scheme: Literal["affine32"] = "affine32"
    max_shingles: int = Field(
        default=16_384, ge=1, description="above it the smallest hashes are kept and the row says `sampled`"
    )
    min_tokens: int = Field(default=5, ge=1, description="documents of fewer tokens are compared exactly only")
    scope: Literal["all", "language"] = Field(
        default="all", description="whether near duplicates are sought in all documents or language by language"
    )


class Dedup(Section):
    """Which of several alike documents stays."""

    threshold: float = Field(default=0.8, gt=0, le=1, description="how alike two contents must be for one of them to go")
    measure: Literal["jaccard", "containment"] = Field(
        default="jaccard", description="of the two sets of shingles; containment: the share of what goes that lies in what stays"
    )
    top: int = Field(default=8, ge=1, description="a bucket's members are compared with so many of smallest rank")
    order: Literal["oldest", "newest", "content"] = Field(default="oldest", description="which of several alike documents stays")


class Rule(Section):
    """A rule of the gate: the signal must be at least (`min`) or at most (`max`) the limit; `languages` null: all.

    A null limit: the rule counts for those labels only that have a limit for it.
    """

    signal: str
    op: Literal["min", "max"]
    limit: float | None
    languages: tuple[str, ...] | None = Field(default=None, min_length=1)
    severity: Literal["reject", "flag"] = Field(
        default="reject", description="flag: written down, but the document stays eligible"
    )


class Gate(Section):
    """Who is eligible: rules by name, and limits by label that go before a rule's own.

    A label is a language with its script (`srp_Cyrl`), a language (`deu`) or a script (`Cyrl`), looked for in this order. A null limit
    switches the rule off for the label, `own` is the rule's own limit. `limits_from` names tables of such limits beside the recipe, later
    ones before earlier ones; `limits` goes on top of them. `inverse` names rules (patterns such as `top_*` may) of which a document must
    break at least one, for ablations: what these rules take out, as far as the others let it pass.
    """

    languages: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="keep these languages only (ISO 639-3); null: all"
    )
    rules: dict[str, Rule] = Field(default={})
    inverse: tuple[str, ...] = ()
    limits_from: tuple[str, ...] = Field(default=(), exclude=True)
    limits: dict[str, dict[str, float | Literal["own"] | None]] = Field(default={})


class Bucket(Section):
    """A page's quality bucket: how many of `edges` its score reaches. The score is a sum of weighted annotations; those it lacks count as 0.

    Annotations are signals, `score.NAME`, columns of `languages` that rules may read, and `rules_failed`. By default a page that fails no rule is in
    bucket 19, one that fails a rule in 11, and each further rule costs one: what the gate dropped is never among the best.
    """

    weights: dict[str, float] = Field(default={"rules_failed": -1.0})
    intercept: float = 0.0
    edges: tuple[float, ...] = Field(
        default=(*range(-11, 0), *[-0.5] * 8), min_length=1, max_length=19, description="ascending; equal ones leave buckets out"
    )


class Recycle(Section):
    """Further documents made of pages that the gate dropped for quality alone. No hooks: nothing is recycled."""

    hooks: tuple[HookSpec, ...] = Field(default=(), description="hooks of phase recycle; each works on the page itself")
    bucket: Bucket = Bucket()
    eligible: bool = Field(default=False, description="make further documents of eligible pages, too")
    quality: tuple[str, ...] = Field(default=(), description="rules (patterns) on scores that are about quality, so no bar")
    never: tuple[str, ...] = Field(default=(), description="rules (patterns) of which a broken one keeps a page from it")


class Mix(Section):
    """How much of the corpus may be derived."""

    rewritten: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="greatest share of derived documents in a snapshot's published tokens; 1: all that are kept",
    )


class Publish(Section):
    """The corpus; its columns are its contract's."""

    mix: Mix = Mix()


class Recipe(Section):
    """Everything that decides bytes; each stage's key holds the hash of the sections that it declares."""

    extract: Extract = Extract()
    identify: Identify
    rewrite: Rewrite = Rewrite()
    measure: Measure
    sketch: Sketch = Sketch()
    dedup: Dedup = Dedup()
    gate: Gate = Gate()
    recycle: Recycle = Recycle()
    publish: Publish = Publish()

    def slice(self, sections: Iterable[str] = SECTIONS) -> dict[str, Any]:
        """The named sections as plain JSON values; raises UserError for a section that does not exist."""
        names = sorted(set(sections))
        for name in names:
            if name not in SECTIONS:
                raise UserError(f"a recipe has no section {name!r}{recipe_check.suggestion(name, SECTIONS)}")
        dumped: dict[str, Any] = self.model_dump(mode="json", include=set(names))
        return {name: dumped[name] for name in names}

    def hash(self, sections: Iterable[str] = SECTIONS) -> str:
        """sha256 (hex) of the canonical JSON of `slice(sections)`: the same for every process and formatting of the file."""
        return canonical_hash(self.slice(sections))


def canonical_hash(values: Mapping[str, Any]) -> str:
    """sha256 (hex) of JSON values with sorted keys."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def load(path: str | Path | None = None) -> Recipe:
    """Read a recipe file (null: CRAWLMILL_RECIPE, else the default recipe).

    Raises:
        UserError: names the file, the line, the key and, where one is close, the name that was probably meant.
    """
    return _build(read_source(layout.recipe_path(str(path) if path is not None else None)))


def from_mapping(values: Mapping[str, Any], base: str | Path | None = "default") -> Recipe:
    """A recipe from values in code (tests, what-if), on top of a base recipe; `base=None`: on nothing."""
    given = dict(values) if base is None else {"extends": str(base), **values}
    return _build(read_source(None, given))


def _build(source: Source) -> Recipe:
    try:
        recipe = Recipe.model_validate(source.values)
    except ValidationError as error:
        raise UserError(describe(error, source, Recipe)) from None
    for keys in truths(source.values, recipe):
        raise UserError(
            f"{source.place(keys)}: '{'.'.join(keys)}' is a truth value: write a number (YAML reads yes as true, no as false)"
        )
    return recipe_check.checked(recipe, source)
