"""Trains a fastText model that tells languages, and reports on texts that it has not seen.

    spark-submit jobs/train_langid.py …   or   python jobs/train_langid.py --data labelled.jsonl --out models/own.bin

The data are Delta tables (folders), Parquet or JSON-lines files with a text and a label (`deu_Latn` or `deu`) in each row. Every tenth text, by a
hash of the text, is held out; equal texts are taken once. The registry entry for the model is printed: put it into the file that `identify.registry`
names. Training runs on one thread, in the order of the texts' hashes, so that the same data give the same file.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crawlmill import rowfile
from crawlmill.errors import UserError
from crawlmill.scoring import fasttext_training
from crawlmill.text.language_labels import is_label
from crawlmill.text.language_model import PREPARATIONS, file_hash

HELD_OUT = 10  # one text of so many


@dataclass(frozen=True)
class Options:
    """What training takes; the defaults of dimension, n-grams and loss are those that lid.176 was trained with."""

    text: str = "line"
    dim: int = 16
    epoch: int = 10
    lr: float = 0.5
    minn: int = 2
    maxn: int = 4
    bucket: int = 2_000_000
    per_label: int = 20_000


def rows_of(names: Iterable[str], text: str, label: str) -> Iterator[tuple[str, str]]:
    """(text, label) of every row of the tables and files. Raises UserError for a label that is none, or a column that is missing."""
    for name in names:
        for number, row in enumerate(_read(name, [text, label]), 1):
            if text not in row or label not in row:
                raise UserError(f"{name} row {number} has no columns {text!r} and {label!r}: name them with --text and --label")
            if row[text] is None or row[label] is None:
                continue
            if not is_label(str(row[label])):
                raise UserError(
                    f"{name} row {number}: {row[label]!r} is no label: write ISO 639-3 (`deu`), with script `deu_Latn`"
                )
            yield str(row[text]), str(row[label])


def _read(name: str, columns: list[str]) -> Iterator[dict[str, Any]]:
    if (Path(name) / "_delta_log").is_dir():
        from deltalake import DeltaTable

        table = DeltaTable(name).to_pyarrow_dataset()
        missing = [column for column in columns if column not in table.schema.names]
        if missing:
            raise UserError(f"table {name} has no column {missing[0]!r}: name its columns with --text and --label")
        for batch in table.to_batches(columns=columns):
            yield from batch.to_pylist()
    else:
        yield from rowfile.read(name)


def split(rows: Iterable[tuple[str, str]], options: Options) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Prepared (text, label) to train on and to hold out, equal texts once, at most `per_label` of a label, in the order of hashes."""
    prepare = PREPARATIONS[options.text]
    found: dict[bytes, tuple[str, str]] = {}
    for text, label in rows:
        if line := prepare(text):
            found.setdefault(hashlib.sha256(line.encode()).digest(), (line, label))
    seen: Counter[str] = Counter()
    train: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for key in sorted(found):
        line, label = found[key]
        seen[label] += 1
        if seen[label] <= options.per_label:
            (held_out if int.from_bytes(key[-4:], "big") % HELD_OUT == 0 else train).append((line, label))
    return train, held_out


def train(texts: list[tuple[str, str]], out: Path, options: Options, quantize: bool = False) -> None:
    """Train on (text, label) and write the model; `quantize` makes it some forty times smaller."""
    if len({label for _, label in texts}) < 2:
        raise UserError("there are texts of fewer than two languages: give labelled texts of at least two")
    fasttext_training.train(
        texts, out, options.bucket, options.dim, quantize,
        epoch=options.epoch, lr=options.lr, minn=options.minn, maxn=options.maxn, loss="softmax",
    )  # fmt: skip


def report(out: Path, held_out: list[tuple[str, str]]) -> str:
    """Precision, recall and F1 by label on held-out texts, the rarest label last, with accuracy and macro-F1 below."""
    import fasttext

    model: Any = fasttext.load_model(str(out)).f
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for line, label in held_out:
        found = model.predict(line + "\n", 1, 0.0, "strict")
        told[label][found[0][1].removeprefix("__label__") if found else "und"] += 1
    predicted = Counter[str]()
    for row in told.values():
        predicted.update(row)
    lines, f1 = [f"{'label':10s} {'texts':>7s} {'precision':>9s} {'recall':>7s} {'F1':>6s}  most taken for"], []
    for label, row in sorted(told.items(), key=lambda item: (-item[1].total(), item[0])):
        right, n = row[label], row.total()
        f1.append(2 * right / (n + predicted[label]))
        others = ", ".join(f"{other} {count}" for other, count in row.most_common(4) if other != label)
        precision = right / predicted[label] if predicted[label] else 0.0
        lines.append(f"{label:10s} {n:7d} {precision:9.3f} {right / n:7.3f} {f1[-1]:6.3f}  {others}".rstrip())
    right = sum(row[label] for label, row in told.items())
    lines.append(
        f"accuracy {right / max(1, len(held_out)):.4f}, macro-F1 {sum(f1) / max(1, len(f1)):.4f} on {len(held_out)} texts held out"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python jobs/train_langid.py --data labelled.jsonl --out own.bin",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", nargs="+", required=True, help="Delta tables, Parquet or JSON-lines files")
    parser.add_argument("--text", default="text", help="column of the text [text]")
    parser.add_argument("--label", default="label", help="column of the label [label]")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    parser.add_argument("--prepare", choices=sorted(PREPARATIONS), default="line", help="how texts are prepared [line]")
    parser.add_argument("--epoch", type=int, default=Options.epoch)
    parser.add_argument(
        "--bucket", type=int, default=Options.bucket, help="buckets of character n-grams, 64 bytes of the model each"
    )
    parser.add_argument("--quantize", action="store_true", help="a smaller, slightly less exact model")
    given = parser.parse_args()
    options = Options(text=given.prepare, epoch=given.epoch, bucket=given.bucket)
    texts, held_out = split(rows_of(given.data, given.text, given.label), options)
    train(texts, given.out, options, given.quantize)
    print(report(given.out, held_out))
    print(
        f"\n{given.out.stem}:\n  file: {given.out.absolute()}\n  sha256: {file_hash(given.out)}\n  labels: iso\n  text: {options.text}"
    )


if __name__ == "__main__":
    from crawlmill.errors import CrawlmillError

    try:
        main()
    except CrawlmillError as error:
        raise SystemExit(f"train_langid: {error}") from None
