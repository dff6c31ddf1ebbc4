"""Room on the disks that a job writes to, looked at before it starts: on a full one Spark dies with words that name neither disk nor remedy."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from crawlmill.errors import UserError
from crawlmill.storage import lake_files

LEAST = 200  # MB; a session alone writes some tens into its scratch folder
FULL = "No space left on device"


def require(lake: str) -> None:
    """Raise UserError where the lake's disk, or a scratch folder of this machine, is nearly full."""
    for what, folder in [("lake", "" if lake_files.is_bucket(lake) else lake), *(("scratch folder", each) for each in scratch())]:
        free = _free(folder) if folder else LEAST
        if free < LEAST:
            raise UserError(f"{what} {folder} has {free:.0f} MB free and {LEAST} are needed: {remedy()}")


def remedy() -> str:
    """What to do about a full disk."""
    return "free space there, for tables with `crawlmill maintain`, and run it again (infra/RUNBOOK.md, DiskFull)"


def scratch() -> list[str]:
    """Where Spark and readers of crawl files keep what is on its way."""
    return sorted({*filter(None, os.environ.get("SPARK_LOCAL_DIRS", "").split(",")), tempfile.gettempdir()})


def _free(folder: str) -> float:
    """Free MB of the disk of a folder, or of what is there of its path."""
    path = Path(folder).absolute()
    there = next((parent for parent in (path, *path.parents) if parent.is_dir()), Path("/"))
    return shutil.disk_usage(there).free / 1e6
