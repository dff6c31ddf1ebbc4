"""What a recipe's types cannot say: names of signals, rules, languages, and hooks with their options."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawlmill.errors import UserError
from crawlmill.llm import settings
from crawlmill.recipes import limit_table, recipe_scorers
from crawlmill.recipes.recipe_file import Source, suggestion
from crawlmill.sources.lists import digest
from crawlmill.text import hooks, language, language_model, overlap, recycle, rules, signals
from crawlmill.text.hooks import interface

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import HookSpec, Identify, Recipe, Reference, Rule
    from crawlmill.recipes.recipe_extract import ListFile, Select

__all__ = ["checked", "suggestion"]
_SCRIPT = re.compile(r"[A-Z][a-z]{3}\Z")
_RULE = re.compile(r"[\w.-]{1,64}\Z")
RESERVED = (rules.SELECTED, rules.INVERSE, rules.HOOK, "label", *limit_table.FOR_PEOPLE)
"""Names with a meaning of their own in verdicts and in tables of limits."""


def checked(recipe: Recipe, source: Source) -> Recipe:
    """The recipe with hook versions and options filled in; raises UserError for a name that means nothing."""
    recipe = recipe.model_copy(update={"identify": _registered(recipe.identify, source)})
    _check_measure(recipe, source)
    references = _references(recipe, source)
    _check_gate(recipe, source)
    select = _select(recipe, source)
    filled = tuple(_hook(spec, source, ("rewrite", "hooks", str(at))) for at, spec in enumerate(recipe.rewrite.hooks))
    recycled = tuple(_hook(spec, source, ("recycle", "hooks", str(at))) for at, spec in enumerate(recipe.recycle.hooks))
    _check_recycle(recipe, source)
    _check_duplicates(recipe, source)
    sections = {
        "extract": recipe.extract.model_copy(update={"select": select}),
        "rewrite": recipe.rewrite.model_copy(update={"hooks": filled}),
        "recycle": recipe.recycle.model_copy(update={"hooks": recycled}),
        "measure": recipe_scorers.checked(recipe.measure, source).model_copy(update={"references": references}),
    }
    return recipe.model_copy(update=sections)


def _select(recipe: Recipe, source: Source) -> Select:
    """The selection with the hash of every list; raises UserError for a pattern that is none, a list that is absent or another than named."""
    select, path = recipe.extract.select, ("extract", "select")
    for name in ("include", "exclude"):
        for at, pattern in enumerate(getattr(select.urls, name)):
            try:
                re.compile(pattern)
            except re.error as error:
                place = source.place((*path, "urls", name, str(at)))
                raise UserError(
                    f"{place}: {pattern!r} is no regular expression ({error}): escape what is meant literally"
                ) from None
    for at, code in enumerate(select.languages or ()):
        if not re.fullmatch("[a-z]{3}", code):
            raise UserError(
                f"{source.place((*path, 'languages', str(at)))}: {code!r} is no ISO 639-3 code: write `deu`, not `de` or `German`"
            )
    lists = {
        name: tuple(_hashed(entry, source, (*path, name)) for entry in getattr(select, name)) for name in ("opt_out", "blocklist")
    }
    return select.model_copy(update=lists)


def _hashed(entry: ListFile, source: Source, path: tuple[str, ...]) -> ListFile:
    try:
        found = digest(Path(entry.path))
    except UserError as error:
        raise UserError(f"{source.place(path)}: {error}") from None
    if entry.sha256 not in ("", found):
        raise UserError(
            f"{source.place(path)}: list {entry.path} has sha256 {found}, not {entry.sha256}: give the file that was meant or its hash"
        )
    return entry.model_copy(update={"sha256": found})


def _registered(wanted: Identify, source: Source) -> Identify:
    """The section with what the registry of models says filled in, since all of it decides bytes."""
    registry = wanted.registry
    if registry is not None:
        written = source.where.get(("identify", "registry"), "").rpartition(" line ")[0]
        registry = str(Path(written).parent / registry)
    model = language_model.entry(wanted.model, registry)
    sha256 = wanted.sha256 or model.sha256
    if sha256 is None:
        raise UserError(
            f"{source.place(('identify', 'model'))}: model {wanted.model!r} has no hash: write its file's sha256 into `identify.sha256`"
        )
    filled = {"registry": registry, "sha256": sha256, "labels": wanted.labels or model.labels, "text": wanted.text or model.text}
    return wanted.model_copy(update=filled)


def _check_measure(recipe: Recipe, source: Source) -> None:
    if recipe.measure.definition != signals.DEFINITION:
        raise UserError(
            f"{source.place(('measure', 'definition'))}: signals of definition {recipe.measure.definition!r} are not installed, "
            f"this version measures {signals.DEFINITION!r}: change the key or install the other version"
        )


def _references(recipe: Recipe, source: Source) -> tuple[Reference, ...]:
    """The reference sets with the hashes of their files: another file of the same name is another recipe."""
    filled: dict[str, Reference] = {}
    for position, reference in enumerate(recipe.measure.references):
        place = source.place(("measure", "references", str(position)))
        if reference.name in filled:
            raise UserError(f"{place}: two reference sets are named {reference.name!r}: give each a name of its own")
        try:
            found = overlap.sha256(reference.path)
        except UserError as error:
            raise UserError(f"{place}: {error}") from None
        if reference.sha256 and reference.sha256 != found:
            raise UserError(
                f"{place}: reference set {reference.name!r} has sha256 {found}, not the one that the recipe states: "
                "take the file that it was written for, or the new hash"
            )
        filled[reference.name] = reference.model_copy(update={"sha256": found})
    return tuple(filled.values())


def _check_gate(recipe: Recipe, source: Source) -> None:
    gate = recipe.gate
    kinds = {reference.kind for reference in recipe.measure.references}
    known = {*signals.SIGNALS, *rules.ANNOTATIONS, *overlap.ANNOTATIONS, *recipe_scorers.signal_names(recipe.measure)}
    _check_languages(recipe, gate.languages or (), ("gate", "languages"), source)
    for name, rule in gate.rules.items():
        path = ("gate", "rules", name)
        if name in RESERVED or not _RULE.match(name):
            raise UserError(
                f"{source.place(path)}: no rule may be called {name!r}: take letters, digits, `_`, `.` and `-`, and none of {', '.join(RESERVED)}"
            )
        if rule.signal not in known:
            raise UserError(
                f"{source.place((*path, 'signal'))}: rule {name!r} reads an unknown signal {rule.signal!r}{suggestion(rule.signal, known)}"
            )
        if rule.signal in overlap.ANNOTATIONS and overlap.ANNOTATIONS[rule.signal].kind not in kinds:
            raise UserError(
                f"{source.place((*path, 'signal'))}: rule {name!r} reads {rule.signal!r}, and no reference set of kind "
                f"{overlap.ANNOTATIONS[rule.signal].kind!r} is named: add one under measure.references"
            )
        if rule.limit is not None:
            _check_limit(name, rule, rule.limit, (*path, "limit"), source)
        _check_languages(recipe, rule.languages or (), (*path, "languages"), source)
    for pattern in gate.inverse:
        if not fnmatch.filter(gate.rules, pattern):
            raise UserError(
                f"{source.place(('gate', 'inverse'))}: no rule is called {pattern!r}{suggestion(pattern, gate.rules)}"
            )
    _check_limits(recipe, source)


def _check_limits(recipe: Recipe, source: Source) -> None:
    gate = recipe.gate
    sound: set[tuple[str, float]] = set()  # tables have tens of thousands of limits, and few different ones
    for label, limits in gate.limits.items():
        path = ("gate", "limits", label)
        if label not in source.labels or not (language.is_label(label) or _SCRIPT.match(label)):
            _check_languages(recipe, (label,), path, source)
        for name, limit in limits.items():
            if name not in gate.rules:
                raise UserError(
                    f"{source.place((*path, name))}: limit for an unknown rule {name!r}{suggestion(name, gate.rules)}"
                )
            if isinstance(limit, float) and (name, limit) not in sound:
                _check_limit(name, gate.rules[name], limit, (*path, name), source)
                sound.add((name, limit))


def _check_limit(name: str, rule: Rule, limit: float, path: tuple[str, ...], source: Source) -> None:
    """Refuse a limit that no document can break, or that all do: it is a slip, and `null` says it better."""
    if rule.signal.startswith(rules.SCORE):
        return  # scores of some kinds are negative, and those of others are made elsewhere
    top = 1.0 if _unit(rule.signal) == "fraction" else None
    never = limit <= 0 if rule.op == "min" else top is not None and limit >= top
    always = top is not None and limit > top if rule.op == "min" else limit < 0
    if never or always:
        what = "no document can break" if never else "every document breaks"
        raise UserError(
            f"{source.place(path)}: {what} rule {name!r} ({rule.signal} {rule.op} {limit:g}): "
            f"write null to switch it off, or a limit {'inside 0..1' if top else 'above 0'}"
        )


def _unit(signal: str) -> str:
    if signal in overlap.ANNOTATIONS:
        return overlap.ANNOTATIONS[signal].unit
    return "fraction" if signal in rules.ANNOTATIONS else signals.SIGNALS[signal].unit


def _check_languages(recipe: Recipe, labels: tuple[str, ...], path: tuple[str, ...], source: Source) -> None:
    told = language.LANGUAGES if Path(recipe.identify.model).name.startswith("lid.176") else None
    for label in labels:
        name, _, script = label.partition("_")
        if label in language.SCRIPT_CODES:
            continue
        if language.is_label(label) and (told is None or name in told) and (not script or script in language.SCRIPT_CODES):
            continue
        meant = language.hint(label) or suggestion(name, told or language.LANGUAGES)
        raise UserError(
            f"{source.place(path)}: {label!r} is no language that model {recipe.identify.model} can tell (ISO 639-3 `deu`, with script "
            f"`srp_Cyrl`), and no script (ISO 15924 `Cyrl`){meant}"
        )


def _check_duplicates(recipe: Recipe, source: Source) -> None:
    """A hook that drops duplicate lines knows where they stand in the extracted text: nothing may change it before."""
    for position, spec in enumerate(recipe.rewrite.hooks):
        if hooks.available()[spec.name].reads_duplicates:
            place = source.place(("rewrite", "hooks", str(position)))
            if recipe.rewrite.lines is None:
                raise UserError(f"{place}: hook {spec.name!r} needs the duplicate lines: write `lines: {{}}` under rewrite")
            if position:
                raise UserError(f"{place}: hook {spec.name!r} works on the text as extracted: put it first")


def _check_recycle(recipe: Recipe, source: Source) -> None:
    path = ("recycle", "bucket")
    known = {*signals.SIGNALS, *rules.ANNOTATIONS, recycle.RULES_FAILED, *recipe_scorers.signal_names(recipe.measure)}
    for name in recipe.recycle.bucket.weights:
        if name not in known:
            place = source.place((*path, "weights", name))
            raise UserError(f"{place}: a bucket cannot weigh {name!r}, which is no annotation{suggestion(name, known)}")
    if list(recipe.recycle.bucket.edges) != sorted(recipe.recycle.bucket.edges):
        raise UserError(f"{source.place((*path, 'edges'))}: the edges of buckets must ascend: sort them")
    for key in ("quality", "never"):
        for pattern in getattr(recipe.recycle, key):
            found = fnmatch.filter(recipe.gate.rules, pattern)
            if not found:
                place = source.place(("recycle", key))
                raise UserError(f"{place}: no rule is called {pattern!r}{suggestion(pattern, recipe.gate.rules)}")
            if key == "quality" and (
                bars := [name for name in found if recycle.family(recipe.gate.rules[name].signal) != "other"]
            ):
                raise UserError(
                    f"{source.place(('recycle', key))}: rule {bars[0]!r} reads no score, so what it is about is known: take {pattern!r} away"
                )
    names = [spec.name for spec in recipe.recycle.hooks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{source.place(('recycle', 'hooks'))}: hook {twice[0]!r} stands twice: one page's documents would bear one id"
        )


def _hook(spec: HookSpec, source: Source, path: tuple[str, ...]) -> HookSpec:
    installed = hooks.available()
    if spec.name not in installed:
        raise UserError(f"{source.place(path)}: no hook named {spec.name!r} is installed{suggestion(spec.name, installed)}")
    hook = installed[spec.name]
    if spec.version and spec.version != hook.version:
        raise UserError(
            f"{source.place(path)}: hook {spec.name!r} is asked for in version {spec.version!r}, installed is {hook.version!r}"
        )
    if path[0] == "rewrite" and hook.phase != "before_dedup":
        raise UserError(
            f"{source.place(path)}: hook {spec.name!r} needs signals or verdicts, so it cannot run before dedup: put it under recycle"
        )
    if path[0] == "recycle" and hook.phase != "recycle":
        raise UserError(f"{source.place(path)}: hook {spec.name!r} is of phase {hook.phase}: put it under rewrite")
    given: dict[str, Any] = {}
    for key, value in spec.options.items():
        if key not in hook.options:
            raise UserError(
                f"{source.place((*path, 'options', key))}: hook {spec.name!r} has no option {key!r}{suggestion(key, hook.options)}"
            )
        try:
            given[key] = interface.option(hook, key, value)
        except ValueError as error:
            raise UserError(f"{source.place((*path, 'options', key))}: {error}") from None
    options = {**hook.options, **given}
    if wrong := hook.check(options):
        raise UserError(f"{source.place(path)}: hook {spec.name!r}: {wrong}")
    if hook.asks and not (options.get("model") or settings.model()):
        raise UserError(
            f"{source.place(path)}: hook {spec.name!r} asks a language model and names none: give its option `model`, or CRAWLMILL_LLM_MODEL"
        )
    if hook.asks and "model" in options:
        options["model"] = options["model"] or settings.model()
    return spec.model_copy(update={"version": hook.version, "options": options})
