"""Good and other texts to train a scorer on, where nobody has sorted them: by labels of a model, by a list of words, by benchmark examples.

* labels: annotate, then distil (FineWeb-Edu, Biomed-Enriched, InfiMM-WebMath): a model has labelled a sample, the scorer learns it;
* words: to start from nothing: the texts with the greatest share of listed words, against texts without any;
* targets: BETR (Mizrahi et al. 2025): the texts that stand first for some benchmark example, against others by chance;
* a second round (MathCoder2, InfiMM-WebMath): of all these, only the texts that an earlier, broader scorer lets pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crawlmill.errors import UserError
from crawlmill.scoring import scorer_training as training
from crawlmill.text import embedding, scorer_file, scorers, selection

Row = Mapping[str, Any]
Labelled = Iterator[tuple[Row, bool]]
VECTOR = "embedding"  # a column of numbers, where a job elsewhere has made better vectors
_BATCH = 512


def by_label(rows: Iterable[Row], name: str, least: float | None, values: Sequence[str]) -> Labelled:
    """Rows with a label: good where it is at least `least`, or one of `values`. The label is `labels[name]`, else a column of that name.

    Raises:
        UserError: no row has the label, or one is no number where `least` asks for it.
    """
    found = 0
    for number, row in enumerate(rows, 1):
        value = dict(row.get("labels") or {}).get(name, row.get(name))
        if value is None:
            continue
        found += 1
        if values:
            yield row, str(value) in values
            continue
        try:
            yield row, float(value) >= (least or 0.0)
        except (TypeError, ValueError):
            raise UserError(
                f"row {number}: label {name!r} is {value!r}, no number: say which values are good with --values"
            ) from None
    if not found:
        raise UserError(f"no row has a label {name!r}: give what an annotating hook wrote, or another --label")


def of_lake(lake: str, snapshot: str) -> Iterator[dict[str, Any]]:
    """Documents of a snapshot that an annotating hook has labelled: url, host, text as the hook saw it or later hooks left it, labels.

    Raises:
        UserError: rewrite has not passed for the snapshot.
    """
    from crawlmill.lake import ledger, pins
    from crawlmill.rows.lookup import Reader, part

    run = ledger.released(lake, "rewrite", snapshot)
    if run is None:
        raise UserError(f"rewrite has not passed for {snapshot}, so no hook has labelled anything: ingest the snapshot first")
    at, reader = pins.of(run), Reader(lake)
    labelled: dict[int, dict[str, dict[str, str]]] = {}
    for row in reader.rows("rewrite_steps", at["rewrite_steps", snapshot], part(snapshot), ["shard", "id", "labels"]):
        if row["labels"]:
            labelled.setdefault(row["shard"], {}).setdefault(row["id"], {}).update(dict(row["labels"]))
    for shard, own in sorted(labelled.items()):
        changed = {
            row["id"]: row["text"]
            for row in reader.by_id("rewrites", at["rewrites", snapshot], snapshot, shard, own, ["id", "text"])
        }
        columns = ["id", "url", "host", "text"]
        for row in reader.by_id("documents", at["documents", snapshot], snapshot, shard, own, columns):
            yield {**row, "text": changed.get(row["id"], row["text"]), "labels": own[row["id"]]}


def by_words(rows: Iterable[Row], words: Path, share: float, column: str = "text") -> Labelled:
    """Of all texts, the `share` with the most listed words (at least one) as good; those without any as others.

    Raises:
        UserError: the list is empty, or no text has a listed word.
    """
    held, share_of = list(rows), scorers.lister(words)
    told = np.array([share_of(str(row[column])) or 0.0 for row in held])
    good = np.flatnonzero(told > 0)
    if not len(good):
        raise UserError(f"no text has a word of {words}: give more texts or other words")
    best = good[np.argsort(-told[good], kind="stable")][: max(1, round(share * len(held)))]
    for at in best.tolist():
        yield held[at], True
    for at in np.flatnonzero(told == 0).tolist():
        yield held[at], False


def by_targets(rows: Iterable[Row], targets: Iterable[Row], share: float, column: str = "text", seed: int = 0) -> Labelled:
    """BETR: the `share` of the texts of best rank for any benchmark example as good, as many of the others by chance.

    Benchmarks (column `benchmark`) have equally many examples. Vectors are those of the column `embedding` where every row of both has one, else
    hashed TF-IDF weighed by the texts. Equal texts count once.

    Raises:
        UserError: there are no texts, or no examples.
    """
    pool = list({str(row[column]): row for row in rows}.values())
    examples = even(targets, column)
    if not pool or not examples:
        raise UserError("labels by benchmark examples need texts and examples: give rows with a text in both")
    table, asked = vectors([pool, examples], column)
    ranks, _ = selection.betr_best(asked, table)
    names = [hashlib.sha256(str(row[column]).encode("utf-8", "replace")).hexdigest() for row in pool]
    for row, label in zip(pool, selection.betr_labels(ranks, names, share, seed), strict=True):
        if label is not None:
            yield row, label == 1


def even(targets: Iterable[Row], column: str = "text") -> list[Row]:
    """As many examples of each benchmark as the smallest has, chosen by the hash of their text; equal ones once."""
    groups: dict[str, dict[str, Row]] = {}
    for row in targets:
        digest = hashlib.sha256(str(row[column]).encode("utf-8", "replace")).hexdigest()
        groups.setdefault(str(row.get("benchmark") or ""), {})[digest] = row
    size = min(map(len, groups.values()), default=0)
    return [own[digest] for _, own in sorted(groups.items()) for digest in sorted(own)[:size]]


def vectors(parts: Sequence[Sequence[Row]], column: str) -> list[NDArray[np.float64]]:
    """Vectors of length 1 of the rows of each part: those that all rows bring, else hashed TF-IDF weighed by the first part."""
    if all(row.get(VECTOR) is not None for part in parts for row in part):
        return [given(part) for part in parts]
    weights = embedding.frequencies([str(row[column]) for row in parts[0]])
    return [embedding.embed([str(row[column]) for row in part], weights) for part in parts]


def given(rows: Sequence[Row]) -> NDArray[np.float64]:
    """The vectors that rows bring, of length 1. Raises UserError where they are not of one dimension, or hold what is no number."""
    try:
        table = np.array([list(row[VECTOR]) for row in rows], dtype=np.float64)
    except (TypeError, ValueError):
        table = np.zeros(0)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise UserError(f"column {VECTOR!r} must hold equally many finite numbers in every row: make the vectors anew")
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12))


def passing(rows: Iterable[Row], model: Path, least: float, column: str = "text") -> Iterator[Row]:
    """Only the rows that an earlier model gives at least so much: what a second round is trained on (InfiMM-WebMath: .4)."""
    card = scorer_file.card(model)
    prepare, label = scorer_file.PREPARATIONS[str(card.get("text", "dclm"))], str(card.get("label", training.GOOD))
    rest = iter(rows)
    while held := list(islice(rest, _BATCH)):
        scores = training.probabilities(model, [prepare(str(row[column])) for row in held], label)
        yield from (row for row, score in zip(held, scores.tolist(), strict=True) if score >= least)
