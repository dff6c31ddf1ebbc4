"""Two snapshots brought through every stage once, for all tests that only look at them or change a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill.protocol.session import COMPILED, settings
from tests.conftest import BRISK
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW, OLD
from tests.fixtures.pages import NEWER, OLDER


@pytest.fixture(scope="session")
def both(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake into which the older snapshot came first, then the newer."""
    lake = str(tmp_path_factory.mktemp("lakes") / "both")
    for snapshot, pages in ((OLD, OLDER), (NEW, NEWER)):
        lakes.put_documents(lake, snapshot, pages)
        lakes.ingest(spark, lake, snapshot)
        lakes.run(spark, lake, "dedup")
        lakes.run(spark, lake, "publish")
    return lake


@pytest.fixture
def copy(both: str, tmp_path: Path) -> str:
    """A copy of the lake for a test that changes it."""
    return str(shutil.copytree(both, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def settings_of_the_product(request: pytest.FixtureRequest) -> Iterator[None]:
    """Long tests have tables of a size for which queries are compiled."""
    if "spark" not in request.fixturenames or not request.node.get_closest_marker("full"):
        yield
        return
    conf = request.getfixturevalue("spark").conf
    for name in BRISK:
        conf.unset(name)
    for name, value in {**settings(Path()), **COMPILED}.items():
        if name in BRISK:
            conf.set(name, value)
    yield
    for name, value in BRISK.items():
        conf.set(name, value)
