"""How fast and how right dedup is, beside its peers.

    python tests/bench/dedup.py texts CRAWL TEXTS.parquet         main texts of a crawl folder (tools/build_scale_corpus.py makes one)
    python tests/bench/dedup.py peers TEXTS.parquet --peer-python PYTHON [--documents 20000]
    python tests/bench/dedup.py growth TEXTS.parquet [--counts 10000,50000,200000]
    python tests/bench/dedup.py quality TEXTS.parquet [--documents 4000]
    python tests/bench/dedup.py plagiarism SHARED
    python tests/bench/dedup.py similarities TEXTS.parquet         the table that `crawlmill plan-dedup` assumes

Speed is documents per CPU second (user and system, of the whole tree of processes), memory the greatest sum of proportional sets.
Ours are the real stages `sketch` and `dedup` on a lake, commits and expectations included. Nothing is written outside a scratch folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    from tests.bench import dedup_beside, dedup_growth, dedup_quality, dedup_similarities, dedup_texts

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["texts", "peers", "growth", "quality", "similarities", "plagiarism"])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--documents", type=int)
    parser.add_argument("--counts", default="10000,50000,200000")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--contenders", default="stages,verb,datatrove,datasketch")
    given = parser.parse_args()
    match given.what:
        case "texts":
            print(f"{dedup_texts.extract(*given.paths):,} texts")
        case "peers":
            dedup_beside.peers(given.paths[0], given.peer_python, given.documents or 20_000, given.contenders.split(","))
        case "growth":
            dedup_growth.growth(given.paths[0], [int(count) for count in given.counts.split(",")])
        case "quality":
            dedup_quality.quality(given.paths[0], given.documents or 4_000)
        case "similarities":
            dedup_similarities.similarities(given.paths[0], given.documents or 4_000)
        case "plagiarism":
            dedup_quality.plagiarism(given.paths[0])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
