"""Texts made worse: the same each time, never the text itself, in every script, and told from the text by a scorer."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from crawlmill.cli import cli
from crawlmill.text.corruption import corrupted
from tests.fixtures import prose

TEXTS = [
    *(prose.article(n) for n in range(40)),
    "河は岸から凍る。それから溶ける。船は待つ。",
    "one",
    "one one one",
    "a b",
    "ไทย ไม่มีช่องว่าง",
]

WORDS = "the ferry waits in harbour until ice breaks and then carries grain to a mill below old bridge"


def test_never_the_text_itself_and_the_same_each_time() -> None:
    for text in TEXTS:
        for seed in range(8):
            found = corrupted(text, seed)
            assert found != text and found.strip() == found and found
            assert found == corrupted(text, seed)
    assert len({corrupted(TEXTS[0], seed) for seed in range(20)}) == 20
    assert corrupted("") == corrupted(" ... ") == ""


def test_no_word_is_new() -> None:
    for text in TEXTS[:40]:
        words = set(text.split())
        assert all(not Counter(corrupted(text, seed).split()).keys() - words for seed in range(10))


def test_a_scorer_tells_texts_from_their_corruption(tmp_path: Path) -> None:
    """Nothing but the order of words and sentences differs, so a student that tells them apart has learnt that."""
    words, rows = list(dict.fromkeys(WORDS.split())), []
    for number in range(400):
        sentences = [" ".join(words[(7 * number + n + at) % len(words)] for at in range(15)) for n in range(4)]
        rows.append({"text": f"{'. '.join(sentences)} {number}.", "host": f"site{number % 50}.example"})
    (tmp_path / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--corrupt", "--preset", "mathcoder2", "--epoch", "20", "--out", str(tmp_path / "order.bin")]
    done = CliRunner().invoke(cli, ["train-scorer", "--positives", str(tmp_path / "good.jsonl"), *options])
    assert done.exit_code == 0, done.output
    assert float(done.output.split("AUC ")[1].split()[0]) > 0.9
    assert json.loads((tmp_path / "order.bin.card.json").read_text())["sorted_by"] == "corruption"


@pytest.mark.parametrize("more", [[], ["--negatives", "x", "--corrupt"]])
def test_negatives_come_from_one_place(tmp_path: Path, more: list[str]) -> None:
    done = CliRunner().invoke(cli, ["train-scorer", "--positives", "x", *more, "--out", str(tmp_path / "m.bin")])
    assert "or --corrupt in place of these" in str(done.exception)
