"""Trains fastText classifiers of good against other texts, and says how good they are on hosts that they have not seen.

Presets are those of published pipelines: `dclm` (Li et al. 2024: word bigrams, rate .1, 5 epochs), `preselect` (Shum et al. 2025: 3 epochs),
`mathcoder2` (Lu et al. 2024: rate .5, dimension 50, one-vs-all; its 200,000 buckets are doubled here, see `fasttext_training`). One thread, unless more are
asked for, and texts in the order of their hashes, so the same data give the same file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.scoring import fasttext_training
from crawlmill.text import fasttext_lines, scorer_file

HELD_OUT = 10  # one host of so many
GOOD, OTHER = "__label__hq", "__label__cc"  # DCLM's labels
MORE = ("id", "host", "url", "labels", "embedding", "benchmark")  # columns of a table that are read besides the text
LEAST = 20  # texts of each kind to train on


@dataclass(frozen=True)
class Preset:
    """What fastText is told."""

    epoch: int
    lr: float
    dim: int = 100
    ngrams: int = 2
    bucket: int = 2_000_000
    loss: str = "softmax"


PRESETS: Mapping[str, Preset] = {
    "dclm": Preset(epoch=5, lr=0.1),
    "preselect": Preset(epoch=3, lr=0.1),
    "mathcoder2": Preset(epoch=5, lr=0.5, dim=50, bucket=400_000, loss="ova"),
}


@dataclass(frozen=True)
class Example:
    """A prepared text, whether it is good, and its host (None: unknown)."""

    line: str
    good: bool
    host: str | None = None


def rows_of(names: Iterable[str], column: str = "text") -> Iterator[dict[str, Any]]:
    """Rows of Delta tables (folders), Parquet and JSON-lines files. Raises UserError for one without the column."""
    for name in names:
        for number, row in enumerate(_rows(name, column), 1):
            if not isinstance(row.get(column), str):
                raise UserError(f"{name} row {number} has no text in column {column!r}: name the column with --text")
            yield row


def _rows(name: str, column: str) -> Iterator[dict[str, Any]]:
    if (Path(name) / "_delta_log").is_dir():
        from deltalake import DeltaTable

        table = DeltaTable(name).to_pyarrow_dataset()
        wanted = [known for known in (column, *MORE) if known in table.schema.names]
        for batch in table.to_batches(columns=wanted):
            yield from batch.to_pylist(maps_as_pydicts="strict")
    else:
        yield from rowfile.read(name)


def examples(labelled: Iterable[tuple[Mapping[str, Any], bool]], text: str, column: str = "text") -> Iterator[Example]:
    """Rows, each with whether it is good, as examples; the host is the row's `host`, else that of its `url`."""
    prepare = scorer_file.PREPARATIONS[text]
    for row, good in labelled:
        if line := prepare(row[column]):
            host = row.get("host") or (urlsplit(str(row["url"])).hostname if row.get("url") else None)
            yield Example(line, good, str(host) if host else None)


def split(given: Iterable[Example], per_label: int = 200_000) -> tuple[list[Example], list[Example]]:
    """(to train on, held out): equal texts once, those of both kinds not at all, as many of either kind, hosts on one side only.

    Raises:
        UserError: fewer than LEAST texts of a kind are left to train on.
    """
    found: dict[bytes, Example | None] = {}
    for example in given:
        key = hashlib.sha256(example.line.encode("utf-8", "replace")).digest()
        before = found.setdefault(key, example)
        if before is not None and before.good != example.good:
            found[key] = None
    train: dict[bool, list[Example]] = {True: [], False: []}
    held: dict[bool, list[Example]] = {True: [], False: []}
    for key in sorted(found):
        if (one := found[key]) is not None:
            place = hashlib.sha256(one.host.encode("utf-8", "replace")).digest() if one.host else key
            (held if int.from_bytes(place[-4:], "big") % HELD_OUT == 0 else train)[one.good].append(one)
    size = min(per_label, *(len(part) for part in train.values()))
    if size < LEAST:
        raise UserError(
            f"{size} texts of one kind are too few to train on: give at least {LEAST} different ones of each, of several hosts"
        )
    mixed = [one for pair in zip(train[True][:size], train[False][:size], strict=True) for one in pair]
    return mixed, [*held[True], *held[False]]


def train(
    texts: Sequence[Example], out: Path, preset: Preset, card: Mapping[str, Any], quantize: bool = False, threads: int = 1
) -> str:
    """Train, write the model and its card beside it; returns the model's sha256. Only on one thread do the same texts give the same file."""
    labelled = ((one.line, (GOOD if one.good else OTHER).removeprefix("__label__")) for one in texts)
    fasttext_training.train(
        labelled, out, preset.bucket, preset.dim, quantize, threads,
        epoch=preset.epoch, lr=preset.lr, wordNgrams=preset.ngrams, loss=preset.loss, minn=0, maxn=0,
    )  # fmt: skip
    found = scorer_file.sha256(out)
    written = json.dumps({**card, "label": GOOD, "sha256": found}, indent=1, sort_keys=True) + "\n"
    scorer_file.card_path(out).write_text(written, encoding="utf-8")
    return found


def probabilities(path: Path, lines: Sequence[str], label: str = GOOD) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The probability of a label for each prepared line."""
    model, found = fasttext_lines.load(path, scorer_file.sha256(path)), []
    for start in range(0, len(lines), 512):
        part = lines[start : start + 512]
        labels, table = model(fasttext_lines.read(part), part)
        found.append(table[:, labels.index(label)])
    return np.concatenate(found) if found else np.zeros(0)


@dataclass(frozen=True)
class Quality:
    """On texts held out: of each threshold its precision and recall, and the chance that a good text scores above another one (AUC)."""

    good: int
    other: int
    auc: float
    points: list[tuple[float, float, float]]

    def __str__(self) -> str:
        head = f"{self.good} good and {self.other} other texts of unseen hosts, AUC {self.auc:.4f}\n threshold  precision  recall"
        return "\n".join([head, *(f"{t:10.4f} {p:10.3f} {r:7.3f}" for t, p, r in self.points)])


def judge(scores: Sequence[float], good: Sequence[bool], thresholds: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9)) -> Quality:
    """Precision and recall of `score >= threshold`; both kinds must be there."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(good, dtype=bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        raise UserError("nothing of one kind is held out: give texts of more hosts, so that one in ten can be kept apart")
    ordered = np.sort(values[~truth])
    below = np.searchsorted(ordered, values[truth], side="left") + np.searchsorted(ordered, values[truth], side="right")
    points = []
    for threshold in thresholds:
        taken = values >= threshold
        hits = int((taken & truth).sum())
        points.append((float(threshold), hits / int(taken.sum()) if taken.any() else 1.0, hits / positives))
    return Quality(positives, negatives, float(below.sum() / 2 / positives / negatives), points)
