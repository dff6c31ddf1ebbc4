"""What is wrong with a recipe's values: file, line, key, and the name or the kind of value that was meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from crawlmill.recipes.recipe_file import Source, suggestion

_TRIED = re.compile(r"\[key\]|float|int|str|bool|none|constrained-\w+|(literal|tuple|dict|list)\[.*")


def describe(error: ValidationError, source: Source, model: type[BaseModel]) -> str:
    """One sentence for the first things wrong (at most three), each with its place."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for item in error.errors(include_url=False):
        found.setdefault(_keys(item), []).append(item)
    messages = [_clause(keys, items, source, model) for keys, items in islice(found.items(), 3)]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(messages) + more


def _keys(item: Any) -> tuple[str, ...]:
    """The key path of an error, without the kind of value that was tried (pydantic adds it where several may stand)."""
    keys = tuple(str(part) for part in item["loc"])
    tried = keys and item["type"] not in ("extra_forbidden", "missing", "model_type") and _TRIED.fullmatch(keys[-1])
    return keys[:-1] if tried else keys


def _clause(keys: tuple[str, ...], items: list[Any], source: Source, model: type[BaseModel]) -> str:
    """What is wrong with one key."""
    name, place, item = ".".join(keys), source.place(keys), items[0]
    if item["type"] == "extra_forbidden":
        return f"{place}: unknown key '{name}'{suggestion(keys[-1], _fields(model, keys[:-1]))}"
    if item["type"] == "missing":
        return f"{place}: key '{name}' is missing (a recipe may start with `extends: default`)"
    said = [item["msg"][:1].lower() + item["msg"][1:], *(other["msg"].removeprefix("Input should be ") for other in items[1:])]
    quote = " (YAML reads no, yes, on and off as truth values: write it in quotes)"
    truth = isinstance(item.get("input"), bool) and item["type"] == "string_type"
    return f"{place}: '{name}' is {repr(item.get('input'))[:60]}: {', or '.join(said)}{quote if truth else ''}"


def truths(given: Any, made: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Key paths of truth values that were taken for numbers: `yes` is no limit of 1."""
    if isinstance(given, bool) and not isinstance(made, bool):
        yield keys
    elif isinstance(given, dict):
        for key, value in given.items():
            inner = made.get(key) if isinstance(made, dict) else getattr(made, str(key), None)
            yield from truths(value, inner, (*keys, str(key)))
    elif isinstance(given, list) and isinstance(made, tuple):
        for at, (value, inner) in enumerate(zip(given, made, strict=False)):
            yield from truths(value, inner, (*keys, str(at)))


def _fields(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    """The keys that the model allows at a key path (through mappings and lists of models)."""
    current: Any = model
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and key in current.model_fields:
            current = current.model_fields[key].annotation
        for part in get_args(current):
            if isinstance(part, type) and issubclass(part, BaseModel):
                current = part
    return sorted(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []
