"""How similar the pages of a corpus are to each other: the table that `crawlmill plan-dedup` assumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.bench import dedup_texts


def similarities(texts: Path, documents: int) -> None:
    """Pairs per 1,000 documents by similarity, of a sample of distinct pages against all pages."""
    from crawlmill.recipes.recipe import Sketch
    from crawlmill.text.shingle import content_hash

    unique = {content_hash(row["text"]): row for row in dedup_texts.pages(texts) if row["kind"] == "orig"}
    rows = list(unique.values())
    matrix, counts = dedup_texts.shingle_matrix([row["text"] for row in rows], Sketch())
    sample = np.flatnonzero(counts)[:documents]
    histogram = np.zeros(20)
    for _, _, index in dedup_texts.similar(matrix, counts, sample, 0.2):
        np.add.at(histogram, np.minimum((index * 20).astype(int), 19), 1)
    shared = 0.0
    draw = np.random.default_rng(1)
    for _ in range(20_000):
        a, b = draw.choice(len(rows), 2, replace=False)
        both = float(matrix[a].multiply(matrix[b]).sum())
        shared += both / max(1.0, float(counts[a] + counts[b]) - both)
    print(
        f"{len(sample):,} of {len(rows):,} distinct pages against all; mean shingles {counts.mean():.0f}, mean similarity {shared / 20_000:.5f}"
    )
    print({f"{step / 20:.2f}": round(float(n) / 2 * 1_000 / len(sample), 1) for step, n in enumerate(histogram) if step >= 4})
