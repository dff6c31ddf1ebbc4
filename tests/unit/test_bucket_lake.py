"""A lake in a bucket, as far as no Spark is needed: files, tokens, tables and the ledger against an S3 server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crawlmill import layout
from crawlmill.contracts import contract
from crawlmill.errors import Fenced, UserError
from crawlmill.lake import fence, intact, ledger, table, table_log
from crawlmill.lake.ledger import RunRow
from crawlmill.releases import export
from crawlmill.sources.quarantine import Entry, Quarantine
from crawlmill.storage import bucket, lake_files
from crawlmill.upkeep import recovery
from tests.fixtures import s3_server
from tests.fixtures.shell import user_error

SNAPSHOT = "CC-MAIN-2026-43"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    pytest.importorskip("moto.server", reason="moto is not installed (pip install crawlmill[dev])")
    with s3_server.server(tmp_path_factory.mktemp("s3"), build=False) as found:
        yield found


@pytest.fixture
def lake(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket._client.cache_clear()
    return layout.lake_root(f"s3://lakes/{request.node.name}/")


def test_an_address_is_made_spark_s(lake: str) -> None:
    assert lake.startswith("s3a://lakes/") and not lake.endswith("/")
    with pytest.raises(UserError, match="keys belong in the environment"):
        layout.lake_root("s3://key:secret@lakes/x")
    with pytest.raises(UserError, match="neither a folder nor s3a"):
        layout.lake_root("gs://lakes/x")


def test_files_are_created_once_and_changed_by_one_at_a_time(lake: str) -> None:
    assert lake_files.read(lake, "a/b") is None
    assert lake_files.create(lake, "a/b", b"1") and not lake_files.create(lake, "a/b", b"2")
    assert lake_files.read(lake, "a/b") == b"1"

    def count(_: int) -> None:
        for _ in range(5):
            lake_files.update(lake, "a/n", lambda before: str(int(before or 0) + 1).encode())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert lake_files.read(lake, "a/n") == b"20"
    assert lake_files.names(lake, "a") == ["a/b", "a/n"] and lake_files.holds(lake, "a", "n")
    lake_files.remove(lake, "a")
    assert lake_files.names(lake, "a") == []


def test_a_file_of_any_size_is_uploaded_and_told_of(lake: str, tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(b"x" * (9 << 20))  # larger than a part
    bucket.upload(lake, "out/shard", tmp_path / "shard")
    bucket.put(lake, "top", b"1")
    assert bucket.names(f"{lake}/out", "") == ["shard"] and bucket.names(lake, "", 1) == ["out/shard"]
    assert len(bucket.read(lake, "out/shard")[0] or b"") == 9 << 20
    with pytest.raises(UserError, match="out is not empty: give a new folder with --out"):
        export._require_empty(f"{lake}/out")
    with pytest.raises(UserError, match="cannot be written"):
        bucket.upload("s3a://no-such-bucket", "shard", tmp_path / "shard")


def test_of_racing_attempts_each_draws_its_own_token(lake: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda n: fence.draw(lake, "gate", SNAPSHOT, None, f"run {n}"), range(12)))
    assert sorted(tokens) == list(range(1, 13))
    fence.check(lake, "gate", SNAPSHOT, None, 12)
    with pytest.raises(Fenced, match="attempt 12"):
        fence.check(lake, "gate", SNAPSHOT, None, 11)


def test_a_slow_attempt_does_not_take_away_the_entry_of_a_later_one(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token 1 is drawn, token 2 is drawn and entered, and only then is token 1 entered."""
    update = bucket.update

    def overtaken(root: str, name: str, change: Any) -> bytes:
        if name.endswith("holders.json"):
            monkeypatch.setattr(bucket, "update", update)
            assert fence.draw(lake, "gate", SNAPSHOT, None, "fast") == 2
        return update(root, name, change)

    monkeypatch.setattr(bucket, "update", overtaken)
    assert fence.draw(lake, "gate", SNAPSHOT, None, "slow") == 1
    assert fence.holder(lake, "gate", SNAPSHOT, 0) == 2
    with pytest.raises(Fenced, match="run fast"):
        fence.check(lake, "gate", SNAPSHOT, None, 1)


def test_a_lease_is_held_by_one_and_runs_out(lake: str) -> None:
    inside, most, guard = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with bucket.lease(lake, "x.lock", 30):
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.05)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert most == 1
    bucket.put(lake, "x.lock", b"of a process that died")
    with bucket.lease(lake, "x.lock", 0.5):
        pass


def test_tables_and_the_ledger(lake: str) -> None:
    made = table.create_all(lake)
    assert set(made) == set(contract.all_tables()) and table.create_all(lake) == []
    assert table.version(lake, "runs") == 0
    names = [f"run-{n}" for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: ledger.append_run(lake, RunRow(name, "gate", SNAPSHOT, "k", "passed")), names))
    assert {run.run_id for run in ledger.runs(lake)} == set(names), "a commit was lost"
    assert table_log.readable(lake, "runs", 3)
    table.require(lake, "runs")
    with pytest.raises(UserError, match="no table runs"):
        table.require(f"{lake}/nothing", "runs")


def test_lost_objects_are_told(lake: str) -> None:
    table.create_all(lake)
    name = f"snapshot={SNAPSHOT}/shard=0/x.parquet"
    by = {"commitInfo": {"timestamp": 0, "operation": "WRITE", "userMetadata": json.dumps({"snapshot": SNAPSHOT})}}
    add = {"path": name, "partitionValues": {"snapshot": SNAPSHOT, "shard": "0"}, "size": 1, "modificationTime": 0, "dataChange": True,
           "stats": json.dumps({"numRecords": 1})}  # fmt: skip
    assert contract._commit(f"{lake}/signatures", 1, [by, {"add": add}])
    bucket.put(lake, f"signatures/{name}", b"x")
    counts = [{"shard": 0, "read": 1, "written": 1, "rejected": 0}]
    run = RunRow("r", "sketch", SNAPSHOT, "k", "passed", outputs=[{"table": "signatures", "version": 1}], counts=counts)
    ledger.append_run(lake, run)
    assert intact.of_lake(lake) == []
    bucket.remove(lake, f"signatures/{name}")
    assert "x.parquet is missing" in str(intact.of_lake(lake)[0])
    bucket.put(lake, f"signatures/_delta_log/{1:020d}.json", b"")
    assert "the commit of its version 1 is empty" in str(intact.of_lake(lake)[0])
    bucket.remove(lake, f"signatures/_delta_log/{1:020d}.json")
    assert "its version 1 is gone" in str(intact.of_lake(lake)[0])
    bucket.remove(lake, f"runs/_delta_log/{1:020d}.json")
    with pytest.raises(UserError, match="table runs of the lake has lost its end"):
        ledger.runs(lake)
    with pytest.raises(UserError, match="object versioning"):
        recovery.put_back(lake, "runs", accept=False)
    assert recovery.put_back(lake, "runs", accept=True) == (0, 1) and ledger.runs(lake) == []


def test_the_quarantine_list(lake: str) -> None:
    listed = Quarantine(lake, SNAPSHOT)
    assert listed.entries() == []
    for offset in (0, 10):
        listed.add(Entry("f.warc.gz", offset, 5, "own", "slow"))
    assert listed.of_file("f.warc.gz", "own") == {(0, 5): "slow", (10, 5): "slow"}


def test_a_server_that_ignores_conditions_is_refused(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.probe(lake)
    bucket.probe.cache_clear()
    put = bucket.put
    monkeypatch.setattr(bucket, "put", lambda root, name, content, tag=None: put(root, name, content))
    with pytest.raises(UserError, match="ignores conditions"):
        table.create_all(lake)
    bucket.probe.cache_clear()


def test_what_the_bucket_refuses_is_one_sentence(lake: str) -> None:
    with pytest.raises(UserError, match="the bucket refuses \\(NoSuchBucket\\)"):
        lake_files.read("s3a://nobody/x", "a")
    with pytest.raises(UserError, match="the bucket refuses"):
        table.require("s3a://nobody/x", "runs")


def test_a_bucket_that_does_not_answer_is_one_sentence_at_the_shell(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if s3_server.versitygw(build=False) is None:
        pytest.skip("moto takes any key, and there is no versitygw (`make test-full` builds it where there is Go)")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    bucket._client.cache_clear()
    said = user_error(monkeypatch, capsys, "tables", "--lake", lake)
    assert "check" in said and "keys" in said
