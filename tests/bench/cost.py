"""What the work on a page costs without Spark: processor time of the shell's verbs on the beginning of a crawl file.

Each verb runs on a part and on the whole of the same pages; the difference is theirs, start and models aside. Prints milliseconds a kilobyte of crawl file, as
`jobs/crawlmill/explain/measured.yaml` has them: pages differ in size from crawl to crawl, and what the verbs do is linear in bytes.

    python tests/bench/cost.py FILE.warc.gz --megabytes 2.5
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

VERBS = {"text": "extract", "identify": "identify", "measure": "measure", "dedup": "sketch"}  # by the stage that does the same


def main() -> None:
    """Run the verbs and print what they took."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--megabytes", type=float, default=2.5, help="of the crawl file")
    given = arguments.parse_args()
    size = int(given.megabytes * 1e6)
    with given.file.open("rb") as file:
        data = file.read(size)
    with tempfile.TemporaryDirectory(prefix="crawlmill-cost-") as folder:
        took: dict[str, list[float]] = {verb: [] for verb in VERBS}
        for part in (len(data) // 4, len(data)):
            crawl, texts = Path(folder) / f"{part}.warc.gz", Path(folder) / f"{part}.jsonl"
            crawl.write_bytes(data[:part])
            for verb in VERBS:
                took[verb].append(
                    processor(
                        [
                            verb,
                            str(crawl if verb == "text" else texts),
                            "-o",
                            str(texts) if verb == "text" else f"{texts}.{verb}.jsonl",
                        ]
                    )
                )
        documents = len(texts.read_text().splitlines())
    print(f"# {documents} documents of {len(data):,} bytes of {given.file.name}")
    for verb, (part_seconds, whole) in took.items():
        print(f"    {VERBS[verb]}: {(whole - part_seconds) * 1000 / (len(data) * 0.75 / 1000):.2f}")


def processor(words: list[str]) -> float:
    """Processor seconds of a verb."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "import sys; from crawlmill.cli import main; sys.argv = ['crawlmill', *sys.argv[1:]]; main()"
    subprocess.run([sys.executable, "-c", program, *words], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
