"""Where things lie: the only module that knows folders and environment variables."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from crawlmill.errors import UserError
from crawlmill.storage import bucket

DEFAULT_SOURCE = "https://data.commoncrawl.org/"


def home() -> Path:
    """The folder that holds `jobs/`, `schemas/` and `.cache/`: CRAWLMILL_HOME, else the checkout, else the installed copy."""
    if set_by_user := os.environ.get("CRAWLMILL_HOME"):
        return Path(set_by_user)
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "schemas").is_dir() else Path(sys.prefix) / "share" / "crawlmill"


def schemas_dir() -> Path:
    return home() / "schemas"


def jobs_dir() -> Path:
    return home() / "jobs"


def recipes_dir() -> Path:
    return jobs_dir() / "recipes"


def cache_dir() -> Path:
    """Where set-up puts the Delta jars, the models and the Java runtime: `.cache` below the home folder, or CRAWLMILL_CACHE."""
    return Path(os.environ.get("CRAWLMILL_CACHE") or home() / ".cache")


def jars() -> list[Path]:
    """The Delta jars that set-up resolved, then those for a lake in a bucket, where `make s3` made them; raises UserError where there are none."""
    found = sorted((cache_dir() / "jars").glob("*.jar"))
    if not found:
        raise UserError(f"no Delta jars in {cache_dir() / 'jars'}: run `make setup` once")
    return found + sorted((cache_dir() / "s3-jars").glob("*.jar"))


def model_path(name: str) -> Path:
    """A model or another file that decides bytes, by name (`lid.176.ftz`) or path; raises UserError where it is absent."""
    path = Path(name) if os.sep in name else cache_dir() / "models" / name
    if not path.is_file():
        raise UserError(f"file {path}, which the recipe names, is missing: run `make setup`, or give another path")
    return path


def lake_root(given: str | None = None) -> str:
    """Where the tables are, a folder or `s3a://bucket/prefix`: the argument, else CRAWLMILL_LAKE, else `.crawlmill/lake` below the home folder."""
    root = given or os.environ.get("CRAWLMILL_LAKE") or str(home() / ".crawlmill" / "lake")
    if "://" not in root:
        if not root.isprintable():
            raise UserError(f"lake {root!r} has characters that no folder's name should have: give another folder with --lake")
        return str(Path(root).absolute())
    found = re.fullmatch(r"s3a?://([a-z0-9][a-z0-9.-]+(?:/[\w.=-]+)*)/*", root)
    if found is None:
        raise UserError(f"lake {root!r} is neither a folder nor s3a://bucket/prefix (keys belong in the environment, not here)")
    for name, value in bucket.settings().items():  # read by deltalake and by processes that are started from here
        os.environ.setdefault(name, value)
    return f"s3a://{found[1]}"


def beside(lake: str) -> Path:
    """Where files lie that are no table: journals of answers, drafts, kept reports, votes. In the lake's `_control`.

    For a lake in a bucket, whose objects cannot grow or be linked, on this machine: below CRAWLMILL_JOURNALS, else `.crawlmill/journals` below the home folder.
    """
    if "://" not in lake:
        return Path(lake) / "_control"
    root = Path(os.environ.get("CRAWLMILL_JOURNALS") or home() / ".crawlmill" / "journals")
    return root / re.sub(r"\W+", "-", lake)


def source_root(given: str | None = None) -> str:
    """Where crawl files come from: the argument, else CRAWLMILL_SOURCE, else Common Crawl's own HTTP server. Raises UserError for one with a password."""
    root = given or os.environ.get("CRAWLMILL_SOURCE") or DEFAULT_SOURCE
    if re.match(r"\w+://[^/]*@", root):
        where = re.sub(r"//[^/]*@", "//…@", root)
        raise UserError(f"source {where} has a name or password in its address, which logs would show: give it without")
    return root


def pace_dir() -> Path:
    """Where the processes of this machine agree on how fast they ask a host: CRAWLMILL_PACE, else a folder for temporary files."""
    return Path(os.environ.get("CRAWLMILL_PACE") or Path(tempfile.gettempdir()) / f"crawlmill-pace-{os.getuid()}")


def requests_per_second() -> float:
    """Requests a second to one host by all processes of this machine: CRAWLMILL_REQUESTS_PER_SECOND, else 5."""
    text = os.environ.get("CRAWLMILL_REQUESTS_PER_SECOND") or "5"
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 10_000:
        raise UserError(f"CRAWLMILL_REQUESTS_PER_SECOND={text!r} is no number from 0.001 to 10000: give one, or unset it for 5")
    return rate


def recipe_path(given: str | None = None) -> Path:
    """The recipe file: the argument, else CRAWLMILL_RECIPE, else the default recipe."""
    return Path(given or os.environ.get("CRAWLMILL_RECIPE") or recipes_dir() / "default.yaml")
