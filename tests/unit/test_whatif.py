"""What-if answers equal a run of the changed gate on the same signals, whatever is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake

from crawlmill.cli import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.explain import trial, whatif
from crawlmill.lake import ledger
from crawlmill.lake.ledger import RunRow
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Gate
from crawlmill.text import rules

SNAPSHOT = "CC-MAIN-2026-43"
GATE = {
    "rules": {
        "short": {"signal": "rps_doc_word_count", "op": "min", "limit": 50},
        "lists": {"signal": "fineweb_list_ratio", "op": "max", "limit": 0.3},
        "score": {"signal": "language_score", "op": "min", "limit": 0.65},
        "capitals": {"signal": "rps_doc_frac_all_caps_words", "op": "max", "limit": 0.2, "severity": "flag"},
    },
    "limits": {"deu": {"short": 40}, "srp_Latn": {"short": 60, "lists": None}, "Cyrl": {"short": 30}},
}
LABELS = [("eng", "Latn"), ("deu", "Latn"), ("srp", "Latn"), ("srp", "Cyrl"), ("und", "Zyyy")]
SIZE, SHARDS = 600, 3


def gate(**changes: Any) -> Gate:
    values = recipe.load().slice(["extract", "identify", "measure"])
    return recipe.from_mapping({**values, "gate": {**GATE, **changes}}, base=None).gate


def documents() -> pa.Table:
    """Random documents with values on a coarse grid, so that many lie exactly on a limit."""
    draw = np.random.default_rng(7)
    labels = [LABELS[n] for n in draw.integers(0, len(LABELS), SIZE)]
    nulls = draw.random(SIZE) < 0.05
    return pa.table(
        {
            "snapshot": [SNAPSHOT] * SIZE,
            "shard": pa.array(draw.integers(0, SHARDS, SIZE), pa.int32()),
            "id": [f"<urn:uuid:{n:06d}>" for n in draw.permutation(SIZE)],
            "language": [language for language, _ in labels],
            "language_script": [script for _, script in labels],
            "rps_doc_word_count": draw.integers(2, 9, SIZE) * 10.0,
            "fineweb_list_ratio": pa.array(draw.integers(0, 7, SIZE) / 10, mask=nulls),
            "rps_doc_frac_all_caps_words": draw.integers(0, 5, SIZE) / 10,
            "language_score": draw.integers(50, 80, SIZE) / 100,
            "script_share": np.ones(SIZE),
        }
    )


def verdicts(of: Gate) -> pa.Table:
    """What the stage writes: a tenth of the documents are proposed to be dropped by a hook, whatever the gate says."""
    (batch,) = documents().combine_chunks().to_batches()
    judged = rules.judge(of)(batch)
    rows = judged.to_pylist()
    for row in rows:
        if row["id"].endswith("7>"):
            row["eligible"] = False
            row["failed"].append({"rule": rules.HOOK, "signal": "some_hook", "value": 1.0, "op": "max", "limit": 0.0})
    return pa.Table.from_pylist(rows, schema=judged.schema)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tables as the stages leave them, written in another order each."""
    root = str(tmp_path_factory.mktemp("whatif"))
    every = documents()
    texts = [f"Text {n} of somebody@example.org and more words than are shown. " * 9 for n in range(SIZE)]
    tables = {
        "signals": every.drop_columns(["language_script", "language_score", "script_share"]).sort_by("id"),
        "languages": every.select(["snapshot", "shard", "id", "language_score", "script_share"]).sort_by([("id", "descending")]),
        "verdicts": verdicts(gate()),
        "documents": every.select(["snapshot", "shard", "id"]).append_column("url", pa.array(["https://e.org/"] * SIZE))
        .append_column("text", pa.array(texts)),
        "rewrites": every.select(["snapshot", "shard", "id"]).slice(0, 9).append_column("text", pa.array(["Changed."] * 9)),
    }  # fmt: skip
    for name, rows in tables.items():
        write_deltalake(f"{root}/{name}", rows, partition_by=["snapshot", "shard"])
    contract.create(root, "runs")
    contract.create(root, "quality")
    outputs = [{"table": name, "snapshot": SNAPSHOT, "version": 0} for name in tables if name != "verdicts"]
    row = RunRow("r", "gate", SNAPSHOT, "k", "passed", inputs=outputs, outputs=[{"table": "verdicts", "version": 0}])
    ledger.append_run(root, row)
    return root


def expected(before: Gate, after: Gate) -> dict[str, tuple[int, ...]]:
    """By language: documents, eligible before and after, entering, leaving; by judging everything anew."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for old, new in zip(verdicts(before).to_pylist(), verdicts(after).to_pylist(), strict=True):
        b, a = old["eligible"], new["eligible"]
        found[old["language"]] = found.get(old["language"], np.zeros(5, int)) + np.array([1, b, a, a and not b, b and not a])
    return {language: tuple(int(n) for n in counts) for language, counts in found.items()}


def seen(answer: whatif.Answer) -> dict[str, tuple[int, ...]]:
    return {line.language: (line.documents, line.before, line.after, line.enters, line.leaves) for line in answer.lines}


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "short", "limit": "70"},
        {"rule": "short", "limit": "20.5"},
        {"rule": "short", "limit": "off"},
        {"rule": "short", "limit": "45", "everywhere": True},
        {"rule": "short", "limit": "55", "labels": ("srp",)},
        {"rule": "short", "limit": "55", "labels": ("Latn", "srp_Cyrl")},
        {"rule": "lists", "limit": "0.2"},
        {"rule": "lists", "limit": "off", "labels": ("deu",)},
        {"rule": "score", "limit": "0.6", "everywhere": True},
        {"rule": "capitals", "limit": "0"},
        {"rule": "shouting", "limit": "0.1", "signal": "rps_doc_frac_all_caps_words", "op": "max"},
        {"rule": "short", "limit": "50"},
    ],
    ids=str,
)
def test_one_rule_changed(lake: str, change: dict[str, Any]) -> None:
    after = trial.gate(gate(), **change)
    answer = whatif.compare(lake, SNAPSHOT, gate(), after)
    assert seen(answer) == expected(gate(), after)
    assert answer.total.documents == SIZE
    assert answer.total.after - answer.total.before == answer.total.enters - answer.total.leaves


@pytest.mark.parametrize(
    "changes",
    [
        {
            "rules": {
                **GATE["rules"],
                "lists": {"signal": "fineweb_list_ratio", "op": "max", "limit": 0.1, "languages": ["deu", "Cyrl"]},
            }
        },
        {"rules": {name: GATE["rules"][name] for name in ("lists", "score")}, "limits": {}},
        {"languages": ["deu", "srp_Latn"]},
        {"inverse": ["short"]},
        {"inverse": ["l*", "score"], "languages": ["eng"]},
        {"rules": {**GATE["rules"], "short": {**GATE["rules"]["short"], "severity": "flag"}}},
    ],
    ids=str,
)
def test_another_gate(lake: str, changes: dict[str, Any]) -> None:
    assert seen(whatif.compare(lake, SNAPSHOT, gate(), gate(**changes))) == expected(gate(), gate(**changes))


def test_samples_say_why_and_hide_personal_data(lake: str) -> None:
    after = trial.gate(gate(), "short", "70", everywhere=True)
    answer = whatif.compare(lake, SNAPSHOT, gate(), after, samples=4)
    sides = [sample.side for sample in answer.samples]
    assert sides == ["leaves"] * 4
    judged = {row["id"]: row for row in verdicts(after).to_pylist()}
    changed = [row["id"] for row in verdicts(gate()).to_pylist() if row["eligible"] and not judged[row["id"]]["eligible"]]
    assert [sample.id for sample in answer.samples] == sorted(changed)[:4]
    for sample in answer.samples:
        assert sample.why == judged[sample.id]["failed"]
        assert sample.url == "https://e.org/"
        assert sample.excerpt is not None
        assert sample.excerpt == "Changed." or ("***" in sample.excerpt and len(sample.excerpt) == 200)
    back = whatif.compare(lake, SNAPSHOT, gate(), trial.gate(gate(), "short", "off", everywhere=True), samples=2)
    assert [(sample.side, [reason["rule"] for reason in sample.why]) for sample in back.samples] == [("enters", ["short"])] * 2


def test_verdicts_of_another_recipe_are_refused(lake: str) -> None:
    other = gate(limits={})
    with pytest.raises(UserError, match="follow another recipe: name it with --recipe"):
        whatif.compare(lake, SNAPSHOT, other, other)
    with pytest.raises(UserError, match="CC-MAIN-2026-38 has not passed the gate"):
        whatif.compare(lake, "CC-MAIN-2026-38", gate(), gate())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shrot", "1"], "no rule 'shrot', did you mean 'shrot' -> 'short'"),
        (["short", "much"], "'much' is no number"),
        (["short", "nan"], "'nan' is no number"),
        (["short", "-inf"], "'-inf' is no number"),
        (["short", "1", ("German",)], "'German' is no label"),
        (["new", "1", (), False, "rps_doc_word_cuont", "max"], "no signal 'rps_doc_word_cuont', did you mean"),
    ],
)
def test_wrong_trials(arguments: list[Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        trial.gate(gate(), *arguments)


def test_the_command(lake: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    rest = {key: value for key, value in recipe.load().slice().items() if key != "gate"}
    own.write_text(json.dumps({**rest, "gate": GATE}), encoding="utf-8")
    base = ["what-if", "--lake", lake, "--recipe", str(own)]
    run = CliRunner().invoke(cli, [*base, "--rule", "short", "--limit", "70", "--json", "-n", "1"], catch_exceptions=False)
    found = json.loads(run.output)
    assert found["snapshot"] == SNAPSHOT
    assert found["rules"] == ["short"]
    assert found["total"]["leaves"] > 0 == found["total"]["enters"]
    assert len(found["samples"]) == 1
    shown = CliRunner().invoke(cli, [*base, "--rule", "short", "--limit", "70"], catch_exceptions=False).output
    assert "nothing changes in 2 more languages" in shown
    assert "3 languages and scripts have limits of their own for short" in shown
    assert "rps_doc_word_count" in shown
    with pytest.raises(UserError, match="give --rule and --limit"):
        CliRunner().invoke(cli, base, catch_exceptions=False)


def test_rules_on_reference_sets_read_what_the_gate_reads(lake: str, tmp_path: Path) -> None:
    """The greatest value over the sets of the kind; a document without a row has nothing in common."""
    every = documents()
    rows = [
        {"snapshot": SNAPSHOT, "shard": shard, "id": id_, "kind": kind, "longest": longest, "share": 0.1}
        for n, (shard, id_) in enumerate(zip(every["shard"].to_pylist()[:40], every["id"].to_pylist()[:40], strict=True))
        for kind, longest in (("benchmark", n), ("benchmark", n // 2), ("deny", 99))
    ]
    table = pa.Table.from_pylist(rows).set_column(1, "shard", pa.array([row["shard"] for row in rows], pa.int32()))
    write_deltalake(f"{tmp_path}/contamination", table, partition_by=["snapshot", "shard"])
    ids = pa.chunked_array([pa.array([row["id"] for row in rows if row["shard"] == 1 and row["kind"] == "deny"] + ["absent"])])
    found = whatif._overlaps(str(tmp_path), SNAPSHOT, 1, {"contamination": 0}, ids, ["benchmark_overlap", "allow_share"])
    assert found["benchmark_overlap"].to_pylist() == [
        *(float(row["longest"]) for row in rows[::3] if row["shard"] == 1), 0.0
    ]  # fmt: skip
    assert set(found["allow_share"].to_pylist()) == {0.0}
    trial_gate = trial.gate(gate(), "copied", "8", signal="benchmark_overlap", op="max")
    with pytest.raises(UserError, match="looked for no reference set"):
        whatif.compare(lake, SNAPSHOT, gate(), trial_gate)
