"""The small files that say who may write: cut, emptied or filled with garbage, they are told, and never taken for absent."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import fence, ledger
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import command, stage
from crawlmill.sources.quarantine import Entry, Quarantine
from crawlmill.storage import lake_files
from crawlmill.takedowns import orders
from crawlmill.upkeep import maintenance
from tests.fixtures.lakes import NEW, put_documents

GARBAGE = [b"", b"{", b"\x00\x00\x00\x00", b'[{"token": 1']


@pytest.fixture
def used(lake: str) -> str:
    """A lake in which identify has begun."""
    put_documents(lake, NEW, {"a": "a text"})
    fence.draw(lake, "identify", NEW, None, "first")
    return lake


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", ["fence.json", f"identify@{NEW}.holders.json", "ledger.json"])
def test_a_damaged_one_is_told_before_anything_is_written(
    used: str, name: str, garbage: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    path = Path(used) / "_control" / name
    path.write_bytes(garbage)
    before = {file: file.stat().st_mtime_ns for file in Path(used).rglob("*.parquet")}
    assert command.main(stage.load("identify"), ["--snapshot", NEW, "--lake", used]) == 2
    said = capsys.readouterr().err
    assert said.startswith("crawlmill: user error: ") and f"{used}/_control/{name} is damaged" in said and "Traceback" not in said
    assert path.read_bytes() == garbage and before == {file: file.stat().st_mtime_ns for file in Path(used).rglob("*.parquet")}


def test_an_attempt_under_way_does_not_commit_past_a_damaged_holder(used: str) -> None:
    token = fence.draw(used, "identify", NEW, None, "second")
    (Path(used) / "_control" / f"identify@{NEW}.holders.json").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        fence.check(used, "identify", NEW, None, token)


def test_without_it_tokens_go_on_where_the_ledger_ends(used: str) -> None:
    ledger.append_run(used, RunRow("r", "identify", NEW, "k", "passed", fence=41))
    (Path(used) / "_control" / "fence.json").unlink()
    assert fence.draw(used, "identify", NEW, None, "third", 41) == 42


ENTRY = Entry("a.warc.gz", 5, 10, "own", "took too long")


def test_half_a_line_does_not_take_the_next_one_with_it(lake: str) -> None:
    listed = Quarantine(lake, NEW)
    listed.add(ENTRY)
    path = Path(lake) / listed.name
    path.write_bytes(path.read_bytes() + b'{"backend": "own", "file_pa')
    later = Entry("b.warc.gz", 7, 10, "own", "took too long, too")
    listed.add(later)
    assert listed.entries() == [ENTRY, later]


def test_an_order_stands_whole_or_not_at_all(lake: str) -> None:
    contract.create(lake, "runs")
    first, second = (orders.make((name,), "a lawyer", "a letter") for name in ("example.org", "example.com"))
    assert orders.add(lake, first)
    assert told_on_a_full_disk(lake, second)
    assert orders.held(lake) == [first] and not list(Path(lake).rglob("*.draft"))
    path = Path(lake) / orders.FILE
    path.write_bytes(path.read_bytes().rstrip(b"\n"))  # as an editor may leave it
    assert orders.add(lake, second) and orders.held(lake) == [first, second]
    assert [json.loads(line)["domains"] for line in path.read_text().splitlines()] == [["example.org"], ["example.com"]]


def told_on_a_full_disk(lake: str, order: Any) -> bool:
    """Whether writing it down fails where no file may grow beyond the list as it is and some bytes."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = (Path(lake) / orders.FILE).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, size + 40))
        try:
            orders.add(lake, order)
        except OSError:
            raise SystemExit(7) from None

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    return child.exitcode == 7


def test_half_a_line_is_an_error_of_who_wrote_it(lake: str) -> None:
    """A disk that fills up within a line: the writer is told, and the list is read without it."""

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
        try:
            Quarantine(lake, NEW).add(ENTRY)
        except OSError:
            raise SystemExit(7) from None

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 7 and Quarantine(lake, NEW).entries() == []
    assert lake_files.read(lake, Quarantine(lake, NEW).name)


def test_drafts_of_killed_processes_go_by_maintenance(used: str) -> None:
    old, new = (Path(used) / "_control" / f".{name}.draft" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    maintenance.maintain(used, ["languages"], dry_run=True)
    assert old.exists()
    maintenance.maintain(used, ["languages"])
    assert not old.exists() and new.exists(), "somebody may be writing the other one"
