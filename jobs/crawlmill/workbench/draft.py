"""A tried rule as a recipe file to review: below the lake's `_control/drafts`, never over one that is there, read back before it counts."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.lake import fence
from crawlmill.recipes import recipe
from crawlmill.text.rules import SCORE

NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
PATTERNS = ".patterns.txt"


def folder(lake: str) -> Path:
    """Where the drafts of a lake lie."""
    return layout.beside(lake) / "drafts"


def offered(lake: str) -> dict[str, Path]:
    """The recipes that can be compared, by the name that they are chosen by: the installation's, shipped ones, drafts."""
    own = layout.recipe_path()
    shipped = {path.stem: path for path in sorted(layout.recipes_dir().glob("*.yaml"))}
    packs = {f"packs/{path.stem}": path for path in sorted((layout.recipes_dir() / "packs").glob("*.yaml"))}
    drafts = {f"draft {path.stem}": path for path in sorted(folder(lake).glob("*.yaml"))}
    return {"in force": own, **shipped, **packs, **drafts}


def of_limit(rule: str, limit: float | None, language: str | None) -> dict[str, Any]:
    """The recipe's section for another limit of a rule, of one language or of all that have none of their own."""
    return {"gate": {"limits": {language: {rule: limit}}} if language else {"rules": {rule: {"limit": limit}}}}


def of_terms(name: str, terms: list[tuple[str, str, float]], language: str | None) -> dict[str, Any]:
    """The same for new rules, each a signal with a limit."""
    own = {"languages": [language]} if language else {}
    several = len(terms) > 1
    rules = {
        f"{name}_{number}" if several else name: {"signal": signal, "op": op, "limit": limit, **own}
        for number, (signal, op, limit) in enumerate(terms, 1)
    }
    return {"gate": {"rules": rules}}


def of_pattern(name: str, language: str | None) -> dict[str, Any]:
    """The same for a regular expression: a scorer counts its matches, a rule allows none."""
    own = {"languages": [language]} if language else {}
    scorer = {"kind": "regex", "path": f"{name}{PATTERNS}", **own}
    return {
        "measure": {"scorers": {name: scorer}},
        "gate": {"rules": {name: {"signal": f"{SCORE}{name}", "op": "max", "limit": 0, **own}}},
    }


def save(lake: str, name: str, values: dict[str, Any], words: str, pattern: str | None = None) -> Path:
    """Write a draft; returns its path.

    Args:
        lake: folder of the tables.
        name: of the draft, its file and its rule.
        values: sections that differ from the recipe in force.
        words: a line for the file's head: who, on what it was tried.
        pattern: the regular expression that a scorer of `values` reads.

    Raises:
        UserError: a name that is none or is taken, a recipe that would be refused.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a draft: give lower-case letters, digits, _ and -, a letter first, at most 41")
    if pattern is not None and (pattern.startswith("#") or len(pattern.splitlines()) != 1):
        raise UserError("a pattern of a recipe is one line that does not begin with #: write \\n and \\# instead")
    base, target = layout.recipe_path(), folder(lake)
    extends = base.stem if base.parent == layout.recipes_dir() else str(base.absolute())
    text = f"# {' '.join(words.split())}\n" + yaml.safe_dump({"extends": extends, **values}, sort_keys=False, allow_unicode=True)
    target.mkdir(parents=True, exist_ok=True)
    with fence.lock(lake, "drafts"), tempfile.TemporaryDirectory(dir=target) as made:
        files = [(f"{name}.yaml", text)] + ([(f"{name}{PATTERNS}", pattern + "\n")] if pattern is not None else [])
        if taken := [file for file, _ in files if (target / file).exists()]:
            raise UserError(f"a draft {taken[0]} is there already: choose another name")
        for file, content in files:
            (Path(made) / file).write_text(content, encoding="utf-8")
        try:
            recipe.load(Path(made) / f"{name}.yaml")
        except UserError as error:
            raise UserError(str(error).replace(f"{made}{os.sep}", "")) from None
        for file, _ in reversed(files):  # the recipe last: it names the other
            os.link(Path(made) / file, target / file)
    return target / f"{name}.yaml"
