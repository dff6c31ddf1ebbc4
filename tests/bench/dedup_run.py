"""The stages sketch and dedup, and the verb `crawlmill dedup`, on given texts: what they keep and what they cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.bench.dedup_meter import Meter, metered

SNAPSHOT = "CC-MAIN-2026-30"


def ours(texts: Path, folder: Path) -> dict[str, Any]:
    """The stages sketch and dedup on a file of rows with id, url and text: kept ids, CPU seconds by phase, the stages' peak memory."""
    from tests.fixtures import lakes

    from crawlmill.protocol import stage

    meter = Meter()
    started = meter.cpu()
    from crawlmill.protocol.session import build

    spark = build("bench dedup")
    spark.range(1).count()
    session = meter.cpu() - started
    lake = str(folder / "lake")
    prepare(spark, lake, texts)
    spent: dict[str, float] = {"session": session}
    for name, snapshot in (("sketch", SNAPSHOT), ("dedup", "*")):
        before = meter.cpu()
        wall = time.time()
        stage.run(stage.load(name), lakes.job(lake, snapshot), spark)
        spent[name], spent[f"{name} wall"] = meter.cpu() - before, time.time() - wall
    peak = meter.peak
    from crawlmill.lake import table

    held = table.read(spark, lake, "clusters", table.version(lake, "clusters"))
    found = {row["id"]: (row["kind"], row["survivor_id"], row["similarity"]) for row in held.toLocalIterator()}
    pairs = table.read(spark, lake, "pairs", table.version(lake, "pairs")).count()
    stored = {
        name: sum(f.stat().st_size for f in (folder / "lake" / name).rglob("*.parquet")) for name in ("signatures", "bands")
    }
    meter.done.set()
    spark.stop()
    return {"clusters": found, "spent": spent, "pairs": pairs, "stored": stored, "peak": peak}


def prepare(spark: Any, lake: str, texts: Path) -> None:
    """A lake as the stages before would leave it: documents, no rewrites, one language, everything eligible."""
    from tests.fixtures import lakes

    from crawlmill.contracts import contract
    from crawlmill.lake import fence, ledger, table
    from crawlmill.lake.ledger import RunRow

    table.create_all(lake)
    rows = spark.read.parquet(str(texts)).selectExpr("*", f"'{SNAPSHOT}' AS snapshot")
    token = fence.draw(lake, "bench", SNAPSHOT, None, "bench")
    template = lakes.document(SNAPSHOT, 0, "p", "t")

    def fill(name: str, values: dict[str, Any]) -> Any:
        from pyspark.sql import functions as F

        parts = []
        for column in contract.load(name).fields:
            value = F.col(column.name) if column.name in rows.columns else F.lit(values.get(column.name)).cast(column.type)
            parts.append(value.alias(column.name))
        return rows.select(*parts)

    script = {"language": "eng", "language_script": "Latn", "language_score": 0.9, "model": "0" * 64, "script_share": 1.0}
    judged = {"language": "eng", "language_script": "Latn", "eligible": True, "recipe_key": "0" * 64}
    filled = {
        "documents": fill("documents", template),
        "languages": fill("languages", script),
        "verdicts": fill("verdicts", judged),
    }
    from pyspark.sql import functions as F

    empty = F.from_json(F.lit("[]"), contract.load("verdicts").struct()["failed"].dataType)
    filled["verdicts"] = filled["verdicts"].withColumn("failed", empty).withColumn("flagged", empty)
    versions = {}
    for name, frame in filled.items():
        commit = table.Commit(lake, "bench", SNAPSHOT, None, token, {"run_id": name})
        versions[name] = commit.replace(name, frame)
    writes = {"extract": ["documents"], "identify": ["languages"], "rewrite": ["rewrites"], "gate": ["verdicts"]}
    inputs: list[dict[str, Any]] = []
    for name, tables in writes.items():
        outputs = [{"table": each, "version": versions.get(each, table.version(lake, each))} for each in tables]
        run = RunRow(
            run_id=name,
            stage=name,
            snapshot=SNAPSHOT,
            stage_key=name,
            verdict="passed",
            fence=token,
            inputs=list(inputs),
            outputs=outputs,
        )
        ledger.append_run(lake, run)
        inputs += [{**entry, "snapshot": SNAPSHOT} for entry in outputs]


def in_child(rows: list[dict[str, Any]], scratch: Path) -> dict[str, Any]:
    """`ours` in a process of its own, so that its memory and CPU are its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, result = scratch / "rows.parquet", scratch / "result.json"
    columns = {name: [row[name] for row in rows] for name in ("id", "url", "text")}
    shards = pa.array([n % 8 for n in range(len(rows))], pa.int32())
    pq.write_table(pa.table({**columns, "shard": shards}), texts, row_group_size=2_000)
    code = (
        "import json, sys; from pathlib import Path; from tests.bench import dedup_run\n"
        "found = dedup_run.ours(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "Path(sys.argv[3]).write_text(json.dumps(found))"
    )
    subprocess.run([sys.executable, "-c", code, str(texts), str(scratch), str(result)], check=True)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def in_memory(scratch: Path) -> dict[str, Any]:
    """`crawlmill dedup` on the file of rows, as a user calls it."""
    texts, out = scratch / "rows.jsonl", scratch / "out.jsonl"
    cpu, peak = metered([sys.executable, "-m", "crawlmill.cli", "dedup", str(texts), "-o", str(out)])
    held = [json.loads(line) for line in out.open()]
    return {"kept": {row["id"] for row in held if row["duplicate_of"] is None}, "cpu": cpu, "peak": peak}


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps({"id": row["id"], "text": row["text"]}, ensure_ascii=False) + "\n")
