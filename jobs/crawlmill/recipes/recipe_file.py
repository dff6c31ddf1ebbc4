"""A recipe file as values with line numbers: YAML, `extends`, deep merge."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.recipes import limit_table

Where = dict[tuple[str, ...], str]  # key path -> "file line n"
LARGEST = 16 << 20  # bytes of a recipe file; shipped ones have some thousands
MOST = 300_000  # values of a recipe; a few aliases of aliases can stand for billions


@dataclass(frozen=True)
class Source:
    """Merged values of a recipe, where each key was written, and the labels that tables of limits have."""

    values: dict[str, Any]
    where: Where
    name: str
    labels: frozenset[str] = frozenset()

    def place(self, path: Iterable[object]) -> str:
        """`recipe FILE line N` of a key path, or of the nearest key above it that was written."""
        keys = tuple(str(part) for part in path)
        while keys and keys not in self.where:
            keys = keys[:-1]
        return f"recipe {self.where.get(keys, self.name)}"


def suggestion(name: object, known: Iterable[str]) -> str:
    """`, did you mean 'thresold' -> 'threshold'?` where a known name is close, else the known names if few, else ''."""
    choices = sorted(known)
    close = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.6)
    if close:
        return f", did you mean '{name}' -> '{close[0]}'?"
    return f"; known: {', '.join(choices)}" if 0 < len(choices) <= 12 else ""


def read_source(path: Path | None, values: Mapping[str, Any] | None = None) -> Source:
    """A file (or given values) with its bases merged below it and its table of limits read in."""
    merged, where = _with_bases(path, copy.deepcopy(dict(values)) if values is not None else None, ())
    gate = merged.get("gate")
    tables: dict[str, Any] = {}
    for name in _names(gate):
        found, found_where = limit_table.read(Path(name)) if name.endswith(".tsv") else _parse(Path(name))
        tables = _merge(tables, found)
        for keys, place in found_where.items():
            where.setdefault(("gate", "limits", *keys), place)
    if isinstance(gate, dict):
        given = gate.get("limits") or {}
        if tables and isinstance(given, dict):
            gate["limits"] = _merge(tables, given)
        if isinstance(gate.get("rules"), dict):
            _drop_rules(gate)
    return Source(merged, where, str(path) if path else "values", frozenset(tables))


def read_keys(path: Path) -> dict[str, Any]:
    """The values of a recipe with its bases, without the tables of limits, which are long: for a look at a key or two."""
    return _with_bases(path, None, ())[0]


def _names(gate: Any) -> list[str]:
    """The tables of limits that a gate names, one or several."""
    named = gate.get("limits_from") if isinstance(gate, dict) else None
    return [named] if isinstance(named, str) else [str(name) for name in named] if isinstance(named, list) else []


def _drop_rules(gate: dict[str, Any]) -> None:
    """Take out rules that a recipe set to null, and the limits that a base had for them."""
    dropped = {name for name, rule in gate["rules"].items() if rule is None}
    gate["rules"] = {name: rule for name, rule in gate["rules"].items() if name not in dropped}
    if isinstance(gate.get("limits"), dict):
        for label, limits in gate["limits"].items():
            if isinstance(limits, dict):
                gate["limits"][label] = {name: limit for name, limit in limits.items() if name not in dropped}


def _with_bases(path: Path | None, values: dict[str, Any] | None, seen: tuple[str, ...]) -> tuple[dict[str, Any], Where]:
    where: Where = {}
    if values is None:
        assert path is not None
        if str(path.resolve()) in seen:
            raise UserError(f"recipe {path} extends itself by way of {' -> '.join(seen)}: take one `extends` away")
        values, where = _parse(path)
    folder = path.parent if path else Path()
    gate = values.get("gate")
    if isinstance(gate, dict) and (gate.get("limits_from", ()) is None or _names(gate)):
        gate["limits_from"] = [str(_find(name, folder, "limits_from")) for name in _names(gate)]
    for entry in _list_files(values):
        entry["path"] = str(folder / entry["path"])
    _find_references(values.get("measure"), folder)
    _find_scorers(values.get("measure"), folder)
    base = values.pop("extends", None)
    if base is None:
        return values, where
    if not isinstance(base, str):
        raise UserError(f"recipe {path or 'values'}: `extends` must be the name or path of one recipe, not {base!r}")
    trail = (*seen, str(path.resolve())) if path else seen
    below, below_where = _with_bases(_find(base, folder, "extends"), None, trail)
    _start_anew(below, values)
    return _merge(below, values), {**below_where, **where}


def _start_anew(below: dict[str, Any], above: dict[str, Any]) -> None:
    """`"*": null` among the rules takes all rules of the base away, and their limits."""
    gate = above.get("gate")
    rules = gate.get("rules") if isinstance(gate, dict) else None
    if isinstance(rules, dict) and rules.get("*", ...) is None:
        del rules["*"]
        for key in ("rules", "limits", "limits_from", "inverse"):
            below.get("gate", {}).pop(key, None)


def _list_files(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of `extract.select` that name a list file, each relative to the recipe that it stands in."""
    section = values.get("extract")
    select = section.get("select") if isinstance(section, dict) else None
    named = [select.get(key) or [] for key in ("opt_out", "blocklist")] if isinstance(select, dict) else []
    entries = [entry for found in named if isinstance(found, list) for entry in found if isinstance(entry, dict)]
    return [entry for entry in entries if isinstance(entry.get("path"), str)]


def _find_references(measure: Any, folder: Path) -> None:
    """Make the paths of reference sets relative to nothing, so that they hold wherever the recipe is merged."""
    for reference in (measure.get("references") or ()) if isinstance(measure, dict) else ():
        if isinstance(reference, dict) and isinstance(reference.get("path"), str):
            reference["path"] = str((folder / reference["path"]).absolute())


def _find_scorers(measure: Any, folder: Path) -> None:
    """The same for scorers' files that lie beside the recipe; others are sought below the models folder."""
    scorers = measure.get("scorers") if isinstance(measure, dict) else None
    for scorer in scorers.values() if isinstance(scorers, dict) else ():
        if isinstance(scorer, dict) and isinstance(scorer.get("path"), str) and (folder / scorer["path"]).is_file():
            scorer["path"] = str((folder / scorer["path"]).absolute())


def _find(name: str, folder: Path, key: str) -> Path:
    """A file named in a recipe: relative to that recipe, else among the shipped recipes (`default` needs no ending)."""
    for place in (folder, layout.recipes_dir()):
        for candidate in (place / name, place / f"{name}.yaml"):
            if candidate.is_file():
                return candidate
    shipped = [
        file.stem if key == "extends" else file.name
        for file in layout.recipes_dir().glob("*.yaml" if key == "extends" else "*.tsv")
    ]
    raise UserError(f"recipe key {key!r} names {name!r}, neither a file here nor a shipped recipe{suggestion(name, shipped)}")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _parse(path: Path) -> tuple[dict[str, Any], Where]:
    try:
        with path.open("rb") as file:  # a device or a pipe may never end
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"recipe {path} cannot be read ({error.__class__.__name__}): give the path of a UTF-8 YAML file"
        ) from None
    if len(content) > LARGEST:
        raise UserError(
            f"recipe {path} is larger than {LARGEST >> 20} MB: give the path of a UTF-8 YAML file, lists in files of their own"
        )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)  # the one in C reads the table of limits ten times as fast
    try:
        node = loader.get_single_node()
        where: Where = {}
        _lines(node, (), str(path), where)
        values = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"recipe {path} line {line} is no valid YAML: {error.problem}") from None
    except RecursionError:
        raise UserError(f"recipe {path} is nested too deeply, or an alias in it names what it stands in: write it flat") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"recipe {path} is no valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise UserError(
            f"recipe {path} must be a mapping of sections, not {type(values).__name__}: start from `extends: default`"
        )
    return values, where


def _lines(node: yaml.Node | None, path: tuple[str, ...], file: str, where: Where) -> None:
    """Fill `where`; a key written twice is an error, since YAML would silently keep the last one."""
    if len(where) > MOST:
        raise UserError(
            f"recipe {file} stands for more than {MOST:,} values: write fewer aliases (`*name`), or limits as a table (.tsv)"
        )
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            keys = (*path, str(key.value))
            place = f"{file} line {key.start_mark.line + 1}"
            if keys in where:
                raise UserError(
                    f"recipe {place}: key {'.'.join(keys)!r} is written twice, first in line {where[keys].rsplit(' ', 1)[1]}"
                )
            where[keys] = place
            _lines(value, keys, file, where)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            where[(*path, str(index))] = f"{file} line {value.start_mark.line + 1}"
            _lines(value, (*path, str(index)), file, where)
