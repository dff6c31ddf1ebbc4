"""crawlmill.text.extractor.teaching and the report of the packaged model: folds, labels, scores."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from crawlmill.text.extractor import model as models
from crawlmill.text.extractor import teaching
from crawlmill.text.extractor.report import markdown

PACKAGE = Path(models.__file__).parent


def test_pages_of_a_host_are_in_one_fold_and_hosts_in_all() -> None:
    folds = Counter(teaching.fold(f"host{n}.example", 5) for n in range(500))
    assert sorted(folds) == [0, 1, 2, 3, 4] and min(folds.values()) > 70
    page = teaching.example(None, {"url": "https://WWW.Example.org/x", "source": "s"})
    assert page.host == "example.org"


def test_scores_are_of_shingles() -> None:
    gold = teaching.grams(["a", "b", "c", "d", "e"])
    assert gold == Counter({("a", "b", "c", "d"): 1, ("b", "c", "d", "e"): 1})
    assert teaching.score_tokens(gold, ["a", "b", "c", "d", "x"]) == (1, 1, 1)
    assert teaching.score_tokens(gold, []) == (0, 0, 2)
    assert teaching.f1([(1, 1, 1), (0, 0, 2)]) == pytest.approx(
        2 * 0.5 * 0.25 / 0.75
    )  # precision of pages with text, recall of all


def test_labels_are_shares_of_the_gold_text() -> None:
    pytest.importorskip("rapidfuzz", reason="the extra `train` is not installed")
    blocks = [["home", "about"], ["one", "two", "three", "four", "five"], ["six"], ["buy", "now", "cheap", "things", "here"]]
    label, weight = teaching.labels(blocks, ["one", "two", "three", "four", "five", "six"])
    assert label.tolist() == [0.0, 1.0, 1.0, 0.0] and weight[1] > weight[0]


def test_the_packaged_report_is_of_the_packaged_model() -> None:
    report = json.loads((PACKAGE / "training.json").read_text(encoding="utf-8"))
    trained = models.model()
    assert report["trees"] == [len(trained.first.feature), len(trained.second.feature)]
    assert (PACKAGE / "training.md").read_text(encoding="utf-8") == markdown(report)
