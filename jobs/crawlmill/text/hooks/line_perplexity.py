"""FinGPT's filter of lines (Luukkonen et al. 2023): lines that an n-gram model finds too unlikely go; see `crawlmill.text.line_filter`.

The model is a file in ARPA form (`jobs/train_ngrams.py`), named with its hash and the language that it is of. The authors publish no limits, so
there are none here: take them from the perplexities of lines that you have looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from crawlmill import layout
from crawlmill.errors import UserError
from crawlmill.text import arpa, line_filter, scorer_file
from crawlmill.text.hooks.interface import UNCHANGED, Document, Hook, Options, Outcome


@lru_cache(maxsize=16)
def _file(name: str, sha256: str) -> Path:
    """The model's file, hashed once a process. Raises UserError where it is absent or another one."""
    path = layout.model_path(name)
    found = scorer_file.sha256(path)
    if found != sha256:
        raise UserError(f"{path} has sha256 {found}: write that into its option `sha256`, or give the file that was meant")
    return path


def fault(options: Options) -> str | None:
    """What is wrong with the options: no limit, or no such file."""
    if not options["arpa"]:
        return "give its option `arpa`, an n-gram model from jobs/train_ngrams.py, and `sha256`"
    if not options["max_perplexity"] > 1:
        return "give its option `max_perplexity`, a limit above 1: there is no common one"
    if not 0 <= options["min_remaining"] <= 1:
        return "option 'min_remaining' is a share: give one from 0 to 1"
    try:
        arpa.load(_file(options["arpa"], options["sha256"]), options["sha256"])
    except UserError as error:
        return str(error)
    return None


def apply(document: Document, responses: Sequence[Any], options: Options) -> Outcome:
    """The page without such lines; `edits` counts them. A page of which too little would stay is proposed to be dropped."""
    model = arpa.load(_file(options["arpa"], options["sha256"]), options["sha256"])
    text = line_filter.filter_lines(document.text, model, options["max_perplexity"], options["min_remaining"])
    if text is None:
        return Outcome("dropped_proposal", reason="unlikely_lines")
    if text == document.text:
        return UNCHANGED
    return Outcome("changed", text, edits=max(1, document.text.count("\n") - text.count("\n")))


HOOK = Hook(
    name="line_perplexity",
    version="1",
    apply=apply,
    applies=lambda document, options: document.language in options["languages"],
    check=fault,
    options={"arpa": "", "sha256": "", "languages": ["fin"], "max_perplexity": 0.0, "min_remaining": 0.5},
)
