"""Every stage notices that its tables lost files, and mends them by running again: the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawlmill.errors import UserError
from crawlmill.lake import intact, ledger, pins, table
from crawlmill.protocol import stage
from tests.fixtures import lakes
from tests.fixtures.lakes import NEW

STAGES = [name for name in stage.NAMES[1:] if name != "recycle"]


@pytest.mark.full
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
@pytest.mark.parametrize("name", STAGES)
def test_every_stage_mends_its_tables(
    spark: Any, both: str, copy: str, name: str, empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawlmill.contracts.audit.audit", lambda *_: [])
    snapshot = NEW if name in stage.PER_SNAPSHOT else pins.EVERY
    before = ledger.released(copy, name, snapshot)
    assert before
    for entry in before.outputs:  # the last commit of each of its tables
        commit = Path(copy, entry["table"], "_delta_log", f"{table.version(copy, entry['table']):020d}.json")
        commit.write_bytes(b"") if empty else commit.unlink()
    for checksum in Path(copy).glob("*/_delta_log/*.crc"):
        checksum.unlink()
    assert intact.of_run(copy, before)
    after = {
        "identify": "rewrite",
        "rewrite": "measure",
        "measure": "gate",
        "sketch": "dedup",
        "gate": "dedup",
        "dedup": "publish",
    }.get(name)
    if after:
        with pytest.raises(UserError, match=rf"run {name} of .* again"):
            lakes.run(spark, copy, after, NEW if after in stage.PER_SNAPSHOT else pins.EVERY, force=True)
    lakes.run(spark, copy, name, snapshot)  # not up to date, without being forced
    mended = ledger.released(copy, name, snapshot)
    assert mended and mended.run_id != before.run_id and intact.of_run(copy, mended) == []
    for entry in before.outputs:
        assert lakes.contents(spark, copy, entry["table"]) == lakes.contents(spark, both, entry["table"])


@pytest.mark.full
def test_what_a_killed_attempt_left_goes_by_maintenance_and_no_lock_stays(
    spark: Any, copy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of an attempt that ended before its commit are in no version: VACUUM takes them, and the lock is free."""
    from crawlmill.lake import fence
    from crawlmill.upkeep import maintenance

    monkeypatch.setattr(maintenance, "LEAST_HOURS", 0)
    before = lakes.contents(spark, copy, "languages")
    orphan = Path(copy, "languages", f"snapshot={NEW}", "shard=0", "part-00000-orphan.snappy.parquet")
    orphan.write_bytes(b"half a file")
    monkeypatch.setenv("CRAWLMILL_FAILPOINT", "identify:before_commit:languages=fail")
    with pytest.raises(RuntimeError, match="failpoint"):
        lakes.run(spark, copy, "identify", NEW, force=True)
    monkeypatch.delenv("CRAWLMILL_FAILPOINT")
    with fence.lock(copy, "languages"):
        pass
    maintenance.maintain(copy, ["languages"], 0)
    assert not orphan.exists() and lakes.contents(spark, copy, "languages") == before
