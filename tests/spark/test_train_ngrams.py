"""The job that trains n-gram models: Spark's counts give the model of the plain functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from crawlmill import layout
from tests.unit.test_arpa import PROSE, model_of, written

sys.path.insert(0, str(layout.jobs_dir()))
import train_ngrams


def test_counted_by_spark_or_not_is_the_same_model(spark: Any, tmp_path: Path) -> None:
    texts = spark.createDataFrame([(text,) for text in PROSE], "text string").repartition(3)
    model = train_ngrams.train(texts, tmp_path / "a.arpa")
    plain = model_of(PROSE)
    assert sorted(model.words) == sorted(plain.words) and len(model.orders[2].keys) == len(plain.orders[2].keys)
    lines = [["the", "bridge"], ["zebra"]]
    assert abs(model.log10(lines) - plain.log10(lines)).max() < 1e-4
    train_ngrams.train(texts.repartition(2), tmp_path / "b.arpa")
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes() != written(plain).encode()
