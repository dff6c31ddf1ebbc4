"""What a banding does: the S-curve, counts against a simulation, the recommendation, and bad input."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasketch import MinHashLSH

from crawlmill import cli
from crawlmill.dedup import plan_dedup
from crawlmill.dedup.plan_dedup import Corpus, meets, plan, recommend
from crawlmill.errors import UserError
from crawlmill.recipes.recipe import Sketch
from crawlmill.text.minhash import band_keys, signatures


@pytest.mark.parametrize(
    ("bands", "rows", "similarity", "expected"),
    [
        (14, 8, 0.75, 0.772),
        (14, 8, 0.8, 0.924),
        (20, 13, 0.8, 0.68),
        (25, 10, 0.8, 0.94),
        (15, 15, 0.8, 0.42),
        (450, 20, 0.8, 0.995),
    ],
)
def test_the_curve_has_the_values_that_are_known(bands: int, rows: int, similarity: float, expected: float) -> None:
    """FineWeb's 14 x 8 at .75 as FineWeb states it; NeMo Curator's, bigcode's and RefinedWeb's bandings."""
    assert meets(similarity, bands, rows) == pytest.approx(expected, abs=0.006)


def test_the_curve_is_what_real_signatures_do() -> None:
    """500 pairs of sets of similarity .6, .7 and .8: the share that meets is the curve's, within three standard deviations."""
    options, pairs, size = Sketch(), 500, 600
    draw = np.random.default_rng(3)
    for similarity in (0.6, 0.7, 0.8):
        shared = round(2 * size * similarity / (1 + similarity))
        met = 0
        for _ in range(pairs):
            members = draw.choice(1 << 24, size=2 * size - shared, replace=False).astype(np.uint32)
            both = np.concatenate([np.sort(members[:size]), np.sort(members[size - shared :])])
            keys = band_keys(signatures(both, np.array([size, size]), options), options)
            met += bool((keys[0] == keys[1]).any())
        expected = meets(shared / (2 * size - shared), options.bands, options.rows)
        assert abs(met / pairs - expected) < 3 * math.sqrt(expected * (1 - expected) / pairs)


def test_half_of_the_pairs_meet_at_the_half_point() -> None:
    assert meets(plan_dedup.half_point(14, 8), 14, 8) == pytest.approx(0.5)


def test_counts_are_those_of_the_assumed_pairs() -> None:
    """All pairs at one step: what is found is their number times the mean of the curve there; a step below counts as false."""
    corpus = Corpus(1_000_000, background=0.0, similarities={0.8: 10.0, 0.7: 4.0})
    found = plan(corpus, 14, 8, 0.8)
    assert found.true_pairs == pytest.approx(10_000)
    mean = np.mean([meets(0.8 + 0.05 * (part + 0.5) / 10, 14, 8) for part in range(10)])
    assert found.found == pytest.approx(10_000 * mean)
    assert found.found + found.missed == pytest.approx(10_000)
    assert 4_000 * meets(0.7, 14, 8) < found.false_candidates < 4_000 * meets(0.75, 14, 8)
    assert found.unrelated == 0


def test_costs_grow_with_the_corpus_and_the_memory_of_a_task_does_not() -> None:
    small, large = (plan(Corpus(n), 14, 8, 0.8) for n in (10_000_000, 1_000_000_000))
    assert large.bands_shuffle == pytest.approx(100 * small.bands_shuffle)
    assert large.stored_bytes == pytest.approx(100 * small.stored_bytes)
    assert large.partitions == pytest.approx(100 * small.partitions, rel=0.05)
    assert large.task_memory == pytest.approx(small.task_memory, rel=0.1)


def test_a_hot_corpus_is_capped_as_the_engine_caps_it() -> None:
    crowded = Corpus(1_000_000, similarities={0.9: 1e9}, top=8)
    assert plan(crowded, 14, 8, 0.8).compared == 8 * 14 * 1_000_000


def test_the_recommendation_reaches_the_recall_and_nothing_cheaper_does() -> None:
    corpus = Corpus(1_000_000_000)
    best = recommend(corpus, 0.75, 0.95)
    assert best.at_threshold >= 0.95 and best.permutations <= 256
    for bands in range(1, 63):
        for rows in range(1, 256 // bands + 1):
            other = plan(corpus, bands, rows, 0.75) if rows <= 32 else None
            assert other is None or other.at_threshold < 0.95 or other.cpu_seconds >= best.cpu_seconds


def test_no_banding_may_do() -> None:
    with pytest.raises(UserError, match="no banding of up to 4 permutations and 62 bands finds 99.9% of the pairs at 0.3"):
        recommend(Corpus(1_000), 0.3, 0.999, 4)


def test_datasketch_chooses_by_another_measure() -> None:
    index = MinHashLSH(threshold=0.7, num_perm=64)
    assert plan_dedup.datasketch_optimum(0.7, 64) == (index.b, index.r)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"documents": 0}, "documents is 0"),
        ({"shingles": 0.5}, "shingles is 0.5"),
        ({"distinct": 2.0}, "distinct is 2"),
        ({"background": -1.0}, "background is -1"),
        ({"similarities": {1.5: 3.0}}, "similarities"),
        ({"similarities": {0.5: -3.0}}, "similarities"),
    ],
)
def test_numbers_out_of_range_are_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        plan(Corpus(**{"documents": 1_000, **wrong}), 14, 8, 0.8)


@pytest.mark.parametrize(("bands", "rows", "threshold"), [(0, 8, 0.8), (63, 8, 0.8), (14, 0, 0.8), (14, 8, 0.0), (14, 8, 1.1)])
def test_bandings_out_of_range_are_named(bands: int, rows: int, threshold: float) -> None:
    with pytest.raises(UserError, match=r"(bands|rows|threshold) is "):
        plan(Corpus(1_000), bands, rows, threshold)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["crawlmill", "plan-dedup", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_the_verb_prints_curve_costs_assumptions_and_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--documents", "5000000", "--threshold", "0.8") == 0
    out = capsys.readouterr().out
    assert "0.80     0.9235" in out and "<- threshold" in out
    assert "assumed: pairs at each similarity are those measured" in out and "5,000,000 documents" in out
    assert "14 x 8 finds 92.4% of the pairs at 0.8. Recommended for at least 90.0% at 0.8: bands: " in out


def test_the_verb_prints_json_of_a_table_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.json"
    table.write_text('{"0.85": 100}')
    assert call(monkeypatch, "--documents", "1000", "--similarities", str(table), "--bands", "9", "--rows", "12", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["similarities"] == {"0.85": 100.0}
    assert (shown["asked"]["bands"], shown["asked"]["rows"]) == (9, 12)
    assert shown["asked"]["true_pairs"] == pytest.approx(100)
    assert shown["recommended"]["at_threshold"] >= 0.9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recall", "1"), "--recall is 1"),
        (("--bands", "0"), "bands is 0"),
        (("--similarities", "/nowhere.json"), "/nowhere.json cannot be read"),
        (("--documents", "many"), "many"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *arguments) == 2
    err = capsys.readouterr().err.strip()
    assert words in err and "\n" not in err


@pytest.mark.parametrize("content", ["[1, 2]", "not json", '{"a": "b"}', '{"0.5": null}'])
def test_a_table_of_another_shape_is_refused(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.json"
    table.write_text(content)
    assert call(monkeypatch, "--similarities", str(table)) == 2
    assert "is no table of similarities" in capsys.readouterr().err
