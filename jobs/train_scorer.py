"""Trains a fastText scorer of good texts against others, and reports precision and recall on hosts that it has not seen.

    python jobs/train_scorer.py --positives good.jsonl --negatives crawl.parquet --preset dclm --out models/quality.bin

Data are Delta tables (folders), Parquet or JSON-lines files with a text in each row, and a `host` or `url` by which a tenth of the hosts is held out.
The recipe's entry for the scorer is printed. `crawlmill fit-scores` makes a threshold of it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

from crawlmill import scorer_training as training
from crawlmill.text import scorer_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positives", nargs="+", required=True, help="Delta tables, Parquet or JSON-lines files of good texts")
    parser.add_argument("--negatives", nargs="+", required=True, help="the same of other texts")
    parser.add_argument("--text", default="text", help="column of the text [text]")
    parser.add_argument("--preset", choices=sorted(training.PRESETS), default="dclm")
    parser.add_argument(
        "--prepare", choices=sorted(scorer_file.PREPARATIONS), default="dclm", help="how texts are prepared [dclm]"
    )
    parser.add_argument("--per-label", type=int, default=200_000, help="at most so many texts of either kind [200000]")
    parser.add_argument("--epoch", type=int, help="instead of the preset's")
    parser.add_argument("--quantize", action="store_true", help="a smaller, slower, slightly less exact model")
    parser.add_argument("--languages", nargs="*", help="that the scorer is valid for, e.g. eng")
    parser.add_argument("--out", type=Path, required=True, help="model file to write; its card goes beside it")
    given = parser.parse_args()
    preset = training.PRESETS[given.preset]
    preset = replace(preset, epoch=given.epoch) if given.epoch else preset
    data = (
        training.examples(training.rows_of(names, given.text), good, given.prepare, given.text)
        for names, good in ((given.positives, True), (given.negatives, False))
    )
    texts, held_out = training.split(chain.from_iterable(data), given.per_label)
    card = {"preset": given.preset, "text": given.prepare, "trained_on": len(texts), **asdict(preset)}
    found = training.train(texts, given.out, preset, card, given.quantize)
    scores = training.probabilities(given.out, [one.line for one in held_out])
    print(training.judge(scores.tolist(), [one.good for one in held_out]))
    languages = json.dumps(given.languages) if given.languages else "null"
    print(
        f"\n{given.out.stem}:\n  kind: fasttext\n  path: {given.out.absolute()}\n  sha256: {found}\n  text: {given.prepare}\n  languages: {languages}"
    )


if __name__ == "__main__":
    from crawlmill.errors import CrawlmillError

    try:
        main()
    except CrawlmillError as error:
        raise SystemExit(f"train_scorer: {error}") from None
