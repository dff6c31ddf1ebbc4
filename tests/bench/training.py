"""How long models train: an n-gram model counted by Spark, a fastText scorer on one thread and on more.

    python tests/bench/training.py ngrams TEXTS.parquet --megabytes 1000
    python tests/bench/training.py scorer TEXTS.parquet --documents 200000 [--threads 1,2]

TEXTS are pages as `dedup.py texts` writes them; where they do not suffice, others are made of them (`dedup_texts.grown`: spliced of two, and copies).
`ngrams` prints wall and CPU seconds of the tree for the vocabulary and the counts of 3-grams, as `jobs/train_ngrams.py` calls them; `scorer` trains as
`crawlmill train-scorer` does with DCLM's settings on so many texts of 4,000 characters of either label, which here says nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LENGTH = 4_000  # characters of a text to train a scorer on


def timed(name: str, work: Callable[[], Any], cpu: Callable[[], float] = time.process_time) -> Any:
    """Run and print wall and CPU seconds."""
    began, spent = time.time(), cpu()
    found = work()
    print(f"{name:<34}{time.time() - began:8.1f} s wall{cpu() - spent:9.1f} CPU s", flush=True)
    return found


def texts_of(pages: Path) -> Iterator[str]:
    """The pages' texts, then others made of them."""
    from tests.bench.dedup_texts import grown

    return (row["text"] for row in grown(pages, 10_000_000))


def ngrams(pages: Path, megabytes: int, estimate: bool) -> None:
    """Counting as the job does, on a file of so many MB of UTF-8."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from tests.bench.dedup_meter import Meter

    import train_ngrams
    from crawlmill.protocol.session import build
    from crawlmill.text import kneser_ney

    with tempfile.TemporaryDirectory() as folder:
        path, size, count = f"{folder}/texts.parquet", 0, 0
        with pq.ParquetWriter(path, pa.schema([("text", pa.string())]), compression="zstd") as file:
            held: list[str] = []
            for text in texts_of(pages):
                held.append(text)
                size, count = size + len(text.encode("utf-8", "replace")), count + 1
                if len(held) == 5_000 or size >= megabytes * 1_000_000:
                    file.write_table(pa.table({"text": held}))
                    held = []
                if size >= megabytes * 1_000_000:
                    break
        print(
            f"{size / 1e6:,.0f} MB of text in {count:,} documents, {Path(path).stat().st_size / 1e6:,.0f} MB as Parquet",
            flush=True,
        )
        meter = Meter()
        spark = timed("session", lambda: build("bench ngrams"), meter.cpu)
        texts = train_ngrams.read(spark, [path], "text")
        words = timed("vocabulary", lambda: train_ngrams.vocabulary(texts, 200_000), meter.cpu)
        rows, seen = timed("3-grams", lambda: train_ngrams.counts(texts, words, 3), meter.cpu)
        print(
            f"{len(words):,} words, {int(seen.sum()):,} 3-grams, {len(rows):,} different; peak {meter.peak / 1e6:,.0f} MB",
            flush=True,
        )
        spark.stop()
        if estimate:
            timed("estimate", lambda: kneser_ney.estimate(words, rows, seen), meter.cpu)
            print(f"peak {meter.peak / 1e6:,.0f} MB")


def scorer(pages: Path, documents: int, threads: list[int]) -> None:
    """Training on so many texts of each label."""
    from crawlmill.scoring import scorer_training as training
    from crawlmill.text.scorer_file import PREPARATIONS

    def cut() -> Iterator[str]:
        for text in texts_of(pages):
            yield from (text[at : at + LENGTH] for at in range(0, len(text) - LENGTH // 2, LENGTH))

    prepare, made = PREPARATIONS["dclm"], list[training.Example]()
    for number, text in enumerate(cut()):
        if number == 2 * documents:
            break
        made.append(training.Example(prepare(text), number % 2 == 0))
    words = sum(len(one.line.split()) for one in made)
    print(
        f"{len(made):,} texts, {sum(len(one.line) for one in made) / 1e6:,.0f} M characters, {words / 1e6:,.1f} M words",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        for count in threads:
            path = Path(folder) / f"{count}.bin"
            timed(f"trained, threads: {count}", lambda: training.train(made, path, training.PRESETS["dclm"], {}, threads=count))
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["ngrams", "scorer"])
    parser.add_argument("texts", type=Path)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--estimate", action="store_true", help="and make the model of the counts")
    parser.add_argument("--documents", type=int, default=4_000, help="of either label")
    parser.add_argument("--threads", default="1,2")
    given = parser.parse_args()
    if given.what == "ngrams":
        ngrams(given.texts, given.megabytes, given.estimate)
    else:
        scorer(given.texts, given.documents, [int(count) for count in given.threads.split(",")])


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "jobs")]
    main()
