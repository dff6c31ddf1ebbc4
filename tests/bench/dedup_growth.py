"""How the cost of the stages grows with the number of documents."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from tests.bench import dedup_texts
from tests.bench.dedup_run import in_child


def growth(texts: Path, counts: list[int]) -> None:
    """CPU seconds and memory of the stages by the number of documents, and the exponent."""
    seen = []
    print(
        f"{'documents':>10}{'sketch':>9}{'dedup':>9}{'CPU s':>9}{'ms/doc':>8}{'docs/s/core':>13}{'peak MB':>9}{'pairs':>10}{'wall s':>8}",
        flush=True,
    )
    for count in counts:
        rows = list(dedup_texts.grown(texts, count))
        size = sum(len(row["text"]) for row in rows)
        with tempfile.TemporaryDirectory() as scratch:
            found = in_child(rows, Path(scratch))
        spent = found["spent"]
        total = spent["sketch"] + spent["dedup"]
        seen.append((count, total, found["peak"], size))
        wall = spent["sketch wall"] + spent["dedup wall"]
        print(
            f"{count:>10,}{spent['sketch']:>9.1f}{spent['dedup']:>9.1f}{total:>9.1f}{1e3 * total / count:>8.2f}{count / total:>13,.0f}"
            f"{found['peak'] / 1e6:>9,.0f}{found['pairs']:>10,}{wall:>8.0f}",
            flush=True,
        )
    (low, first, *_), (high, last, *_) = seen[0], seen[-1]
    if high > low:
        print(f"exponent of CPU seconds from {low:,} to {high:,} documents: {math.log(last / first) / math.log(high / low):.3f}")
    if len(seen) > 2:
        (n1, c1, *_), (n2, c2, *_), (n3, c3, *_) = seen[0], seen[len(seen) // 2], seen[-1]
        print(
            f"marginal ms a document: {1e3 * (c2 - c1) / (n2 - n1):.3f} ({n1:,} to {n2:,}), {1e3 * (c3 - c2) / (n3 - n2):.3f} ({n2:,} to {n3:,})"
        )
    print("characters a document:", ", ".join(f"{count:,}: {size / count:,.0f}" for count, _, _, size in seen))
