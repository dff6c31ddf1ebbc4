"""Fits the weights by which language identification weighs its opinions (jobs/crawlmill/text/data/language_opinions.yaml).

    python jobs/fit_language.py texts.jsonl --out weights.yaml

The texts are rows with `text` and `lang` (ISO 639-3), in languages that the model knows and in others that it does not. Each candidate
language of a text is a case, right or wrong; the weights are those of a logistic regression over all cases, by Newton's method with a small
ridge. A quarter of the *languages* is held out for the report, then all are fitted. The shipped weights come from
`tests/bench/langid_texts.py`: translations of programs, none of the texts that `tests/bench/identify.py` reports on.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from crawlmill import rowfile
from crawlmill.text import language_opinions as opinions
from crawlmill.text.language_labels import fitting, individual
from crawlmill.text.language_model import Model, entry, load
from crawlmill.text.script import shares

Floats = NDArray[np.float64]
RIDGE = 3.0
STEPS = 30


@dataclass(frozen=True)
class Cases:
    """One row per candidate: its features, whether it is the text's language, and whose text it is."""

    features: Floats
    right: NDArray[np.bool_]
    text: NDArray[np.intp]
    truth: list[str]  # by text


def cases(file: str, model: Model) -> Cases:
    """The candidates of all labelled texts of a file."""
    blank = opinions.Opinions((0.0,) * len(opinions.FEATURES), model.languages, opinions.scripts_of(), model.sha256)
    features: list[list[float]] = []
    right, owner, truth = [], [], []
    for number, row in enumerate(rowfile.read(file)):
        scripts, letters = shares(str(row["text"]))
        guesses, said = model.guess(str(row["text"])), opinions.cld2(str(row["text"]))
        names = [name for name in blank.names(guesses, said) if fitting(blank.scripts.get(name, ()), scripts)]
        features += blank.features(str(row["text"]), names, guesses, said, letters, next(iter(scripts), "Zyyy"))
        truth.append(individual(str(row["lang"])))
        right += [name == truth[-1] for name in names]
        owner += [number] * len(names)
    return Cases(np.array(features), np.array(right), np.array(owner), truth)


def fit(features: Floats, right: NDArray[np.bool_]) -> Floats:
    """Weights of the logistic regression of `right` on the features, with a ridge on all but the first."""
    weights = np.zeros(features.shape[1])
    ridge = np.full(len(weights), RIDGE)
    ridge[0] = 0.0
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-features @ weights))
        slope = features.T @ (right - p) - ridge * weights
        curve = (features * (p * (1 - p))[:, None]).T @ features + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return weights


def report(found: Cases, weights: Floats, known: frozenset[str], chosen: NDArray[np.bool_]) -> str:
    """Known texts lost and unknown ones kept, by limit of the score, for the chosen texts."""
    scores = 1 / (1 + np.exp(-found.features @ weights))
    best = np.zeros(len(found.truth))
    np.maximum.at(best, found.text, scores)
    is_known = np.array([name in known for name in found.truth])
    lines = ["limit  known lost  unknown kept"]
    for limit in (0.3, 0.5, 0.65, 0.8):
        lost = float(np.mean(best[chosen & is_known] < limit))
        kept = float(np.mean(best[chosen & ~is_known] >= limit))
        lines.append(f"{limit:5.2f}  {lost:10.3f}  {kept:12.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python jobs/fit_language.py labelled.jsonl --out opinions.yaml",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("texts", help="rows with `text` and `lang`: JSON lines or Parquet")
    parser.add_argument("--model", default="lid.176.ftz")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = load(entry(given.model))
    found = cases(given.texts, model)
    held_out = np.array([zlib.crc32(name.encode()) % 4 == 0 for name in found.truth])
    fitted = ~held_out[found.text]
    print(f"{len(found.truth)} texts, {len(found.right)} candidates; a quarter of the languages held out:")
    print(report(found, fit(found.features[fitted], found.right[fitted]), model.languages, held_out))
    weights = fit(found.features, found.right)
    values = {name: round(float(weight), 4) for name, weight in zip(opinions.FEATURES, weights, strict=True)}
    head = "# Weights of the opinions about a text's language, see language_opinions.py. Written by jobs/fit_language.py from translations of programs\n"
    head += "# (tests/bench/langid_texts.py: LibreOffice, Firefox, VLC and Tux Paint in Debian 12); lingua's and UDHR's texts had no part in it.\n"
    given.out.write_text(head + yaml.safe_dump({"model": model.sha256, "weights": values}, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main()
