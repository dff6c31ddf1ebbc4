"""One contestant of the benchmark `extract.py`, in an environment of its own: crawl files in, JSON lines of texts out.

    python tests/bench/extract_peer.py {datatrove,trafilatura,trafilatura-fast} CRAWL_FOLDER OUT_FOLDER

Prints a JSON line: CPU seconds before the first page, documents, characters of text, versions. `datatrove` (with trafilatura, warcio, faust-cchardet,
python-magic) is its WARC reader, its Trafilatura step as it comes and its JSON lines writer in one task; `trafilatura` is the bare library behind
fastwarc and resiliparse's charset detection.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any


def datatrove(crawl: Path, out: Path) -> dict[str, Any]:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    steps = [WarcReader(str(crawl), glob_pattern="**/*.warc.gz"), Trafilatura(), JsonlWriter(str(out))]
    before = time.process_time()
    LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=f"{out}-logs").run()
    rows = [json.loads(line) for file in out.rglob("*.jsonl.gz") for line in gzip.open(file)]
    texts = [row["text"] for row in rows]
    _keep(out, ((row["metadata"]["url"], row["text"]) for row in rows))
    return {
        "start": before,
        "documents": len(texts),
        "chars": sum(map(len, texts)),
        "versions": _versions("datatrove", "trafilatura"),
    }


def trafilatura(crawl: Path, out: Path, fast: bool) -> dict[str, Any]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding
    from trafilatura import extract

    before = time.process_time()
    quick = {"fast": True} if version("trafilatura")[0] == "2" else {"no_fallback": True}

    def texts() -> Iterator[tuple[str, str]]:
        for file in sorted(crawl.rglob("*.warc.gz")):
            for record in ArchiveIterator(file.open("rb"), record_types=WarcRecordType.response):
                body = record.reader.read()
                text = extract(bytes_to_str(body, detect_encoding(body)), **(quick if fast else {})) or ""
                yield record.headers["WARC-Target-URI"], text

    found = [(url, text) for url, text in texts() if text]
    _keep(out, found)
    return {
        "start": before,
        "documents": len(found),
        "chars": sum(len(text) for _, text in found),
        "versions": _versions("trafilatura", "fastwarc"),
    }


def _keep(out: Path, texts: Iterable[tuple[str, str]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "texts.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(json.dumps({"url": url, "text": text}) + "\n" for url, text in texts)


def _versions(*names: str) -> str:
    return ", ".join(f"{name} {version(name)}" for name in names)


if __name__ == "__main__":
    name, crawl, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    result = datatrove(crawl, out) if name == "datatrove" else trafilatura(crawl, out, name.endswith("-fast"))
    print(json.dumps(result))
