"""Licences of everything in the lock file, from the metadata of what is installed: writes infra/LICENCES.md. Run it after the lock changes.

python infra/licences.py          write the page
python infra/licences.py --check  fail where the page does not name the packages of the lock file, or a licence forbids shipping
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parent
LOCK, PAGE = INFRA / "requirements.lock", INFRA / "LICENCES.md"
# What may not come with an Apache-2.0 program as a whole. Lesser and weak forms (LGPL, MPL, EPL) may.
STRONG = re.compile(
    r"(?<![L])A?GPL|GNU (Affero )?General Public|SSPL|Commons Clause|Non-?Commercial|Business Source", re.IGNORECASE
)
# Strong licences that do not reach us, each with the reason.
EXCEPTIONS = {
    "text-unidecode": "the Artistic License may be chosen",
    "tld": "MPL 1.1 may be chosen",
}


def locked(lock: Path = LOCK) -> dict[str, str]:
    """Package -> version."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def licence(found: Any) -> str:
    """What a package says: its SPDX expression, else its classifiers, else the first line of its own words."""
    said: Message = found.metadata
    if expression := said.get("License-Expression"):
        return str(expression)
    classified = [
        str(each).rpartition(" :: ")[2] for each in said.get_all("Classifier") or () if str(each).startswith("License ::")
    ]
    own = next((line.strip() for line in str(said.get("License") or "").splitlines() if line.strip()), "")
    return " and ".join(each for each in classified if each != "OSI Approved") or own[:80] or "not said"


def rows() -> Iterator[tuple[str, str, str]]:
    """Package, version and licence of the lock file; a package of another platform is said to be not installed."""
    for name, version in sorted(locked().items()):
        try:
            yield name, version, licence(metadata.distribution(name))
        except metadata.PackageNotFoundError:
            yield name, version, "not installed on this platform"


def page(found: list[tuple[str, str, str]]) -> str:
    """The page."""
    head = [
        "<!-- Written by `python infra/licences.py`. -->", "# Licences", "",
        f"What {len(found)} packages of `requirements.lock` say. Jars of Delta Lake and Unity Catalog, Spark and Hadoop's S3 client are Apache-2.0.",
        "Known weaknesses: `make audit` asks the registry's advisories about the lock file.", "", "| package | version | licence |", "|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *(f"| {name} | {version} | {said.replace('|', '/')} |" for name, version, said in found)]) + "\n"


def wrong(text: str) -> list[str]:
    """What is wrong with the page: packages it lacks or has too many, and licences that may not come along."""
    named = dict(re.findall(r"^\| ([\w.-]+) \| ([^ |]+) \|", text, re.MULTILINE))
    named.pop("package", None)
    found = [f"{name}: the page and the lock file differ" for name, _ in sorted(set(named.items()) ^ set(locked().items()))]
    for name, said in re.findall(r"^\| ([\w.-]+) \| [^|]+ \| (.*) \|$", text, re.MULTILINE):
        if STRONG.search(said) and "Lesser" not in said and name not in EXCEPTIONS:
            found.append(f"{name}: {said}")
    return found


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    if "--check" not in arguments:
        PAGE.write_text(page(list(rows())), encoding="utf-8")
    bad = wrong(PAGE.read_text(encoding="utf-8"))
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
