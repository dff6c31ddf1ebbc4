"""Commits of Spark to a lake in a bucket: none is lost, and an orphaned attempt is kept out, against a real S3 server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill.releases import release
from tests.fixtures import lakes, s3_server

ROOT = Path(__file__).resolve().parents[2]
LAKE = "s3a://lakes/t"

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    subprocess.run([sys.executable, ROOT / "infra" / "object_storage.py"], check=True)
    with s3_server.server(tmp_path_factory.mktemp("s3")) as found:
        yield found


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    env = {**{name: value for name, value in os.environ.items() if name != "SPARK_CONF_DIR"}, **environment}
    with (folder / f"{arguments[0]}-{len(list(folder.glob('*.log')))}.log").open("w") as log:
        command = [sys.executable, "-m", "tests.fixtures.bucket_drivers", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, text=True)


def result(program: subprocess.Popen[str], folder: Path) -> Any:
    try:
        out, _ = program.communicate(timeout=600)
    finally:
        program.kill()
    assert program.returncode == 0, "".join(log.read_text()[-3000:] for log in folder.glob("*.log"))
    return json.loads(out.splitlines()[-1])


def test_a_second_writer_of_a_version_is_refused_and_so_is_an_orphan(environment: dict[str, str], tmp_path: Path) -> None:
    found = result(start(environment, tmp_path, "streams", LAKE), tmp_path)
    assert found["plain"] == ["second"], "Hadoop's own way: the first writer's commit is lost without a word"
    # The third writes the very bytes that are there, as after a lost answer: that is its own commit.
    assert found["said"] == ["written", "FileAlreadyExistsException", "written"] and found["ours"] == ["first"]
    assert "was taken over by attempt" in found["orphan"] and "run retry" in found["orphan"]
    assert found["rows"] == ["right"]


def test_spark_without_the_log_store_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    told = result(start(environment, tmp_path, "refused", LAKE), tmp_path)["told"]
    assert "loses commits" in told and "spark.delta.logStore.s3a.impl" in told


def test_of_two_drivers_that_race_no_commit_is_lost(environment: dict[str, str], tmp_path: Path) -> None:
    racers = [start(environment, tmp_path, "race", "s3a://lakes/race", shard, "8") for shard in ("1", "2")]
    both = [result(racer, tmp_path) for racer in racers]
    assert [racer["refused"] for racer in both] == [[], []]
    versions = [version for racer in both for version in racer["acknowledged"]]
    assert len(set(versions)) == 16, "each commit that was acknowledged has a version of its own"
    assert sorted(versions) == list(range(1, 17))


def test_a_release_in_a_bucket_holds_what_it_holds_in_a_folder(
    spark: Any, copy: str, environment: dict[str, str], tmp_path: Path
) -> None:
    found = result(start(environment, tmp_path, "released", "s3a://lakes/released", copy), tmp_path)
    here = release.build(spark, lakes.job(copy), "web", [lakes.OLD, lakes.NEW], say=lambda line: None)
    assert found["same"] and found["first"]["languages"] == here["languages"] and found["first"]["pins"] == here["pins"]
    assert found["objects"] == sorted(["index.json", *(row["file"] for row in found["files"])])
    assert sum(row["documents"] for row in found["files"]) == here["total"]["documents"]
    assert "s3a://lakes/released-exported is not empty" in found["told"]
    assert found["names"] == ["web-r2"] and found["after"] == here["languages"]
    assert found["rest"] == ["releases/web/README.md", "releases/web/withdrawn.json"]
