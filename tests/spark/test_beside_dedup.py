"""Duplicate lines and reference sets through the transforms of their stages: tables, the gate, and that no text is exchanged."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.explain import contamination_report
from crawlmill.lake import fence, ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.protocol import stage
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Lines
from crawlmill.rows import line_tables
from tests.fixtures import lakes, prose
from tests.fixtures.lakes import OLD, record_id
from tests.fixtures.plans import exchanged

MENU = "Start page, all articles of this paper, and how to write to us about them."
SECRET = (
    "Nine lamps stand along a quay; each evening a keeper lights every second one, starting with the first, and on the way back every "
    "third of those that are still dark. After how many evenings has the fifth lamp burned exactly four times, if rain puts out the last?"
)
PAGES = {
    "plain": prose.article(1),
    "one": f"{MENU}\n{prose.article(2)}",
    "two": f"{MENU}\n{prose.article(3)}\n{MENU}",
    "three": f"{prose.article(4)}\n{MENU.upper()}",
    "leak": f"{prose.article(5)}\n{SECRET}",
    "twin": prose.article(1),
}


@dataclass
class Given:
    """What a transform sees of its context, with frames in place of tables."""

    recipe: recipe.Recipe
    frames: dict[str, Any]
    pins: dict[tuple[str, str], int] = field(default_factory=dict)
    job: Any = field(default_factory=lambda: SimpleNamespace(lake="", snapshot=OLD, shards=None))

    def has(self, name: str) -> bool:
        return (name, OLD) in self.pins

    def read(self, name: str, *columns: str) -> Any:
        return self.frames[name].select(*columns) if columns else self.frames[name]


def job(name: str) -> Any:
    return sys.modules[stage.load(name).transform.__module__]


def documents(spark: Any) -> Any:
    made = [
        lakes.document(OLD, n % 2, name, text) | {"offset": n, "file_path": f"f{n % 2}"}
        for n, (name, text) in enumerate(sorted(PAGES.items()))
    ]
    return spark.createDataFrame(made, contract.load("documents").struct())


@pytest.fixture(scope="module")
def made(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The frames that rewrite, measure and gate make of PAGES: lines dropped, a benchmark kept out."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / "bench.jsonl").write_text(
        json.dumps({"question": SECRET}) + "\n" + json.dumps({"question": "never met " * 20}) + "\n"
    )
    options = recipe.from_mapping(
        {
            "rewrite": {"lines": {}, "hooks": [{"name": "drop_duplicate_lines"}, {"name": "mask_pii"}]},
            "measure": {"references": [{"name": "bench", "path": str(folder / "bench.jsonl")}]},
            "gate": {"rules": {"clean": {"signal": "benchmark_overlap", "op": "max", "limit": 12}}},
        }
    )
    pages = documents(spark)
    told = pages.selectExpr(
        "snapshot",
        "shard",
        "id",
        "'eng' AS language",
        "'Latn' AS language_script",
        "0.9D AS language_score",
        "1.0D AS script_share",
    )
    nothing = spark.createDataFrame([], contract.load("rejects").struct())
    frames: dict[str, Any] = {"documents": pages, "languages": told, "rejects": nothing}
    given = Given(options, frames)
    for name in ("rewrite", "measure"):
        frames |= {table_: frame.localCheckpoint() for table_, frame in job(name).transform(given).items()}
    with pytest.raises(UserError, match="looked for no reference set: run measure again"):
        job("gate").transform(given)
    given.pins["contamination", OLD] = 1
    frames |= {table_: frame.localCheckpoint() for table_, frame in job("gate").transform(given).items()}
    return frames


def rows(frame: Any) -> dict[str, dict[str, Any]]:
    return {row["id"]: row.asDict(recursive=True) for row in frame.collect()}


def ident(name: str) -> str:
    return record_id(f"{OLD}/{name}")


def test_lines_are_counted_before_hooks_and_the_first_is_kept(made: dict[str, Any]) -> None:
    counted = made["line_counts"].collect()
    assert sorted((row["documents"], row["lines"]) for row in counted) == [(2, 2)] * 4 + [(3, 4)]
    changed = {key: row["text"] for key, row in rows(made["rewrites"]).items()}
    keepers = [name for name in ("one", "two", "three") if MENU.lower() in changed.get(ident(name), PAGES[name]).lower()]
    assert len(keepers) == 1
    for name in ("one", "two", "three"):
        assert changed.get(ident(name), PAGES[name]).lower().count(MENU.lower()) == (name in keepers)
    # Of two whole copies neither loses its text: that is for dedup to judge.
    assert not {ident("plain"), ident("twin")} & changed.keys()


def test_the_annotation_tells_how_much_of_a_document_is_duplicate(made: dict[str, Any]) -> None:
    found = rows(made["duplicate_lines"])
    copies = [found[ident(name)] for name in ("plain", "twin") if ident(name) in found]
    assert [(row["lines"], row["duplicates"], row["share"]) for row in copies] == [(4, 4, 1.0)]
    assert ident("leak") not in found
    two = found[ident("two")]
    assert two["lines"] == 6 and two["duplicates"] in (1, 2) and 0 < two["share"] < 0.5
    assert sum(row["duplicates"] for row in found.values()) == 4 + 3


def test_a_document_with_a_benchmark_in_it_is_not_eligible(made: dict[str, Any]) -> None:
    [hit] = made["contamination"].collect()
    assert (hit["id"], hit["reference"], hit["examples"], hit["ngram"]) == (ident("leak"), "bench", [0], 13)
    assert 0.1 < hit["share"] < 0.4
    failed = {key: [reason["rule"] for reason in row["failed"]] for key, row in rows(made["verdicts"]).items()}
    assert failed.pop(ident("leak")) == ["clean"]
    assert len(failed) == 5 and not any("clean" in rules for rules in failed.values())


def test_rows_hold_what_their_contracts_say(made: dict[str, Any]) -> None:
    for name in ("line_counts", "duplicate_lines", "contamination"):
        held = contract.load(name)
        assert tuple(made[name].columns) == held.columns
        assert made[name].count() > 0
        for expression in held.checks.values():
            assert made[name].where(f"NOT ({expression})").count() == 0, (name, expression)
        required = [column.name for column in held.fields if column.required]
        assert made[name].where(" OR ".join(f"{column} IS NULL" for column in required)).count() == 0


def test_the_report_reads_what_was_released(lake: str, made: dict[str, Any]) -> None:
    for name in ("contamination", "runs"):
        contract.create(lake, name)
    assert contamination_report.report(lake) == []
    token = fence.draw(lake, "measure", OLD, None, "put")
    at = table.Commit(lake, "measure", OLD, None, token, {"run_id": "put"}).replace("contamination", made["contamination"])
    run = RunRow(run_id="put", stage="measure", snapshot=OLD, stage_key="k", verdict="passed", fence=token)
    ledger.append_run(lake, run)
    assert contamination_report.report(lake) == []  # a run that looked for no sets
    ledger.append_run(lake, replace(run, fence=token + 1, outputs=[{"table": "contamination", "version": at}]))
    [told] = contamination_report.report(lake)
    assert (told["snapshot"], told["reference"], told["documents"], told["examples met"]) == (OLD, "bench", 1, 1)


def test_the_tables_do_not_hang_on_the_order_of_rows(spark: Any, made: dict[str, Any]) -> None:
    again = line_tables.tables(documents(spark).orderBy("id", ascending=False).repartition(3), Lines())
    for name, frame in again.items():
        assert sorted(map(repr, frame.collect())) == sorted(map(repr, made[name].collect()))


def test_no_text_is_exchanged(spark: Any) -> None:
    pages = documents(spark)
    found = line_tables.lines(pages, Lines())
    exact = line_tables.with_ids(line_tables.duplicates(found, line_tables.counts(found)), pages)
    filtered = line_tables.with_ids(line_tables.duplicates_by_filter(found, pages, Lines(mode="bloom", memory_mb=0.1)), pages)
    for frame in (exact, filtered):
        carried = exchanged(frame)
        assert "key" in carried and "text" not in carried


def test_by_filter_the_first_of_a_shard_keeps_its_line(spark: Any) -> None:
    found = line_tables.tables(documents(spark).repartition(3), Lines(mode="bloom", memory_mb=0.1))
    assert set(found) == {"duplicate_lines"}
    held = rows(found["duplicate_lines"])
    seen: dict[int, set[str]] = {0: set(), 1: set()}
    for n, name in enumerate(sorted(PAGES)):  # their order in the crawl files, shard by shard
        expected = 0
        for line in PAGES[name].lower().split("\n"):
            expected += line in seen[n % 2]
            seen[n % 2].add(line)
        assert (held[ident(name)]["duplicates"] if ident(name) in held else 0) == expected, name
    assert all(0 < row["false_positives"] < 1e-3 for row in held.values())
