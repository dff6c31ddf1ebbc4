"""Which hooks there are: the shipped ones, those that installed packages offer, and one in a file that is being written."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawlmill.errors import UserError
from crawlmill.text.hooks.interface import Hook, Options, fault

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import HookSpec

GROUP = "crawlmill.hooks"
SHIPPED = (
    "unicode_repair", "unicode_normalise", "boilerplate_lines", "prox_rules", "mask_pii", "drop_duplicate_lines", "line_perplexity",
    "prox_llm", "wrap", "rewire", "nemotron", "instruct_qa", "entigraph", "annotate", "math_steps",
)  # fmt: skip
"""Modules of this folder; each ends in `HOOK`, or `HOOKS` where several share a way of working."""

Chosen = tuple[Hook, Options]


@cache
def available() -> dict[str, Hook]:
    """All installed hooks by name.

    Raises:
        UserError: an installed package's hook cannot be loaded, is none, is declared wrongly, or has a name that is taken.
    """
    found = {hook.name: hook for module in SHIPPED for hook in _declared(import_module(f"crawlmill.text.hooks.{module}"))}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.value):
        try:
            hook = entry.load()
        except Exception as error:  # whatever a plugin's import raises
            raise UserError(
                f"hook {entry.name!r} ({entry.value}) cannot be loaded ({error!r}): repair or uninstall its package"
            ) from None
        if not isinstance(hook, Hook):
            raise UserError(f"hook {entry.name!r} ({entry.value}) is no crawlmill.text.hooks.Hook: let the entry point name one")
        if wrong := fault(hook):
            raise UserError(f"hook {hook.name!r} ({entry.value}) {wrong}")
        if hook.name in found and found[hook.name] is not hook:
            raise UserError(f"two installed hooks are named {hook.name!r}: uninstall or rename the one in {entry.value}")
        found[hook.name] = hook
    return found


def _declared(module: Any) -> tuple[Hook, ...]:
    return tuple(module.HOOKS) if hasattr(module, "HOOKS") else (module.HOOK,)


def from_file(path: Path) -> Hook:
    """The hook that a Python file declares as `HOOK`. Raises UserError where it cannot be loaded or declares none."""
    spec = importlib.util.spec_from_file_location(f"crawlmill_hook_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise UserError(
            f"{path} is no Python file that can be loaded: give a file that declares HOOK, or an installed hook's name"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the file does
        raise UserError(f"{path} cannot be loaded ({error!r}): repair it first") from None
    hook = getattr(module, "HOOK", None)
    if not isinstance(hook, Hook):
        raise UserError(f"{path} declares no HOOK = Hook(...): end the file with the hook's declaration")
    if wrong := fault(hook):
        raise UserError(f"hook {hook.name!r} ({path}) {wrong}")
    return hook


def chosen(specs: Iterable[HookSpec]) -> list[Chosen]:
    """The hooks of a loaded recipe with their options, in order."""
    return [(available()[spec.name], {**available()[spec.name].options, **spec.options}) for spec in specs]
