"""Disks that are full for real: one sentence, nothing released, and the same rows once there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill import layout
from crawlmill.lake import intact, ledger
from crawlmill.protocol import command
from crawlmill.storage import space
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW
from tests.fixtures.pages import NEWER

pytestmark = pytest.mark.full


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    ).returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_lake_on_a_full_disk(spark: Any, both: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "LEAST", 0)  # as if the disk had become full after the start
    lake = str(small / "lake")
    lakes.put_documents(lake, NEW, NEWER)
    filler = small / "filler"
    with filler.open("wb") as file:
        file.write(bytes(shutil.disk_usage(small).free - 20_000))
    with pytest.raises(Exception, match="No space left on device") as full:
        lakes.run(spark, lake, "identify", NEW)
    assert str(command.told(full.value)).startswith("a disk is full (No space left on device): free space")
    filler.unlink()
    assert ledger.verdict(lake, "identify", NEW) is None, "nothing of the attempt counts"
    assert lakes.run(spark, lake, "identify", NEW).verdict == "passed" and intact.of_lake(lake) == []
    assert lakes.contents(spark, lake, "languages") == lakes.contents(spark, both, "languages", NEW)


def test_a_full_scratch_folder_is_told_before_spark_starts(lake: str, small: Path) -> None:
    lakes.put_documents(lake, NEW, NEWER)
    words = [sys.executable, str(layout.jobs_dir() / "identify.py"), "--snapshot", NEW, "--lake", lake]
    done = subprocess.run(words, env={**os.environ, "SPARK_LOCAL_DIRS": str(small)}, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith(f"crawlmill: user error: scratch folder {small} has "), done.stderr[
        -2000:
    ]
