"""A fastText classifier from labelled texts: the same data give the same file, and a file is whole or not there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crawlmill.errors import UserError

LEAST_BYTES = 64 << 20
"""Least size of the matrix: fastText 0.9.3 leaves a smaller one as the memory was, and the same data would give other models."""


def train(
    texts: Iterable[tuple[str, str]], out: Path, bucket: int, dim: int, quantize: bool = False, threads: int = 1, **settings: Any
) -> None:
    """Train on (line, label) in the order given and write the model.

    Args:
        texts: prepared lines with their labels.
        out: the model's file.
        bucket: buckets of n-grams.
        dim: of the vectors.
        quantize: make it some forty times smaller.
        threads: with more than one, which change the same numbers as they come, no two runs give the same file.
        settings: what else `fasttext.train_supervised` takes.

    Raises:
        UserError: the matrix would be too small to be the same each time.
    """
    import fasttext

    if bucket * dim * 4 < LEAST_BYTES:
        raise UserError(
            f"{bucket} buckets are too few to train reproducibly: give at least {LEAST_BYTES // (4 * dim)}, and quantize the model"
        )
    if settings.get("wordNgrams", 1) < 2 and not settings.get("maxn"):  # then fastText makes no buckets, and its matrix is small
        raise UserError("a model of single words cannot be trained reproducibly: let it read pairs of words, or parts of words")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        with lines.open("w", encoding="utf-8") as file:
            file.writelines(f"__label__{label} {line}\n" for line, label in texts)
        model: Any = fasttext.train_supervised(str(lines), dim=dim, bucket=bucket, thread=threads, verbose=0, seed=1, **settings)
        if quantize:
            model.quantize(input=str(lines), retrain=False, thread=1)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(out.name + ".part")
    model.save_model(str(draft))
    draft.replace(out)
