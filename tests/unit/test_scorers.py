"""Scorers: fastText on many lines at once, lists, expressions and weights of signals, their languages and files, training and thresholds."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from crawlmill import layout
from crawlmill.cli import cli
from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe_scorers import Scorer
from crawlmill.scoring import scorer_training as training
from crawlmill.text import fasttext_lines, scorer_file
from crawlmill.text.scorers import check, scores
from crawlmill.text.signals import measure
from tests.fixtures import prose

GOOD = ["orchard", "harbour", "lantern", "meadow", "quill", "ember", "willow"]
OTHER = ["cart", "login", "subscribe", "cookie", "banner", "click", "menu"]
COMMON = ["the", "a", "of", "in", "and", "to", "with", "on", "for", "it"]
SMALL = replace(training.PRESETS["dclm"], dim=10, epoch=20, lr=0.5, bucket=1 << 21)


def planted(good: bool, seed: int) -> str:
    draw = random.Random(f"{good}/{seed}")
    return " ".join(draw.choice(COMMON) if draw.random() < 0.7 else draw.choice(GOOD if good else OTHER) for _ in range(60))


def example(good: bool, seed: int) -> training.Example:
    return training.Example(planted(good, seed), good, f"host{seed % 40}.example.org")


EXAMPLES = [example(good, seed) for good in (True, False) for seed in range(200)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scorer") / "quality.bin"
    train, _ = training.split(EXAMPLES)
    training.train(train, out, SMALL, {"text": "dclm"})
    return out


def scorer(kind: str, path: Path | None = None, **more: Any) -> Scorer:
    named = {"path": str(path), "sha256": scorer_file.sha256(path)} if path else {}
    return Scorer.model_validate({"kind": kind, **named, **more})


def test_the_same_probabilities_as_fasttext(trained: Path) -> None:
    import fasttext

    model: Any = fasttext.load_model(str(trained)).f
    lines = [planted(seed % 3 > 0, seed) for seed in range(40)] + [
        "",
        "unknown words alone",
        "Größe 漢字 naïve",
        "x __label__cc y",
        "a" * 300,
    ]
    labels, table = fasttext_lines.load(trained, scorer_file.sha256(trained))(fasttext_lines.read(lines), lines)
    for line, row in zip(lines, table, strict=True):
        expected = {label: score for score, label in model.predict(line + "\n", 2, 0.0, "strict")}
        assert dict(zip(labels, row, strict=True)) == pytest.approx(expected, abs=2e-5)
    alone = [
        fasttext_lines.load(trained, scorer_file.sha256(trained))(fasttext_lines.read([line]), [line])[1][0].tolist()
        for line in lines
    ]
    assert alone == table.tolist()


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models that one against all and quantising made."""
    folder, (train, _) = tmp_path_factory.mktemp("further"), training.split(EXAMPLES)
    paths = {name: folder / f"{name}.bin" for name in ("ova", "small")}
    training.train(train, paths["ova"], replace(SMALL, loss="ova", ngrams=3), {})
    training.train(train, paths["small"], SMALL, {}, quantize=True)
    return paths


def test_models_that_are_asked_together_say_what_each_says_alone(tmp_path: Path, trained: Path, further: dict[str, Path]) -> None:
    paths = [trained, tmp_path / "half.bin", *further.values()]
    training.train(training.split(EXAMPLES)[0][:150], paths[1], SMALL, {})
    files = tuple((path, scorer_file.sha256(path)) for path in paths)
    lines = [planted(seed % 3 > 0, seed) for seed in range(40)] + ["", "unknown words alone"]
    read = fasttext_lines.read(lines)
    for (labels, table), (path, sha256) in zip(fasttext_lines.load_all(files)(read, lines), files, strict=True):
        alone = fasttext_lines.load(path, sha256)(read, lines)
        assert labels == alone[0] and np.array_equal(table, alone[1], equal_nan=True)
    named = {path.stem: scorer("fasttext", path, languages=["eng"] if path is paths[1] else None) for path in paths}
    told = scores(lines, ["deu", "eng"] * 21, {}, named)
    assert (
        all(value is None for value in told["half"][::2]) and told["half"][1] == scores(lines[1:2], ["eng"], {}, named)["half"][0]
    )
    assert told["quality"][:5] == [scores([line], ["deu"], {}, named)["quality"][0] for line in lines[:5]]


def test_one_vs_all_and_quantised_models(further: dict[str, Path]) -> None:
    import fasttext

    lines = [one.line for one in training.split(EXAMPLES)[1]]
    for name, path in further.items():
        model: Any = fasttext.load_model(str(path)).f
        told = training.probabilities(path, lines)
        expected = [dict((b, a) for a, b in model.predict(line + "\n", 2, 0.0, "strict"))["__label__hq"] for line in lines]  # noqa: C402
        # fastText looks its sigmoid up in a table of 512 steps over -8..8: up to 1/128 from the true value.
        assert told == pytest.approx(expected, abs=2e-5 if name == "small" else 8e-3)


def test_a_planted_vocabulary_is_told_on_unseen_hosts(trained: Path) -> None:
    train, held_out = training.split(EXAMPLES)
    assert not {one.host for one in train} & {one.host for one in held_out}
    assert sum(one.good for one in train) * 2 == len(train)
    quality = training.judge(
        training.probabilities(trained, [one.line for one in held_out]).tolist(), [one.good for one in held_out]
    )
    assert quality.auc > 0.95
    assert "precision" in str(quality)


def test_quality_by_hand() -> None:
    quality = training.judge([0.9, 0.6, 0.6, 0.1], [True, True, False, False], [0.5, 0.95])
    assert quality.auc == (2 + 1.5) / 4
    assert quality.points == [(0.5, 2 / 3, 1.0), (0.95, 1.0, 0.0)]


def test_the_same_data_give_the_same_file(tmp_path: Path, trained: Path) -> None:
    train, _ = training.split([*EXAMPLES[::-1], *EXAMPLES[:30]])
    assert training.train(train, tmp_path / "again.bin", SMALL, {}) == scorer_file.sha256(trained)


def test_texts_of_both_kinds_and_too_few(tmp_path: Path) -> None:
    both = [replace(one, good=not one.good) for one in EXAMPLES[:5]]
    train, held_out = training.split([*EXAMPLES, *both])
    assert not {one.line for one in both} & {one.line for one in (*train, *held_out)}
    with pytest.raises(UserError, match="too few to train on"):
        training.split(EXAMPLES[:30])
    with pytest.raises(UserError, match="buckets are too few"):
        training.train(train, tmp_path / "x.bin", replace(SMALL, bucket=100), {})


def test_the_job(tmp_path: Path) -> None:
    for good in (True, False):
        rows = [{"text": planted(good, seed), "url": f"https://h{seed % 30}.example.org/{seed}"} for seed in range(150)]
        (tmp_path / f"{good}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, str(layout.jobs_dir() / "train_scorer.py"), "--positives", str(tmp_path / "True.jsonl")]
    command += [
        "--negatives",
        str(tmp_path / "False.jsonl"),
        "--preset",
        "mathcoder2",
        "--languages",
        "eng",
        "--out",
        str(tmp_path / "q.bin"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "unseen hosts, AUC" in done.stdout
    (tmp_path / "own.yaml").write_text(
        "extends: default\nmeasure:\n  scorers:\n"
        + "".join(f"    {line}\n" for line in done.stdout.split("\n\n")[-1].splitlines())
    )
    told = recipe.load(tmp_path / "own.yaml").measure.scorers["q"]
    assert (told.kind, told.sha256, told.languages) == ("fasttext", scorer_file.sha256(tmp_path / "q.bin"), ("eng",))


def test_a_model_is_used_with_the_preparation_that_it_was_trained_with(trained: Path) -> None:
    named = {"quality": {"kind": "fasttext", "path": str(trained), "text": "letters"}}
    with pytest.raises(UserError, match="was trained with text 'dclm', the recipe says 'letters': write `text: dclm`"):
        recipe.from_mapping({"measure": {"scorers": named}})
    one, other = scores(
        ["an orchard\nin a meadow", "an orchard in a meadow"], ["eng"] * 2, {}, {"q": scorer("fasttext", trained)}
    )["q"]
    assert one == other


def test_preparations() -> None:
    assert scorer_file.PREPARATIONS["dclm"](" a\nb\r\nc\ud800 ") == "a b c?"
    assert scorer_file.PREPARATIONS["craw4llm"]("It's (so)\nGood.") == "it ' s ( so ) good ."
    assert scorer_file.PREPARATIONS["infimm"](f"Add 12 and 3.5 {'x' * 101}") == "add <NUM> and <NUM>.<NUM>"


def test_lists_expressions_and_weights(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# planted\nslot machine\nbonus\n", encoding="utf-8")
    (tmp_path / "expressions.txt").write_text("# planted\n\\bbuy now\\b\n[0-9]+ €\n", encoding="utf-8")
    (tmp_path / "linear.json").write_text(
        json.dumps(
            {"bias": 1, "weights": {"rps_doc_word_count": 2, "rps_doc_mean_word_length": -1}, "mean": {"rps_doc_word_count": 3}}
        )
    )
    named = {
        "words": scorer("words", tmp_path / "words.txt", languages=["eng"]),
        "ads": scorer("regex", tmp_path / "expressions.txt"),
        "linear": scorer("linear", tmp_path / "linear.json"),
    }
    check(named)
    texts = ["Slot-machine bonus, slot bonus!", "buy now 20 € " + "x" * 87, ""]
    signals = {
        name: [measure(text, "eng")[name] for text in texts] for name in ("rps_doc_word_count", "rps_doc_mean_word_length")
    }
    found = scores(texts, ["eng", "deu", "eng"], signals, named)
    assert found["words"] == [pytest.approx(2 / 4), None, None]
    assert found["ads"] == [0.0, pytest.approx(1000 * 2 / len(texts[1])), None]
    counts, lengths = signals.values()
    assert found["linear"][0] == pytest.approx(1 + 2 * (counts[0] - 3) - lengths[0])  # type: ignore[operator]
    assert found["linear"][2] is None


def test_windows_see_the_junk_behind_a_good_head(tmp_path: Path, trained: Path) -> None:
    """Arctic-SnowCoder's: the mean over top, middle and bottom; a page is no better than its parts."""
    good, junk = (" ".join(planted(kind, seed) for seed in range(9)) for kind in (True, False))
    size = len(good) // 3
    texts = [good, good[: 2 * size] + junk[:size], good[:size] + junk[: 2 * size], "", good[:size]]
    whole, parts = scorer("fasttext", trained), scorer("fasttext", trained, windows=size)
    told = scores(texts, ["eng"] * 5, {}, {"whole": whole, "parts": parts})
    assert list(told) == ["whole", "parts"]
    first, second, third, empty, short = told["parts"]
    assert empty is None and first is not None and second is not None and third is not None
    assert first > 0.95 and first > second + 0.2 > third + 0.4
    ends = [good[:size], good[size : 2 * size], junk[:size]]
    alone = scores(ends, ["eng"] * 3, {}, {"whole": whole})["whole"]
    assert second == pytest.approx(sum(value or 0.0 for value in alone) / 3, abs=0.02)
    assert short == pytest.approx(told["whole"][4]), "a short text is one window"
    assert scores([], [], {}, {"whole": whole, "parts": parts}) == {"whole": [], "parts": []}


def test_files_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawlmill.text.scorers._TIMEOUT", 0.5)
    bad = tmp_path / "bad"
    bad.write_text("(")
    for kind, message in (
        ("regex", "no regular expression"),
        ("linear", "no linear scorer"),
        ("fasttext", "no fastText model"),
        ("perplexity", "ARPA"),
    ):
        with pytest.raises(UserError, match=message):
            check({"s": scorer(kind, bad)})
    (tmp_path / "slow").write_text("(a|aa)+$\n")
    with pytest.raises(UserError, match="nested repetitions"):
        scores(["a" * 5000 + "b"], ["eng"], {}, {"s": scorer("regex", tmp_path / "slow")})


@pytest.mark.parametrize(
    ("scorers", "message"),
    [
        ({"a b": {"kind": "external"}}, "is no name for a scorer"),
        ({"a": {"kind": "words"}}, "needs a file: give its `path`"),
        ({"a": {"kind": "external", "path": "x"}}, "has no file: take `path` away"),
        ({"a": {"kind": "words", "path": "/absent"}}, "/absent, which the recipe names, is missing"),
        ({"a": {"kind": "external", "of": ["b"]}}, "`of` names the scorers"),
        ({"a": {"kind": "buckets", "path": "{cuts}", "of": ["b"]}}, "takes buckets of 'b', which is no scorer"),
        ({"a": {"kind": "buckets", "path": "{cuts}", "of": ["c"]}, "c": {"kind": "external"}}, "has no cut points of 'c'"),
        (
            {"a": {"kind": "ccnet", "path": "{cuts}", "of": ["b"]}, "b": {"kind": "external"}},
            "no ascending 2 numbers for each language",
        ),
        ({"a": {"kind": "bertin", "path": "{cuts}", "of": ["b", "b"]}, "b": {"kind": "external"}}, "is made of one score"),
        ({"a": {"kind": "bertin", "path": "{cuts}", "of": []}}, "`of` names the scorers"),
        ({"a": {"kind": "words", "path": "{cuts}", "sha256": "0" * 64}}, "has sha256 .*, not 000"),
        ({"a": {"kind": "external", "windows": 5}}, "reads no text, so it has no windows"),
    ],
)
def test_scorers_that_mean_nothing(tmp_path: Path, scorers: dict[str, Any], message: str) -> None:
    cuts = tmp_path / "cuts.json"
    cuts.write_text('{"cuts": {"b": [1]}}')
    named = {
        name: {key: str(cuts) if value == "{cuts}" else value for key, value in entry.items()} for name, entry in scorers.items()
    }
    with pytest.raises(UserError, match=message):
        recipe.from_mapping({"measure": {"scorers": named}})


def test_a_file_is_in_the_key_by_its_hash(tmp_path: Path) -> None:
    hashes = []
    for folder, words in (("a", "one\n"), ("b", "one\n"), ("c", "two\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "words.txt").write_text(words)
        (tmp_path / folder / "own.yaml").write_text(
            "extends: default\nmeasure: {scorers: {adult: {kind: words, path: words.txt}}}\n"
            "gate: {rules: {adult: {signal: score.adult, op: max, limit: 0.02}}}\n"
        )
        hashes.append(recipe.load(tmp_path / folder / "own.yaml").hash(["measure"]))
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(UserError, match="unknown signal 'score.adlut', did you mean 'score.adlut' -> 'score.adult'"):
        recipe.from_mapping(
            {"gate": {"rules": {"adult": {"signal": "score.adlut", "op": "max", "limit": 1}}}}, tmp_path / "a" / "own.yaml"
        )


def test_thresholds_and_cut_points_of_measured_rows(tmp_path: Path) -> None:
    texts = [{"text": prose.article(n), "language": "eng"} for n in range(12)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    (tmp_path / "words.txt").write_text("bridge\nmill\nthe\n")
    (tmp_path / "own.yaml").write_text("extends: default\nmeasure: {scorers: {places: {kind: words, path: words.txt}}}\n")
    runner = CliRunner()
    measured = str(tmp_path / "measured.parquet")
    done = runner.invoke(cli, ["measure", str(tmp_path / "texts.jsonl"), "--recipe", str(tmp_path / "own.yaml"), "-o", measured])
    assert done.exit_code == 0, done.output
    fitted = tmp_path / "places.tsv"
    done = runner.invoke(
        cli, ["fit-scores", measured, "--scorer", "places", "--share", "0.25", "--min-documents", "5", "-o", str(fitted)]
    )
    assert done.exit_code == 0, done.output
    (tmp_path / "gated.yaml").write_text(
        "extends: own.yaml\ngate: {limits_from: [places.tsv], rules: {places: {signal: score.places, op: min, limit: null}}}\n"
    )
    limit = recipe.load(tmp_path / "gated.yaml").gate.limits["eng"]["places"]
    told = sorted(
        scores([row["text"] for row in texts], ["eng"] * 12, {}, recipe.load(tmp_path / "own.yaml").measure.scorers)["places"]
    )  # type: ignore[type-var]
    assert limit == pytest.approx(told[9], rel=1e-5)
    for parts, size in (("ccnet", 2), ("bertin", 3)):
        done = runner.invoke(cli, ["fit-scores", measured, "--scorer", "places", "--parts", parts, "--min-documents", "5"])
        cuts = json.loads(done.output)["cuts"]["places"]["eng"]
        assert len(cuts) == size and cuts == sorted(cuts) and cuts[0] == pytest.approx(told[3 if parts == "ccnet" else 2])
        (tmp_path / f"{parts}.json").write_text(done.output)
        (tmp_path / "parts.yaml").write_text(
            f"extends: own.yaml\nmeasure: {{scorers: {{part: {{kind: {parts}, path: {parts}.json, of: [places]}}}}}}\n"
            "gate: {rules: {part: {signal: score.part, op: max, limit: 1}}}\n"
        )
        assert recipe.load(tmp_path / "parts.yaml").measure.scorers["part"].of == ("places",)
    for by in ("tokens", "characters", "bytes"):
        done = runner.invoke(cli, ["fit-scores", measured, "--scorer", "places", "--buckets", "--by", by])
        cuts = json.loads(done.output)
        assert cuts["weight"] == by and len(cuts["cuts"]["places"]) == 19
