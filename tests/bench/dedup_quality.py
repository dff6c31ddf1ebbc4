"""Recall by similarity and precision: against all pairs compared exactly, against known copies."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
from tests.bench import dedup_texts

THRESHOLD = 0.8


def quality(texts: Path, documents: int) -> None:
    """Recall by similarity and precision of pairs and removals, against all pairs of a sample compared exactly."""
    from crawlmill.dedup.plan_dedup import meets
    from crawlmill.recipes.recipe import from_mapping
    from crawlmill.text.dedup_small import dedup_rows
    from crawlmill.text.minhash import sketches

    recipe = from_mapping({})
    rows = list(dedup_texts.grown(texts, documents))
    matrix, counts = dedup_texts.shingle_matrix([row["text"] for row in rows], recipe.sketch)
    found = sketches([row["text"] for row in rows], recipe.sketch)
    keys = np.array([each.keys or [0] * recipe.sketch.bands for each in found])
    total, met, expected = (defaultdict(float) for _ in range(3))
    close: dict[int, set[int]] = defaultdict(set)
    for at, others, index in dedup_texts.similar(matrix, counts, np.flatnonzero(counts), 0.3):
        for other, value in zip(others.tolist(), index.tolist(), strict=True):
            if other > at and found[at].content != found[other].content:
                step = min(int(value * 20), 19)
                total[step] += 1
                met[step] += bool((keys[at] == keys[other]).any())
                expected[step] += meets(value, recipe.sketch.bands, recipe.sketch.rows)
            if value >= THRESHOLD:
                close[at].add(other)
    print(f"{documents:,} documents, all pairs compared exactly\n{'similarity':>12}{'pairs':>9}{'met':>8}{'S-curve':>9}{'z':>7}")
    for step in sorted(total):
        n, p = total[step], expected[step] / total[step]
        z = (met[step] - n * p) / math.sqrt(max(n * p * (1 - p), 1e-9))
        print(f"{step / 20:>8.2f}-{(step + 1) / 20:.2f}{n:>8,.0f}{met[step] / n:>8.4f}{p:>9.4f}{z:>7.2f}")
    marked = list(dedup_rows(({"id": row["id"], "text": row["text"]} for row in rows), recipe))
    place = {row["id"]: n for n, row in enumerate(rows)}
    gone = [(n, place[row["duplicate_of"]]) for n, row in enumerate(marked) if row["duplicate_of"]]
    right = sum(other in close[n] or found[n].content == found[other].content for n, other in gone)
    print(
        f"\nremoved: {len(gone):,}, of these verified against the one that stays: {right:,} (precision {right / max(1, len(gone)):.4f})"
    )
    stay = {n for n, row in enumerate(marked) if not row["duplicate_of"]}
    left = {(a, b) for a in stay for b in close[a] if b in stay and a < b}
    due = sum(bool(close[n]) for n in range(len(rows)))
    print(f"documents with a similar one: {due:,}; pairs at or above {THRESHOLD} of which both stay: {len(left):,}")


def plagiarism(shared: Path) -> None:
    """The public set of 1,250 texts with ten known copies."""
    import gzip

    from crawlmill.recipes.recipe import from_mapping
    from crawlmill.text.dedup_small import dedup_rows

    folder = shared / "data" / "neardup"
    with gzip.open(folder / "plagiarism-2500.docs.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    known = {frozenset(pair) for pair in known_pairs(folder / "plagiarism-2500.pairs.jsonl")}
    for threshold in (0.8, 0.5):
        marked = list(dedup_rows(rows, from_mapping({"dedup": {"threshold": threshold}})))
        found = {frozenset((row["id"], row["duplicate_of"])) for row in marked if row["duplicate_of"]}
        print(f"threshold {threshold}: {len(found & known)} of {len(known)} known copies found, {len(found - known)} others")


def known_pairs(path: Path) -> list[tuple[str, str]]:
    """The two ids of each line, whatever their keys are called."""
    pairs = []
    for line in path.open():
        row = json.loads(line)
        values = [value for value in (row.values() if isinstance(row, dict) else row) if isinstance(value, str)]
        pairs.append((values[0], values[1]))
    return pairs
