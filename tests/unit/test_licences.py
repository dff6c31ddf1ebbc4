"""The list of licences names what the lock file names, and nothing in it forbids shipping."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("licences", ROOT / "infra" / "licences.py")
assert spec and spec.loader
licences = importlib.util.module_from_spec(spec)
spec.loader.exec_module(licences)


def test_the_page_is_that_of_the_lock_file() -> None:
    assert licences.wrong(licences.PAGE.read_text(encoding="utf-8")) == [], "run `python infra/licences.py` and commit it"


@pytest.mark.parametrize(
    ("said", "fits"),
    [("GPL-3.0-only", False), ("GNU General Public License v3 (GPLv3)", False), ("AGPL-3.0", False), ("SSPL-1.0", False),
     ("GNU Lesser General Public License v2 or later (LGPLv2+)", True), ("LGPL-3.0-or-later", True), ("Apache-2.0", True), ("MPL-2.0", True)],
)  # fmt: skip
def test_what_may_not_come_along_is_found(said: str, fits: bool) -> None:
    rows = [(name, version, said if name == "aiohttp" else "MIT") for name, version in licences.locked().items()]
    assert (licences.wrong(licences.page(rows)) == []) == fits


def test_a_package_that_is_missing_is_named() -> None:
    rows = [(name, version, "MIT") for name, version in licences.locked().items() if name != "aiohttp"]
    assert licences.wrong(licences.page(rows)) == ["aiohttp: the page and the lock file differ"]
