"""Fixtures: one Spark session for all Spark tests, a lake a test, the shared test data where it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from crawlmill.protocol.session import INTERPRETED

# A busy machine is no failure: no deadline on an example, no complaint about slow generation.
settings.register_profile("crawlmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crawlmill")

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(wrapper=True)  # xdist reads the groups in the same hook and would come first
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Two workers begin with what takes longest: all Spark tests on one session, and the real Airflow; then who is free takes the next file."""
    order = {"spark": 0, "e2e": 1, "test_types.py": 2}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: order.get(item.path.parent.name, order.get(item.path.name, 3)))
    return (yield)


def group(item: pytest.Item) -> str:
    """Tests of a group run on one worker, one after the other."""
    if item.path.parent.name == "spark":
        return "spark"
    return "airflow" if item.get_closest_marker("e2e") else item.path.name


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("CRAWLMILL_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip("the shared test data is not on this machine (CRAWLMILL_SHARED names its folder)")
    return folder


# A test's tables have some rows: besides what stages set for small inputs, fewer tasks a shuffle and a log.
BRISK = {**INTERPRETED, "spark.sql.shuffle.partitions": "2", "spark.databricks.delta.snapshotPartitions": "1"}


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """The one Spark session of the test run, set for small tables."""
    from crawlmill.protocol.session import build

    logging.getLogger("py4j").setLevel(logging.WARNING)  # it reports closed connections after pytest has closed the stream
    session = build("crawlmill tests")
    for name, value in BRISK.items():
        session.conf.set(name, value)
    yield session
    session.stop()


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """An empty lake."""
    return str(tmp_path / "lake")


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample crawl, for tests that only read it."""
    from crawlmill import sample_crawl

    folder = tmp_path_factory.mktemp("crawl")
    sample_crawl.write(folder)
    return folder
