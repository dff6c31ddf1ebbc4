"""Every verb that only looks, on a lake of which any table is damaged: an answer or one sentence, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.errors import CrawlmillError
from crawlmill.lake import ledger
from crawlmill.protocol import command
from tests.fixtures import seen
from tests.fixtures.lakes import NEW, OLD

VERBS = [
    ("funnel",), ("why", seen.url(49)), ("report", NEW, "--out", "r.html"), ("tables",), ("sample",), ("sample", "--stage", "dedup"), ("diff", OLD, NEW),
    ("history", "corpus"), ("metrics",), ("estimate", NEW), ("recover",), ("answer", NEW, "--because", "x"), ("maintain", "--dry-run"),
]  # fmt: skip
TABLES = [
    "runs",
    "quality",
    "documents",
    "rejects",
    "crawl_files",
    "languages",
    "verdicts",
    "signals",
    "clusters",
    "corpus",
    "page_index",
]
KINDS = ["an empty commit", "a garbage commit", "no log", "a cut file", "no file", "a cut _last_checkpoint"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(seen.make(str(tmp_path_factory.mktemp("whole") / "lake")))


def damage(folder: Path, kind: str) -> None:
    commits = sorted((folder / "_delta_log").glob("*.json"))
    data = sorted(path for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts)
    match kind:
        case "an empty commit":
            commits[-1].write_bytes(b"")
        case "a garbage commit":
            commits[-1].write_bytes(b"\x00\xff{not json")
        case "no log":
            shutil.rmtree(folder / "_delta_log")
        case "a cut _last_checkpoint":
            (folder / "_delta_log" / "_last_checkpoint").write_text('{"version": 7, "size": 1')
        case "a cut file" if data:
            data[0].write_bytes(data[0].read_bytes()[:100])
        case "no file" if data:
            data[0].unlink()


def tracebacks(whole: Path, tmp_path: Path, table: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What verbs end with that is no sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("crawlmill.protocol.session.build", None)
    lake, bad = shutil.copytree(whole, tmp_path / "lake"), []
    damage(lake / table, kind)
    for words in VERBS:
        ledger._READ.clear()  # a verb is a process of its own
        error = CliRunner().invoke(cli, [*words, "--lake", str(lake)]).exception
        if error is None or isinstance(error, (SystemExit, CrawlmillError)):
            continue
        try:
            command.told(error if isinstance(error, Exception) else RuntimeError(error))
        except Exception as left:
            bad.append(f"{words[0]}: {left!r}"[:300])
    return bad


@pytest.mark.parametrize("table", ["runs", "verdicts"])
def test_a_cut_file_is_one_sentence(whole: Path, tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracebacks(whole, tmp_path, table, "a cut file", monkeypatch) == []


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("table", TABLES)
def test_any_damage_of_any_table(whole: Path, tmp_path: Path, table: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracebacks(whole, tmp_path, table, kind, monkeypatch) == []
