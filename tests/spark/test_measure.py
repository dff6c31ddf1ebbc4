"""The stage measure with what a recipe may ask for: lines with their spans, and files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from crawlmill.explain import trial, whatif
from crawlmill.lake import ledger, table
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe_scorers import Scorer
from crawlmill.scoring import external_scores
from crawlmill.text import selection
from crawlmill.text.signals import LINES, SIGNALS, measure, measure_lines
from tests.fixtures.lakes import NEW, put_documents, record_id, run

PAGES = {
    "river": "The river is wide and slow in summer.\nWe cross it by boat every morning, and we like it.",
    "chinese": "我们在学习汉字。\n他们喜欢中国。",
    "thai": "แม่น้ำนี้กว้างมาก ผมชื่อสมชาย",
}


@pytest.fixture(scope="module")
def rewritten(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake whose pages came as far as `rewrite`: what measure is asked for changes nothing before it."""
    lake = str(tmp_path_factory.mktemp("lakes") / "rewritten")
    put_documents(lake, NEW, PAGES)
    for stage in ("identify", "rewrite"):
        run(spark, lake, stage, NEW)
    return lake


@pytest.fixture
def lake(rewritten: str, tmp_path: Path) -> str:
    """A copy of it for each test."""
    return str(shutil.copytree(rewritten, tmp_path / "lake"))


def test_lines_and_lists_on_request(spark: Any, lake: str, tmp_path: Path) -> None:
    domains = tmp_path / "domains.json"
    domains.write_text('{"river.example.org": 7}')
    recipe = tmp_path / "recipe.yaml"
    listed = f"{{path: {domains}, sha256: {hashlib.sha256(domains.read_bytes()).hexdigest()}}}"
    recipe.write_text(f"extends: default\nmeasure: {{lines: true, bad_domains: {listed}}}\n")
    run(spark, lake, "measure", NEW, recipe)
    rows = {
        row["id"]: row.asDict(recursive=True)
        for row in table.read(spark, lake, "signals", table.version(lake, "signals")).collect()
    }
    for name, text in PAGES.items():
        row = rows[record_id(f"{NEW}/{name}")]
        expected = measure(text, row["language"]) | {"rps_doc_ut1_blacklist": 7.0 if name == "river" else None}
        assert {signal: row[signal] for signal in SIGNALS} == expected
        assert row[LINES] == measure_lines(text)


def test_scores_in_signals_gate_and_quality(spark: Any, lake: str, tmp_path: Path) -> None:
    """Scorers of the text, scores from elsewhere and their buckets: joined by id, missing ones null and counted, read by rules."""
    (tmp_path / "words.txt").write_text("river\nboat\n")
    (tmp_path / "cuts.json").write_text(json.dumps({"cuts": {"edu": [1, 2, 3], "water": [0.1, 0.5]}}))
    (tmp_path / "own.yaml").write_text(
        "extends: default\nmeasure:\n  scorers:\n    water: {kind: words, path: words.txt, languages: [eng]}\n"
        "    edu: {kind: external, version: '7', scorer: teacher}\n    bucket: {kind: buckets, path: cuts.json, of: [edu, water]}\n"
        "gate: {rules: {'*': null, edu: {signal: score.edu, op: min, limit: 2.5}}}\n"
    )
    given = [
        {"id": record_id(f"{NEW}/{name}"), "scorer": "teacher", "version": "7", "value": n}
        for name, n in (("river", 2), ("thai", 3))
    ]
    external_scores.load(lake, NEW, external_scores.read(given, "rows"))
    for stage in ("measure", "gate"):
        run(spark, lake, stage, NEW, tmp_path / "own.yaml")
    rows = {row["id"]: row for row in table.read(spark, lake, "signals", table.version(lake, "signals")).collect()}
    told = {name: rows[record_id(f"{NEW}/{name}")]["scores"] for name in PAGES}
    assert told["river"] == {"water": 2 / 19, "edu": 2.0, "bucket": 2.0}
    assert told["thai"] == {"water": None, "edu": 3.0, "bucket": 3.0}
    assert told["chinese"] == {"water": None, "edu": None, "bucket": None}
    verdicts = table.read(spark, lake, "verdicts", table.version(lake, "verdicts")).collect()
    assert {row["id"] for row in verdicts if not row["eligible"]} == {record_id(f"{NEW}/river")}
    quality = {row["expectation"]: row for row in ledger.quality(lake, NEW) if row["table"] == "signals"}
    assert json.loads(quality["scores_present"]["observed"])["edu"] == {"documents": 3, "missing": 1, "share": 0.333333}
    before, after = (recipe.load(tmp_path / "own.yaml").gate for _ in range(2))
    assert whatif.compare(lake, NEW, before, trial.gate(after, "edu", "1.5")).total.enters == 1
    done = run(spark, lake, "measure", NEW, tmp_path / "own.yaml")
    external_scores.load(lake, NEW, external_scores.read(given[:1], "rows"))
    assert run(spark, lake, "measure", NEW, tmp_path / "own.yaml").run_id != done.run_id


def test_parts_and_samples_by_perplexity_as_the_formulas_say(spark: Any, tmp_path: Path) -> None:
    """CCNet's head, middle and tail, and BERTIN's sampling, worked out by Spark: the same numbers as the functions give."""
    quartiles = (536394.99, 662247.50, 919250.87)
    (tmp_path / "ccnet.json").write_text(json.dumps({"cuts": {"ppl": {"spa": [200, 300], "fin": [2, 3]}}}))
    (tmp_path / "bertin.json").write_text(json.dumps({"cuts": {"ppl": {"spa": quartiles}}}))
    common = {"of": ["ppl"], "languages": ["spa", "fin", "eng"]}
    made = {
        "part": Scorer(kind="ccnet", path=str(tmp_path / "ccnet.json"), **common),
        "even": Scorer(kind="bertin", path=str(tmp_path / "bertin.json"), seed=7, **common),
        "steps": Scorer(kind="bertin", path=str(tmp_path / "bertin.json"), form="stepwise", seed=7, **common),
        "more": Scorer(kind="bertin", path=str(tmp_path / "bertin.json"), factor=0.9, **common),
    }
    values = [("spa", 199.9), ("spa", 200.0), ("spa", 300.0), ("fin", 2.5), ("eng", 1.0), ("deu", 1.0), ("spa", None)]
    values += [("spa", quartile) for quartile in quartiles] + [("spa", 2e6)]
    rows = [(f"<urn:uuid:{n}>", language, {"ppl": value}) for n, (language, value) in enumerate(values)]
    frame = spark.createDataFrame(rows, "id string, language string, scores map<string,double>")
    found = frame.select(
        "id", "language", "scores.ppl", *(external_scores.MADE[one.kind](one).alias(name) for name, one in made.items())
    )
    told = {row["id"]: row for row in found.collect()}
    assert [told[f"<urn:uuid:{n}>"]["part"] for n in range(7)] == [0.0, 1.0, 2.0, 1.0, None, None, None]
    for row in told.values():
        if row["language"] != "spa" or row["ppl"] is None:
            assert row["even"] is row["steps"] is None
            continue
        drawn = {seed: selection.chance(row["id"], seed) for seed in (0, 7)}
        assert row["even"] == pytest.approx(selection.bertin_gaussian(row["ppl"], quartiles[1]) - drawn[7], abs=1e-12)
        assert row["steps"] == pytest.approx(selection.bertin_stepwise(row["ppl"], quartiles) - drawn[7], abs=1e-12)
        assert row["more"] == pytest.approx(selection.bertin_gaussian(row["ppl"], quartiles[1], 0.9) - drawn[0], abs=1e-12)
