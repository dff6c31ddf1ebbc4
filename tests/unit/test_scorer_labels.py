"""Texts to train on that nobody has sorted: labels of a model, lists of words, benchmark examples, a second round; and topics of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import ledger, table
from crawlmill.lake.ledger import RunRow
from crawlmill.scoring import clustering, scorer_labels
from crawlmill.scoring import scorer_training as training
from crawlmill.text import scorer_file
from tests.fixtures import lake_tables
from tests.fixtures.lakes import NEW, document, record_id
from tests.unit.test_scorers import GOOD, OTHER, planted


def rows_of(good: int, other: int) -> list[dict[str, Any]]:
    """Texts of two vocabularies, mixed."""
    kinds = [True] * good + [False] * other
    return [
        {"id": f"<{n}>", "text": planted(kind, n), "url": f"https://h{n % 40}.example.org/{n}", "labels": {"score": str(5 if kind else n % 3)}}
        for n, kind in enumerate(kinds)
    ]  # fmt: skip


def good_of(text: str) -> bool:
    return sum(text.count(word) for word in GOOD) > sum(text.count(word) for word in OTHER)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_labels_of_a_model_sort_texts() -> None:
    told = list(scorer_labels.by_label(rows_of(5, 5), "score", 3, []))
    assert [good for _, good in told] == [True] * 5 + [False] * 5
    columns = [{"text": "a", "topic": "science"}, {"text": "b", "topic": "sport"}, {"text": "c"}]
    assert [good for _, good in scorer_labels.by_label(columns, "topic", None, ["science", "health"])] == [True, False]
    for name, message in (("topic", "is 'science', no number"), ("absent", "no row has a label 'absent'")):
        with pytest.raises(UserError, match=message):
            list(scorer_labels.by_label(columns, name, 3, []))


def test_labels_in_a_lake_come_with_the_final_texts(lake: str) -> None:
    table.create_all(lake)
    pages = [document(NEW, n % 2, f"p{n}", f"Text {n}.") for n in range(5)]
    steps = [
        {"shard": page["shard"], "id": page["id"], "hook": "annotate", "version": "1", "position": 0, "outcome": "unchanged", "edits": 0,
         "labels": [("score", str(n))] if n < 3 else None}
        for n, page in enumerate(pages)
    ]  # fmt: skip
    changed = [{"shard": pages[1]["shard"], "id": pages[1]["id"], "text": "Another text."}]
    with pytest.raises(UserError, match="rewrite has not passed"):
        list(scorer_labels.of_lake(lake, NEW))
    inputs = [{"table": "documents", "snapshot": NEW, "version": lake_tables.put(lake, "documents", NEW, pages)}]
    outputs = [
        {"table": name, "version": lake_tables.put(lake, name, NEW, rows)}
        for name, rows in (("rewrites", changed), ("rewrite_steps", steps))
    ]
    ledger.append_run(lake, RunRow("r", "rewrite", NEW, "k", "passed", inputs=inputs, outputs=outputs))
    told = {row["id"]: row for row in scorer_labels.of_lake(lake, NEW)}
    assert {row["text"]: row["labels"] for row in told.values()} == {
        "Text 0.": {"score": "0"}, "Another text.": {"score": "1"}, "Text 2.": {"score": "2"},
    }  # fmt: skip
    assert told[record_id(f"{NEW}/p2")]["host"] == "p2.example.org"
    assert "labels" in contract.load("rewrite_steps").columns


def test_a_list_of_words_is_enough_to_start_with(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# gardens\norchard\nquill\n")
    told = list(scorer_labels.by_words(rows_of(40, 60), tmp_path / "words.txt", 0.2))
    assert sum(good for _, good in told) == 20 and all(good_of(row["text"]) for row, good in told if good)
    assert all(not good_of(row["text"]) for row, good in told if not good)
    (tmp_path / "none.txt").write_text("zebra\n")
    with pytest.raises(UserError, match="no text has a word"):
        list(scorer_labels.by_words(rows_of(5, 5), tmp_path / "none.txt", 0.2))


def test_benchmark_examples_sort_texts() -> None:
    targets = [{"text": planted(True, 1000 + n), "benchmark": "gardens" if n < 8 else "ships"} for n in range(12)]
    assert len(scorer_labels.even(targets)) == 8
    told = list(scorer_labels.by_targets(rows_of(30, 270), targets, 0.1))
    chosen = [good_of(row["text"]) for row, good in told if good]
    assert len(told) == 60 and sum(chosen) / len(chosen) >= 0.9
    twice = list(scorer_labels.by_targets(rows_of(30, 270), [*targets, *targets], 0.1))
    assert [(row["id"], good) for row, good in twice] == [(row["id"], good) for row, good in told]


def test_vectors_that_rows_bring_go_before_our_own() -> None:
    rows = [{"text": f"t{n}", "embedding": [1.0, 0.0] if n < 3 else [0.0, 1.0]} for n in range(30)]
    told = list(scorer_labels.by_targets(rows, [{"text": "x", "embedding": [2.0, 0.1]}], 0.1))
    assert [row["text"] for row, good in told if good] == ["t0", "t1", "t2"]
    for broken in ([1.0], [1.0, float("nan")], ["a", "b"]):
        with pytest.raises(UserError, match="equally many finite numbers"):
            scorer_labels.given([{"embedding": [1.0, 0.0]}, {"embedding": broken}])


def test_two_rounds_at_the_shell(tmp_path: Path) -> None:
    """A broad scorer from nothing but words, then a precise one among what that lets pass, by labels."""
    data = write(tmp_path / "data.jsonl", rows_of(150, 250))
    (tmp_path / "words.txt").write_text("\n".join(GOOD[:4]))
    runner, first, second = CliRunner(), tmp_path / "first.bin", tmp_path / "second.bin"
    common = ["train-scorer", "--data", data, "--preset", "mathcoder2"]
    done = runner.invoke(cli, [*common, "--words", str(tmp_path / "words.txt"), "--share", "0.3", "--out", str(first)])
    assert done.exit_code == 0, done.output
    assert scorer_file.card(first)["sorted_by"] == "words"
    held = [planted(n % 2 == 0, 5000 + n) for n in range(100)]
    prepared = [scorer_file.PREPARATIONS["dclm"](text) for text in held]
    quality = training.judge(training.probabilities(first, prepared).tolist(), [good_of(text) for text in held])
    assert quality.auc > 0.9
    passed = [str(row["id"]) for row in scorer_labels.passing(rows_of(20, 20), first, 0.4)]
    assert set(passed) <= {f"<{n}>" for n in range(40)} and 10 < len(passed) < 40
    within = ["--label", "score", "--least", "2", "--within", str(first), "--within-least", "0.01", "--out", str(second)]
    done = runner.invoke(cli, [*common, *within])
    assert done.exit_code == 0 and "unseen hosts, AUC" in done.output, done.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "say in one way"),
        (["--positives", "x"], "give both --positives and --negatives"),
        (["--data", "x", "--label", "a", "--targets", "y"], "say in one way"),
        (["--label", "a"], "--label sorts texts: give them with --data"),
        (["--snapshot", NEW, "--data", "x", "--label", "a"], "and no --data"),
        (["--data", "x", "--words", "/absent"], "--words /absent is no file"),
        (["--data", "x", "--label", "a", "--within", "/absent"], "--within /absent is no file"),
        (["--data", "/absent.jsonl", "--label", "a"], "cannot be read"),
    ],
)
def test_options_that_do_not_say_what_is_good(given: list[str], message: str) -> None:
    done = CliRunner().invoke(cli, ["train-scorer", *given, "--out", "/nowhere/x.bin"])
    assert message in str(done.exception), done.output
    assert isinstance(done.exception, UserError)


def topics(count: int) -> list[dict[str, Any]]:
    """Three planted topics with a score each."""
    vocabularies = (["river", "bridge", "water"], ["engine", "wheel", "brake"], ["buy", "offer", "price"])
    draw = np.random.default_rng(5)
    return [
        {"id": f"<{n}>", "text": " ".join(draw.choice(vocabularies[n % 3], 30)), "scores": {"quality": 3.0 - n % 3}}
        for n in range(count)
    ]


def test_clusters_are_named_pruned_and_joined() -> None:
    rows = topics(90)
    found, made = clustering.cluster(rows, 3, {"quality": 1.5}, distance=0)
    assert {(n % 3, at) for n, at in enumerate(found.tolist())} == {(found_at, found[found_at]) for found_at in range(3)}
    by_topic = {at: made[int(found[at])] for at in range(3)}
    assert [by_topic[at].means["quality"] for at in range(3)] == [3.0, 2.0, 1.0]
    assert by_topic[2].domain == 0 and sorted(by_topic[at].domain for at in range(2)) == [1, 2]
    assert set(by_topic[0].label.split(", ")) == {"river", "bridge", "water"} and by_topic[1].documents == 30
    _, joined = clustering.cluster(rows, 3, {}, distance=9)
    assert {each.domain for each in joined} == {1}
    with pytest.raises(UserError, match="no row has a score 'edu'"):
        clustering.cluster(rows, 3, {"edu": 1}, 0)


def test_the_verb_writes_what_load_scores_reads(tmp_path: Path) -> None:
    from crawlmill import rowfile
    from crawlmill.scoring import external_scores

    data, out = write(tmp_path / "topics.jsonl", topics(60)), str(tmp_path / "domains.jsonl")
    call = ["cluster", data, "--count", "3", "--least", "quality=1.5", "--distance", "0", "-o", out]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0 and "river" in done.output, done.output
    scores = external_scores.read(rowfile.read(out), out)["climb", "1"]
    assert sorted({value for value, _ in scores.values()}) == [0.0, 1.0, 2.0] and len(scores) == 60
    assert CliRunner().invoke(cli, call).output == done.output
    assert isinstance(CliRunner().invoke(cli, [*call, "--least", "quality"]).exception, UserError)
