"""What ingesting a snapshot will take: from the lake's own runs, else from the figures that ship."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crawlmill.errors import UserError
from crawlmill.explain import ingest_estimate, page_cost
from crawlmill.explain.ingest_estimate import Prices
from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.recipes import recipe
from tests.fixtures import lake_tables
from tests.fixtures.lakes import NEW, OLD, document
from tests.fixtures.shell import call

SHIPPED = page_cost.figures()
PRICES = Prices(core_hour=0.5, gb_month=2.0, gb_fetched=1.0)


def test_the_figures_that_ship_say_where_they_come_from() -> None:
    from crawlmill.protocol import stage

    assert SHIPPED["crawl"].keys() == {"warc", "wet"}
    assert set(SHIPPED["work"]["stages"]) == set(stage.NAMES) - {"recycle"}
    assert all(part["source"] for part in (*SHIPPED["crawl"].values(), SHIPPED["work"]))
    assert 0 < SHIPPED["work"]["documents"] <= SHIPPED["work"]["pages"]


def test_without_runs_the_shipped_figures_are_multiplied(crawl: Path, lake: str) -> None:
    cost, seen = ingest_estimate.of(lake, str(crawl), NEW, recipe.load(), PRICES, 4)
    figures = SHIPPED["crawl"]["warc"]
    assert cost.files == 4 and cost.fetched == 4 * figures["file_bytes"] and cost.pages == 4 * figures["records"]
    own, documents = page_cost.by_stage("warc"), cost.pages * SHIPPED["work"]["documents"] / SHIPPED["work"]["pages"]
    assert cost.documents == pytest.approx(documents)
    assert cost.core_hours["extract"] == pytest.approx(cost.pages * own["extract"].core_seconds / 3600)
    assert cost.core_hours["dedup"] == pytest.approx(documents * own["dedup"].core_seconds / 3600)
    rest = sum(found.stored for name, found in own.items() if name != "extract")
    assert cost.stored == pytest.approx(cost.pages * own["extract"].stored + documents * rest)
    assert cost.money == pytest.approx(cost.total_hours * 0.5 + cost.fetched / 1e9)
    assert cost.month == pytest.approx(cost.stored / 1e9 * 2)
    said = "\n".join(ingest_estimate.lines(cost, seen, PRICES, 4))
    assert "CC-MAIN-2016-40" in said and "tests/bench/sizing.py" in said and "money" in said
    assert "money" not in "\n".join(ingest_estimate.lines(cost, seen, Prices(), 4))


def test_a_lake_s_own_runs_are_the_measure(crawl: Path, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table.create_all(lake)
    lake_tables.put(lake, "documents", OLD, [document(OLD, 0, f"p{n}", "text") for n in range(8)])
    lake_tables.put(
        lake,
        "crawl_files",
        OLD,
        [{"snapshot": OLD, "shard": 0, "file_path": "a", "state": "done", "bytes": 1000, "responses": 10}],
    )
    for name, read, written in (("extract", 10, 8), ("gate", 8, 8), ("publish", 8, 5)):
        counts = [{"shard": 0, "read": read, "written": written, "rejected": read - written}]
        outputs = [{"table": "documents", "version": 1}]
        ledger.append_run(
            lake,
            RunRow(run_id=name, stage=name, snapshot=OLD if name != "publish" else "*", stage_key="k", verdict="passed", counts=counts,
                   outputs=outputs, seconds=20.0, finished_at=datetime.now(UTC)),
        )  # fmt: skip
    assert "tests/bench/sizing.py" in ingest_estimate.measured(lake, "warc", 2).sources["time"], "eight documents tell nothing"
    monkeypatch.setattr(ingest_estimate, "LEAST", 8)
    cost, seen = ingest_estimate.of(lake, str(crawl), NEW, recipe.load(), Prices(), 2)
    assert (seen.file_bytes, seen.records, seen.documents) == (1000, 10, 0.8)
    assert seen.core_seconds == {"extract": 4.0, "gate": 5.0, "publish": 5.0}
    assert cost.fetched == 4000 and cost.pages == 40 and cost.documents == 32
    assert cost.total_hours == pytest.approx((40 * 4 + 32 * 5 + 32 * 5) / 3600)
    assert cost.stored > 0 and "this lake: 8 documents of 1 snapshots" in seen.sources["time"]


def test_a_snapshot_that_is_not_listed_is_refused(crawl: Path, lake: str) -> None:
    with pytest.raises(UserError, match="CC-MAIN-2026-39"):
        ingest_estimate.of(lake, str(crawl), "CC-MAIN-2026-39", recipe.load(), Prices(), 1)


def test_the_verb_tells_both_parts(
    crawl: Path, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.process_time()
    asking = tmp_path / "llm.yaml"
    asking.write_text("extends: default\nrewrite:\n  hooks: [{name: wrap, options: {model: tiny}}]\n")
    arguments = (
        "estimate",
        NEW,
        "--source",
        str(crawl),
        "--lake",
        lake,
        "--recipe",
        str(asking),
        "--core-hour",
        "0.04",
        "--cores",
        "8",
    )
    assert call(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert "crawl files       4" in out and "on 8 cores" in out and "money" in out
    assert "told once identify has passed" in out
    assert not Path(lake).exists(), "nothing is written"
    assert time.process_time() - started < 20
