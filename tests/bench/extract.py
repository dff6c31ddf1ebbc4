"""The extract stage beside trafilatura and datatrove's WARC reader with trafilatura, on the same crawl files in one run.

    python tests/bench/extract.py --crawl /tmp/scale/cc --peer-python /tmp/peers/.venv/bin/python [--files 2] [--share 4] [--only NAME ...]
    python tests/bench/extract.py --crawl ../shared/data/extraction --files 7 --share 1 --peer-python ...      # F1, too: gold texts lie beside these
    python tests/bench/extract.py --crawl /tmp/scale/cc --scaling          # cost per page of 1 file and of 10
    python tests/bench/extract.py --crawl /tmp/scale/cc --guard            # what the wall-clock guard costs
    python tests/bench/extract.py --memory 1.0                             # peak memory of a reader of a crawl file of so many GB

Ours is the whole stage as `crawlmill run` calls it: listing, reading, decoding, extraction, commits to Delta, reconciliation, expectations. Figures are
CPU seconds of the process tree (user and system, everything that the tree waited for). What the session (with a first small Delta table) and imports
take before the first page is measured apart and left out of pages per second; of a peer it is what one page takes. "Java" is Spark's own part of the rest
(rows, Parquet, queries); what is left of it are Python's workers. `--share N` gives the peers every
Nth page of each file, since they take minutes for what we do in seconds; all figures are by page. Peak memory is the proportional set size
of the tree, sampled once a second. F1 is the shared scoring program's over all pages; the model in the tree learnt from them, so what it is worth elsewhere
is said by `extraction_quality.py`. The crawl is what `build_scale_corpus.py warc` of the shared tools writes: a folder of *.warc.gz.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = "CC-MAIN-2026-30"
PEERS = ("datatrove", "trafilatura", "trafilatura-fast")
PR_SET_CHILD_SUBREAPER = 36


def mirror(folder: Path, files: list[Path]) -> Path:
    """A crawl source of these files: links, a listing, collinfo.json."""
    names = [f"crawl-data/{SNAPSHOT}/segments/1.{n:02}/warc/{n:05}.warc.gz" for n in range(len(files))]
    for name, file in zip(names, files, strict=True):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(file.resolve())
    (folder / "collinfo.json").write_text(json.dumps([{"id": SNAPSHOT, "name": "bench"}]))
    (folder / "crawl-data" / SNAPSHOT / "warc.paths.gz").write_bytes(gzip.compress("\n".join(names).encode(), mtime=0))
    return folder


def every(files: list[Path], share: int, folder: Path) -> list[Path]:
    """Copies of the files with every `share`th page: its response record as it is stored."""
    from crawlmill.limits import Limits
    from crawlmill.sources.record import Counts, Record
    from crawlmill.sources.records import read_records

    folder.mkdir()
    out = []
    for file in files:
        out.append(folder / file.name)
        with file.open("rb") as source, out[-1].open("wb") as target:
            found = [r for r in read_records(source, "warc", Limits(), Counts()) if isinstance(r, Record)][::share]
            for record in found:
                source.seek(record.offset)
                target.write(source.read(record.length))
    return out


def measured(command: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a program that ends with a JSON line; adds CPU seconds of its tree, wall seconds and peak memory."""
    import ctypes
    import resource

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # what the tree leaves behind comes to us, and so does its time
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}, cwd=ROOT)
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    if process.wait():
        raise SystemExit(f"{' '.join(command[:3])} failed with exit code {process.returncode}")
    wall = time.time() - began
    while True:
        try:
            if os.waitpid(-1, 0)[0] == 0:
                break
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(lines[-1]), "cpu": cpu, "wall": wall, "peak": peak[0]}


def _watch(pid: int, peak: list[int]) -> None:
    while True:
        try:
            root = psutil.Process(pid)
            total = 0
            for one in (root, *root.children(recursive=True)):
                try:
                    total += one.memory_full_info().pss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)
        except psutil.Error:
            return
        time.sleep(1.0)


def stage(source: str, lake: str, recipe_file: str) -> None:
    """A contestant of ours, in its own process: the extract stage."""
    from crawlmill.lake import ledger
    from crawlmill.protocol import stage as stages
    from crawlmill.protocol.session import build
    from crawlmill.recipes import recipe

    spark = build("bench")
    ready = spark.range(10).mapInArrow(lambda batches: batches, "id long")  # the JVM, a Python worker and Delta are there
    ready.write.format("delta").save(f"{lake}-warm-up")
    assert spark.read.format("delta").load(f"{lake}-warm-up").count() == 10
    tree = (psutil.Process(), *psutil.Process().children(recursive=True))
    start = sum(sum(one.cpu_times()[:4]) for one in tree)
    java = next(one for one in tree if one.name() == "java")
    began = sum(java.cpu_times()[:2])
    job = stages.Job(lake=lake, recipe=recipe.load(recipe_file), source=source, snapshot=SNAPSHOT)
    row = stages.run(stages.load("extract"), job, spark)
    assert row.verdict in ledger.RELEASED, row.message
    from deltalake import DeltaTable

    documents = DeltaTable(f"{lake}/documents")
    actions = documents.get_add_actions(flatten=True)
    answer = {
        "start": start,
        "documents": sum(count["written"] for count in row.counts),
        "pages": sum(count["read"] for count in row.counts),
        "stored": sum(actions["size_bytes"].to_pylist()),
        "stage_seconds": round(row.seconds, 1),
        "java": sum(java.cpu_times()[:2]) - began,
    }
    spark.stop()
    print(json.dumps(answer), flush=True)


def ours(work: Path, name: str, files: list[Path], overrides: str) -> dict[str, Any]:
    """The stage on these files with some keys of `extract` changed; `texts` are its {url, text} lines."""
    from deltalake import DeltaTable

    folder = work / f"{name}-{len(files)}"
    folder.mkdir()
    recipe_file = folder / "recipe.yaml"
    recipe_file.write_text(f"extends: default\nextract: {{{overrides}}}\n")
    source = mirror(folder / "crawl", files)
    command = [sys.executable, __file__, "--stage", str(source), str(folder / "lake"), str(recipe_file)]
    counting = "--conf spark.python.daemon.module=extract_daemon pyspark-shell"  # no worker's CPU seconds are lost
    env = {
        "PYTHONPATH": f"{ROOT / 'jobs'}:{ROOT / 'tests' / 'bench'}",
        "CRAWLMILL_HOME": str(ROOT),
        "PYSPARK_SUBMIT_ARGS": counting,
    }
    result = measured(command, env)
    documents = DeltaTable(str(folder / "lake" / "documents")).to_pyarrow_table(columns=["url", "text"]).to_pylist()
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    return result | {"texts": folder / "texts.jsonl"}


def show(rows: list[tuple[str, int, dict[str, Any]]]) -> None:
    """The table: by page, ratios to datatrove where it ran."""
    base = next(((r["cpu"] - r["start"]) / pages for name, pages, r in rows if name == "datatrove"), None)
    print(
        f"{'':24}{'pages':>8}{'docs':>8}{'CPU s':>8}{'start':>7}{'Java':>7}{'ms/page':>9}{'pages/s':>9}{'x dt':>7}{'MB out':>8}"
        f"{'peak MB':>9}{'wall':>7}{'F1':>7}"
    )
    for name, pages, r in rows:
        net = (r["cpu"] - r["start"]) / pages
        ratio = f"{base / net:.1f}" if base else ""
        stored = f"{r['stored'] / 1e6:.1f}" if "stored" in r else ""
        quality = f"{r['f1']:.3f}" if "f1" in r else ""
        java = f"{r['java']:.1f}" if "java" in r else ""
        print(
            f"{name:24}{pages:>8}{r['documents']:>8}{r['cpu']:>8.1f}{r['start']:>7.1f}{java:>7}{1000 * net:>9.2f}{1 / net:>9.0f}{ratio:>7}{stored:>8}"
            f"{r['peak'] / 2**20:>9.0f}{r['wall']:>7.0f}{quality:>7}  {r.get('versions', '')}",
            flush=True,
        )


def _gold(file: Path) -> Path:
    return file.with_name(file.name.replace(".warc.gz", ".gold.jsonl"))


def f1(files: list[Path], texts: Path, gold: Path) -> float:
    """Shingle F1 of {url, text} lines over the gold texts beside the files, by the shared data's own program."""
    from tests.bench.extraction_quality import SHARED, scored

    gold.mkdir(exist_ok=True)
    for file in files:
        if not (gold / _gold(file).name).exists():
            (gold / _gold(file).name).symlink_to(_gold(file).resolve())
    return scored(SHARED / "data" / "score" / "extraction_f1.py", gold, texts, "source")["ALL"]["f1"]


def compare(options: argparse.Namespace, files: list[Path], work: Path) -> None:
    rows = []
    if set(options.only) & set(PEERS):
        shared = every(files, options.share, work / "share")
        every(files[:1], 1 << 30, work / "first")  # one page: what a peer takes to start, its workers' imports included
    for name in options.only:
        if name in PEERS:
            program = [options.peer_python, str(Path(__file__).with_name("extract_peer.py")), name]
            start = measured([*program, str(work / "first"), str(work / f"{name}-first")])["cpu"]
            result = measured([*program, str(work / "share"), str(work / name)]) | {"start": start}
            pages, texts = sum(1 for file in shared for _ in _members(file)), work / name / "texts.jsonl"
        else:
            result = ours(work, name.replace(" ", "-"), files, CONTESTANTS[name])
            pages, texts = result["pages"], result["texts"]
        if options.share == 1 and files and all(_gold(file).is_file() for file in files):
            result["f1"] = f1(files, texts, work / "gold")
        rows.append((name, pages, result))
        show(rows[-1:])
    print()
    show(rows)


CONTESTANTS = {
    "crawlmill default": "",
    "crawlmill fast": "backend: resiliparse",
    "crawlmill learned": "backend: crawlmill",
    "crawlmill unguarded": "guard_seconds: null",
}


def _members(file: Path) -> Any:
    from crawlmill.limits import Limits
    from crawlmill.sources.members import frames

    with file.open("rb") as stream:
        yield from frames(stream, Limits())


def scaling(options: argparse.Namespace, files: list[Path], work: Path) -> None:
    """Cost per page of one file and of ten, and the marginal cost of the other nine."""
    few, many = (ours(work, "crawlmill", some, CONTESTANTS[options.only[0]]) for some in (files[:1], files[:10]))
    show([("1 file", few["pages"], few), (f"{len(files[:10])} files", many["pages"], many)])
    marginal = (many["cpu"] - few["cpu"]) / (many["pages"] - few["pages"])
    print(f"marginal: {1000 * marginal:.2f} ms/page")


def guard(files: list[Path], rounds: int = 3) -> None:
    """What the guard adds to a page, in one process without Spark: alone, where it can be told from noise, and around the extraction, in turns."""
    import resource

    from tests.fixtures.arrow import extract_schema

    from crawlmill.recipes import recipe
    from crawlmill.sources.batches import Reading
    from crawlmill.sources.guard import Progress, guarded

    options, schema = recipe.load().extract, extract_schema()

    def once(seconds: float | None) -> float:
        before = _cpu(resource)
        reading = Reading(str(files[0].parent), options.model_copy(update={"guard_seconds": seconds}), schema)
        assert sum(batch.num_rows for batch in reading.batches(files[0].name, 0)) > 500
        return _cpu(resource) - before

    ready = list(
        Reading(str(files[0].parent), options.model_copy(update={"guard_seconds": None}), schema).batches(files[0].name, 0)
    )
    pages = sum(batch.num_rows for batch in ready)

    def handed_on(progress: Progress) -> Any:
        for batch in ready:
            for number in range(batch.num_rows):
                progress.begin(number, 1)
                progress.end()
            yield batch

    def alone() -> float:
        before = _cpu(resource)
        assert sum(batch.num_rows for batch in guarded(handed_on, schema, 5.0, {}, lambda place, message: None)) == pages
        return _cpu(resource) - before

    turns = [(once(None), once(5.0)) for _ in range(rounds)]
    for plain, watched in turns:
        print(f"{pages} pages: without {plain:.2f} CPU s, with {watched:.2f}: {100 * (watched / plain - 1):+.1f} %")
    cost, best = min(alone() for _ in range(10)), min(plain for plain, _ in turns)
    print(
        f"alone (fork, clock, Arrow through the pipe): {1000 * cost:.0f} ms, {1e6 * cost / pages:.0f} us/page of {1e6 * best / pages:.0f}: "
        f"{100 * cost / best:.1f} %"
    )


def _cpu(resource: Any) -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def memory(gigabytes: float, work: Path) -> None:
    """Peak memory of one reader (parent, child, download) of a large crawl file that comes over loopback HTTP."""
    (work / "collinfo.json").write_text("[]")
    size = large_file(work / "large.warc.gz", int(gigabytes * 1e9))
    result = measured(
        [sys.executable, __file__, "--read", str(work)], {"PYTHONPATH": f"{ROOT / 'jobs'}:{ROOT}", "CRAWLMILL_HOME": str(ROOT)}
    )
    print(
        f"{size / 1e9:.2f} GB, {result['rows']} rows: peak {result['peak'] / 2**20:.0f} MB, {result['cpu']:.0f} CPU s, {result['wall']:.0f} s"
    )


def large_file(path: Path, size: int) -> int:
    """A crawl file of pages of 50 kB, most of it a script that does not compress."""
    import base64

    from tests.fixtures import warcs

    with path.open("wb") as file:
        number = 0
        while file.tell() < size:
            noise = base64.b64encode(os.urandom(49_000))
            text = warcs.PROSE + b"Page %d.</p><script>%s</script><p>" % (number, noise)
            file.write(gzip.compress(warcs.page(number, text), compresslevel=0, mtime=0))
            number += 1
        return file.tell()


def read(folder: str) -> None:
    """A contestant of `--memory`: every batch of the file, as the Spark worker takes them."""
    from tests.fixtures.arrow import extract_schema

    from crawlmill.recipes import recipe
    from crawlmill.sample_crawl.server import serving
    from crawlmill.sources.batches import Reading

    with serving(Path(folder)) as address:
        reading = Reading(address, recipe.load().extract, extract_schema())
        rows = sum(batch.num_rows for batch in reading.batches("large.warc.gz", 0))
    print(json.dumps({"rows": rows}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crawl", type=Path, help="folder of *.warc.gz")
    parser.add_argument("--files", type=int, default=2, help="crawl files that ours reads (about 9,900 pages each)")
    parser.add_argument("--share", type=int, default=4, help="peers get every so manieth page")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has datatrove and trafilatura")
    parser.add_argument("--only", nargs="*", default=["crawlmill default", "crawlmill fast", *PEERS])
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--guard", action="store_true")
    parser.add_argument("--memory", type=float, help="GB")
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        return stage(*options.stage)
    if options.read:
        return read(options.read)
    with tempfile.TemporaryDirectory(prefix="bench-extract-") as folder:
        if options.memory:
            return memory(options.memory, Path(folder))
        files = sorted(options.crawl.rglob("*.warc.gz"))
        if options.guard:
            return guard(every(files[:1], options.share, Path(folder) / "share"))
        if options.scaling:
            return scaling(options, files, Path(folder))
        return compare(options, files[: options.files], Path(folder))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "jobs")]
    main()
