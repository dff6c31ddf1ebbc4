"""Ours, the in-memory verb, datatrove and datasketch on the same documents: cost, recall by recorded truth, what was lost."""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench import dedup_texts
from tests.bench.dedup_meter import metered
from tests.bench.dedup_run import in_child, in_memory, write_jsonl

THRESHOLD = 0.8


def peers(texts: Path, peer_python: str, documents: int, contenders: list[str]) -> None:
    """Ours, the in-memory verb, datatrove and datasketch on the same documents, one after the other."""
    rows = list(dedup_texts.grown(texts, documents))
    kept: dict[str, set[str]] = {}
    spent: dict[str, tuple[float, int]] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write_jsonl(scratch / "rows.jsonl", rows)
        for contender in contenders:
            if contender == "stages":
                found = in_child(rows, scratch)
                kept[contender] = {ident for ident, (kind, *_) in found["clusters"].items() if kind == "survivor"}
                phases = found["spent"]
                spent[contender] = phases["sketch"] + phases["dedup"], found["peak"]
                print(
                    "stages by phase:",
                    {key: round(value, 1) for key, value in phases.items()},
                    "stored:",
                    found["stored"],
                    flush=True,
                )
            elif contender == "verb":
                verb = in_memory(scratch)
                kept[contender], spent[contender] = verb["kept"], (verb["cpu"], verb["peak"])
            else:
                out = scratch / f"{contender}.json"
                program = str(Path(__file__).with_name("dedup_peers.py"))
                spent[contender] = metered([peer_python, program, contender, str(scratch / "rows.jsonl"), str(out)])
                kept[contender] = set(json.loads(out.read_text()))
            print(f"{contender}: {spent[contender][0]:.1f} CPU s", flush=True)
    slowest = spent.get("datatrove", (math.nan, 0))[0]
    print(f"\n{documents:,} documents; the start of the Spark session is not counted\n")
    print(f"{'':<12}{'CPU s':>9}{'docs/s/core':>13}{'v datatrove':>13}{'peak MB':>9}{'kept':>9}")
    for contender, (cpu, peak) in spent.items():
        ratio = f"{documents / cpu:>13,.0f}{slowest / cpu:>12.1f}x"
        print(f"{contender:<12}{cpu:>9.1f}{ratio}{peak / 1e6:>9,.0f}{len(kept[contender]):>9,}")
    truth_table(rows, kept)
    judged(rows, kept)


def truth_table(rows: list[dict[str, Any]], kept: dict[str, set[str]]) -> None:
    """Share of recorded copies of which not both they and their original stay, by how they were made."""
    print("\nfound, by how a copy was made (recorded truth: the copy or its original went):")
    groups: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["origin"]:
            groups[row["kind"], row["rate"]].append(row)
    print(f"{'':<18}" + "".join(f"{kind if kind == 'exact' else f'{rate:.0%} edited':>13}" for kind, rate in sorted(groups)))
    for name, ids in kept.items():
        shares = [np.mean([not (row["id"] in ids and row["origin"] in ids) for row in groups[key]]) for key in sorted(groups)]
        print(f"{name:<18}" + "".join(f"{share:>13.3f}" for share in shares))


def judged(rows: list[dict[str, Any]], kept: dict[str, set[str]]) -> None:
    """Removed documents for which no kept one has the threshold's similarity: what is lost."""
    from crawlmill.recipes.recipe import Sketch
    from crawlmill.text.shingle import content_hash

    matrix, counts = dedup_texts.shingle_matrix([row["text"] for row in rows], Sketch())
    contents = [content_hash(row["text"]) for row in rows]
    print(f"\nremoved, and of these without a kept document of the same content or of a Jaccard index >= {THRESHOLD}:")
    near: dict[int, list[int]] = {}
    gone = {name: [n for n, row in enumerate(rows) if row["id"] not in ids] for name, ids in kept.items()}
    wanted = np.array(sorted(set().union(*gone.values())))
    for at, others, _ in dedup_texts.similar(matrix, counts, wanted, THRESHOLD):
        near[at] = others.tolist()
    for name, ids in kept.items():
        stay = {n for n, row in enumerate(rows) if row["id"] in ids}
        same = {contents[n] for n in stay}
        lost = sum(contents[n] not in same and not any(other in stay for other in near[n]) for n in gone[name])
        print(f"{name:<18}{len(gone[name]):>9,}{lost:>9,}  precision {1 - lost / max(1, len(gone[name])):.4f}")
