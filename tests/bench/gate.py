"""How fast the gate judges and what-if answers, on random signals: documents per CPU second, CPU seconds an answer.

python -m tests.bench.gate [--documents 200000] [--shards 4]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from crawlmill.contracts import contract
from crawlmill.explain import trial, whatif
from crawlmill.lake import ledger
from crawlmill.lake.ledger import RunRow
from crawlmill.recipes import recipe
from crawlmill.text import rules

SNAPSHOT = "CC-MAIN-2026-43"
LABELS = [
    ("eng", "Latn"),
    ("deu", "Latn"),
    ("fra", "Latn"),
    ("rus", "Cyrl"),
    ("srp", "Cyrl"),
    ("cmn", "Hani"),
    ("jpn", "Jpan"),
    ("tha", "Thai"),
]


def documents(count: int, shards: int, gate: recipe.Gate) -> pa.Table:
    """Random documents: signals around the rules' limits, so that some break each of them."""
    draw = np.random.default_rng(1)
    labels = draw.integers(0, len(LABELS), count)
    columns: dict[str, Any] = {
        "snapshot": pa.array([SNAPSHOT]).take(pa.array(np.zeros(count, dtype=np.int64))),
        "shard": pa.array(draw.integers(0, shards, count), pa.int32()),
        "id": [f"<urn:uuid:{a:016x}{b:016x}>" for a, b in draw.integers(0, 2**62, (count, 2))],
        "language": pa.array([language for language, _ in LABELS]).take(pa.array(labels)),
        "language_script": pa.array([script for _, script in LABELS]).take(pa.array(labels)),
        "script_share": np.ones(count),
    }
    for rule in gate.rules.values():
        kept = 1.5 if rule.op == "min" else 0.5
        spread = np.abs(draw.normal(kept, 0.2, count)) * rule.limit if rule.limit else (draw.random(count) < 0.01).astype(float)
        columns[rule.signal] = spread
    return pa.table(columns)


def lake(root: str, rows: pa.Table, verdicts: pa.Table) -> None:
    """The tables that what-if reads."""
    narrow = ["language_script", "language_score", "script_share"]
    texts = rows.select(["snapshot", "shard", "id"]).append_column("url", rows["id"]).append_column("text", rows["id"])
    tables = {"signals": rows.drop_columns(narrow), "languages": rows.select(["snapshot", "shard", "id", *narrow]), "verdicts": verdicts,
              "documents": texts, "rewrites": texts.slice(0, 9)}  # fmt: skip
    for name, table in tables.items():
        write_deltalake(f"{root}/{name}", table, partition_by=["snapshot", "shard"])
    for name in ("runs", "quality"):
        contract.create(root, name)
    outputs = [{"table": name, "snapshot": SNAPSHOT, "version": 0} for name in tables if name != "verdicts"]
    ledger.append_run(
        root, RunRow("r", "gate", SNAPSHOT, "k", "passed", inputs=outputs, outputs=[{"table": "verdicts", "version": 0}])
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=4)
    options = parser.parse_args()
    gate = recipe.load().gate
    rows = documents(options.documents, options.shards, gate)
    judge = rules.judge(gate)
    batches = rows.to_batches(max_chunksize=10_000)
    started = time.process_time()
    verdicts = pa.Table.from_batches([judge(batch) for batch in batches])
    seconds = time.process_time() - started
    print(f"judge     {len(gate.rules)} rules  {options.documents / seconds:10,.0f} documents per CPU second")
    with tempfile.TemporaryDirectory() as root:
        lake(root, rows, verdicts)
        for rule, after in (
            ("list_ratio, one language", trial.gate(gate, "list_ratio", "0.2", ("deu",))),
            ("top_2_gram, everywhere", trial.gate(gate, "top_2_gram", "0.25", everywhere=True)),
            ("gopher_short_doc off", trial.gate(gate, "gopher_short_doc", "off")),
        ):
            started, wall = time.process_time(), time.time()
            answer = whatif.compare(root, SNAPSHOT, gate, after)
            seconds, wall = time.process_time() - started, time.time() - wall
            total = answer.total
            print(
                f"what-if   {rule:<26} {seconds:6.2f} CPU s {wall:6.2f} s   +{total.enters} -{total.leaves} of {total.documents}"
            )


if __name__ == "__main__":
    main()
