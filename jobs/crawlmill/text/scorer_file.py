"""Files of scorers: their hash, the card that training leaves beside a model, and how texts are prepared for one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crawlmill.errors import UserError
from crawlmill.text import language_model

_MARKS = re.compile(r"([.!?,'/()])")
_BLANKS = re.compile(r" {2,}")
_DIGITS = re.compile(r"\d+")
LONGEST = 100  # InfiMM-WebMath drops tokens of more characters


def sha256(path: Path) -> str:
    """sha256 (hex) of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def card_path(path: Path) -> Path:
    """Where the card of a model lies: beside it."""
    return path.with_name(path.name + ".card.json")


def card(path: Path) -> Mapping[str, Any]:
    """What training wrote about a model; empty where there is no card. Raises UserError for a card of another file."""
    beside = card_path(path)
    if not beside.is_file():
        return {}
    written: Mapping[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    if written.get("sha256") != sha256(path):
        raise UserError(f"{beside} is the card of another model than {path.name}: train again, or take the card away")
    return written


def _sound(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _dclm(text: str) -> str:
    """Lines joined by a blank, as DCLM's scorer does; fastText itself splits at ASCII white space only."""
    return _sound(" ".join(text.strip().splitlines()))


def _craw4llm(text: str) -> str:
    """Craw4LLM's normaliser: marks stand alone, lower case, single blanks."""
    return _BLANKS.sub(" ", _MARKS.sub(r" \1 ", _dclm(text)).lower()).strip()


def _infimm(text: str) -> str:
    """InfiMM-WebMath's: lower case, numbers as one token, no token above 100 characters. Its lemmas are left out: they need a model."""
    words = _DIGITS.sub("<NUM>", _sound(text).lower()).split()
    return " ".join(word for word in words if len(word) <= LONGEST)


PREPARATIONS: Mapping[str, Callable[[str], str]] = {
    "dclm": _dclm,
    "craw4llm": _craw4llm,
    "infimm": _infimm,
    **language_model.PREPARATIONS,
}
"""How a text becomes the one line that a fastText model reads. A model is only good for texts prepared as those that it was trained on."""
