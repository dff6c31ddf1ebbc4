"""Tables whose files were lost or damaged under Delta's feet: told by comparison with the ledger, never a smaller table silently; and how they are mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

from crawlmill.cli import cli
from crawlmill.errors import CrawlmillError, UserError
from crawlmill.lake import fence, intact, ledger, ledger_length, pins, table
from crawlmill.lake.ledger import RunRow
from crawlmill.releases import release
from crawlmill.upkeep import recovery
from tests.fixtures import lake_tables, lakes
from tests.fixtures.lakes import NEW, OLD

PAGES = {f"p{n}": f"page {n}" for n in range(6)}


@pytest.fixture
def lake(tmp_path: Path) -> str:
    """Two snapshots with documents and languages, as extract and identify leave them."""
    root = str(tmp_path / "lake")
    for snapshot in (OLD, NEW):
        put(root, snapshot)
    return root


def put(root: str, snapshot: str) -> None:
    lakes.put_documents(root, snapshot, PAGES)
    rows = [{"shard": lakes.hash_shard(name, 2), "id": lakes.record_id(f"{snapshot}/{name}")} for name in PAGES]
    at = lake_tables.put(root, "languages", snapshot, rows)
    shards = [row["shard"] for row in rows]
    counts = [{"shard": shard, "read": shards.count(shard), "written": shards.count(shard), "rejected": 0} for shard in (0, 1)]
    extract = ledger.released(root, "extract", snapshot)
    assert extract
    token = fence.draw(root, "identify", snapshot, None, "put")
    ledger.append_run(root, RunRow(f"i{token}", "identify", snapshot, "k", "passed", inputs=pins.rows(pins.of(extract)),
                                   outputs=[{"table": "languages", "version": at}], counts=counts, fence=token))  # fmt: skip


def log(root: str, name: str, at: int) -> Path:
    return Path(root, name, "_delta_log", f"{at:020d}.json")


def data_file(root: str, snapshot: str) -> Path:
    return min(Path(root, "languages", f"snapshot={snapshot}").rglob("*.parquet"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def half(path: Path) -> None:
    """Cut between two actions: every line that is left can be read."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))


def said(root: str, snapshot: str = NEW) -> str:
    """What a stage that reads languages is told."""
    run = ledger.released(root, "identify", snapshot)
    assert run
    found = {("languages", snapshot): run.output("languages")}
    with pytest.raises(UserError) as told:
        intact.require(root, "measure", snapshot, found, ("documents", "languages"), ("signals",))
    return str(told.value)


def test_a_whole_lake_is_intact(lake: str) -> None:
    assert intact.of_lake(lake) == []
    run = ledger.released(lake, "identify", NEW)
    assert run
    intact.require(lake, "measure", NEW, pins.of(run), ("documents", "languages"), ("signals",))


DAMAGES: list[tuple[str, Callable[[str], object], str]] = [
    ("the last commit is empty", lambda root: log(root, "languages", 2).write_bytes(b""), "the commit of its version 2 is empty"),
    ("the last commit is missing", lambda root: log(root, "languages", 2).unlink(), "its version 2 is gone"),
    ("the last commit is cut between lines", lambda root: half(log(root, "languages", 2)), "rows and"),
    ("the last commit is cut within a line", lambda root: cut(log(root, "languages", 2)), "its log cannot be read"),
    ("a middle commit is garbage", lambda root: log(root, "languages", 1).write_bytes(b"{garbage\n"), "its log cannot be read"),
    ("a middle commit is missing", lambda root: log(root, "languages", 1).unlink(), "its log cannot be read"),
    ("a data file is missing", lambda root: data_file(root, NEW).unlink(), "is missing"),
    ("a data file is cut", lambda root: cut(data_file(root, NEW)), "bytes and was written with"),
]


@pytest.mark.parametrize(("damage", "words"), [row[1:] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
def test_a_damaged_table_is_told_with_file_and_remedy(lake: str, damage: Callable[[str], object], words: str) -> None:
    damage(lake)
    told = said(lake)
    assert words in told and "table languages" in told and f"run identify of {NEW} again" in told and "RUNBOOK" in told
    run = ledger.released(lake, "identify", NEW)
    assert run and intact.of_run(lake, run), "so the stage is not up to date and runs again"
    found = CliRunner().invoke(cli, ["check", "--no-spark", "--lake", lake, "--source", lake])
    assert "tables   wrong table languages" in found.output


def test_an_empty_commit_in_the_middle_hits_the_snapshot_that_wrote_it(lake: str) -> None:
    log(lake, "languages", 1).write_bytes(b"")
    assert "the commit of its version 1 is empty" in said(lake, OLD)
    assert {damage.snapshot for damage in intact.of_lake(lake)} == {OLD}


def test_garbage_as_last_checkpoint_harms_nothing(lake: str) -> None:
    Path(lake, "languages", "_delta_log", "_last_checkpoint").write_bytes(b"{garbage")
    assert intact.of_lake(lake) == []


def test_a_bad_checkpoint_is_told(lake: str) -> None:
    DeltaTable(f"{lake}/languages").create_checkpoint()
    checkpoint = min(Path(lake, "languages", "_delta_log").glob("*.checkpoint.parquet"))
    checkpoint.write_bytes(b"PAR1garbagePAR1")
    assert "its log cannot be read" in said(lake)
    checkpoint.unlink()
    Path(lake, "languages", "_delta_log", "_last_checkpoint").unlink()
    assert intact.of_lake(lake) == [], "without the checkpoint the commits say the same"


def test_tables_names_what_is_damaged(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data_file(lake, OLD).unlink()
    found = CliRunner().invoke(cli, ["tables", "--lake", lake])
    assert isinstance(found.exception, CrawlmillError) and "1 tables of snapshots are damaged" in str(found.exception)
    assert f"run identify of {OLD} again" in found.output.replace("\n", " ")


def test_no_release_is_made_of_a_damaged_lake(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data_file(lake, OLD).unlink()
    monkeypatch.setattr(release, "missing", lambda lake, chosen: [])
    with pytest.raises(UserError, match=f"run identify of {OLD} again"):
        release.prepare(None, lakes.job(lake), "x", [NEW], 10)


def test_the_number_of_a_lost_commit_is_not_given_to_another_snapshot(lake: str) -> None:
    log(lake, "languages", 2).unlink()  # that of NEW
    with pytest.raises(UserError, match="its version 2 is gone"):
        intact.require(lake, "identify", OLD, {}, (), ("languages",))
    intact.require(lake, "identify", NEW, {}, (), ("languages",))  # writes it again
    put_again = [{"shard": lakes.hash_shard(name, 2), "id": lakes.record_id(f"{OLD}/{name}")} for name in PAGES]
    assert lake_tables.put(lake, "languages", OLD, put_again) == 2, "what would happen otherwise"
    assert "a commit of CC-MAIN-2026-38" in said(lake)


def test_a_stage_that_runs_again_mends_its_table(lake: str) -> None:
    log(lake, "languages", 2).unlink()
    put(lake, NEW)  # the same call again
    assert intact.of_lake(lake) == [] and len(ledger.runs(lake, "identify", NEW)) == 2


def rows(root: str) -> list[RunRow]:
    return ledger.runs(root)


@pytest.mark.parametrize("name", ["runs", "quality"])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink], ids=["empty", "missing"])
def test_a_ledger_that_lost_its_end_is_told_and_put_together_again(
    lake: str, name: str, damage: Callable[[Path], object]
) -> None:
    warn(lake)
    read: Any = ledger.runs if name == "runs" else ledger.quality
    before = read(lake)
    damage(log(lake, name, table.version(lake, name)))
    with pytest.raises(UserError, match=rf"table {name} of the lake has lost its end.*_delta_log.*crawlmill recover"):
        read(lake)
    done = CliRunner().invoke(cli, ["recover", "--lake", lake])
    assert done.exit_code == 0 and f"{name:<8} 1 rows put back, 0 lost" in done.output, done.output
    assert read(lake) == before


def test_a_hole_in_the_ledger_s_log_is_mended_from_the_data_files(lake: str) -> None:
    before = rows(lake)
    log(lake, "runs", 1).unlink()
    with pytest.raises(Exception, match=r"(?i)version|log"):
        rows(lake)
    recovery.put_back(lake, "runs", accept=False)
    assert rows(lake) == before and Path(lake, "runs", "_delta_log.damaged-1").is_dir()


def test_rows_that_are_nowhere_are_accepted_only_where_somebody_says_so(lake: str) -> None:
    before = rows(lake)
    last = DeltaTable(f"{lake}/runs")
    files = set(last.file_uris()) - set(DeltaTable(f"{lake}/runs", version=last.version() - 1).file_uris())
    log(lake, "runs", last.version()).unlink()
    for file in files:
        Path(file).unlink()
    done = CliRunner().invoke(cli, ["recover", "--lake", lake])
    assert isinstance(done.exception, UserError) and "1 rows of the ledger are nowhere" in str(done.exception)
    with pytest.raises(UserError, match="lost its end"):
        rows(lake)
    assert CliRunner().invoke(cli, ["recover", "--accept", "--lake", lake]).exit_code == 0
    assert rows(lake) == before[:-1]


def test_what_maintenance_does_makes_no_ledger_shorter(lake: str) -> None:
    from crawlmill.upkeep import maintenance

    before = rows(lake)
    maintenance.maintain(lake, ["runs", "quality"])
    assert rows(lake) == before
    ledger.append_run(lake, RunRow("later", "identify", NEW, "k", "failed", fence=99))
    assert recovery.put_back(lake, "runs", accept=False) == (0, 0) and len(rows(lake)) == len(before) + 1


def test_a_lake_whose_length_nobody_kept_is_read_as_it_is(lake: str) -> None:
    Path(lake, ledger_length.FILE).unlink()
    shutil.rmtree(Path(lake, "quality"))
    assert rows(lake) and ledger.quality(lake) == []


def warn(root: str) -> None:
    run = ledger.released(root, "identify", NEW)
    assert run
    result = {"snapshot": NEW, "stage": "identify", "table": "languages", "version": 2, "run_id": run.run_id, "expectation": "e", "column": None,
              "severity": "warning", "description": "d", "success": False, "observed": "0", "limit": "{}", "samples": "[]", "error": None,
              "answer": None, "checked_at": run.finished_at}  # fmt: skip
    ledger.append_quality(root, [result])
