"""Trains the learned extractor: folders of `NAME.warc.gz` with `NAME.gold.jsonl` in, model file and training report out.

    python jobs/train_extractor.py FOLDER ... [--out FOLDER] [--trees 220 160] [--folds 5] [--texts FOLDER] [--skip-sources]

A gold row is {url, source, text, page_type?}. Two passes of oblivious trees are fitted: the first sees blocks, the second also the first one's
probabilities around each block. Two cross-validations go before the final fit: by host (no host in both halves of a fold) and by source (one
source left out at a time; `wcxb-more` is a part of `wcxb`). Same input, same files: one thread, fixed seeds, no clock. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from resiliparse.parse.html import HTMLTree

from crawlmill.limits import Limits
from crawlmill.text.extractor import features, model, teaching, training
from crawlmill.text.extractor.arrays import Floats
from crawlmill.text.extractor.render import plain
from crawlmill.text.extractor.report import markdown, scores_of
from crawlmill.text.extractor.teaching import Example

PACKAGE = Path(model.__file__).parent


def examples(folders: list[Path], most_blocks: int) -> list[Example]:
    """Every page of the folders that has gold text and blocks; pages without blocks score as empty ones in the benchmark, not here."""
    found = []
    for folder in folders:
        for html, gold in teaching.read_folder(folder):
            if gold.get("text"):
                body = HTMLTree.parse(html.encode("utf-8", "replace").decode()).body
                page = model.read(body.html, most_blocks) if body is not None else None
                found.append(teaching.example(page, gold))
    return [example for example in found if example.page is not None]


def write_texts(folder: Path, pages: list[Example], probabilities: dict[str, list[Floats]]) -> None:
    """{url, text} of every page, as trees that saw neither its host nor (by_source) its source would extract it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, by_page in probabilities.items():
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as out:
            for page, probability in zip(pages, by_page, strict=True):
                assert page.page is not None
                text = plain(page.page, teaching.chosen(page, probability, training.MIX)[0])
                out.write(json.dumps({"url": page.url, "text": text}, ensure_ascii=False) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Trains, writes `model.npz`, `training.json` and `training.md`, prints the report."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example: python jobs/train_extractor.py gold-pages/ --out model/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=PACKAGE)
    parser.add_argument("--trees", nargs=2, type=int, default=training.TREES)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--texts",
        type=Path,
        help="folder for the cross-validated texts, to be scored by other programs: by_host.jsonl, by_source.jsonl",
    )
    parser.add_argument("--skip-sources", action="store_true", help="no cross-validation by source")
    options = parser.parse_args(argv)
    pages = examples(options.folders, Limits().max_blocks)
    if not pages:
        print("no page with gold text was found: a folder holds NAME.warc.gz with NAME.gold.jsonl beside it", file=sys.stderr)
        return 2
    bench = training.Bench(pages, tuple(options.trees), progress=lambda line: print(line, file=sys.stderr, flush=True))
    by_host = bench.cross_validate([teaching.fold(page.host, options.folds) for page in pages])
    report = {"pages": len(pages), "blocks": bench.blocks, "trees": options.trees, "folds": options.folds}
    report["by_host"] = scores_of(pages, by_host, training.MIX)
    report["by_host_first_pass"] = scores_of(pages, [page.passes["first"] for page in pages], training.MIX)
    probabilities = {"by_host": by_host}
    if not options.skip_sources:
        probabilities["by_source"] = bench.cross_validate_sources()
        report["by_source"] = scores_of(pages, probabilities["by_source"], training.MIX)
    trained = bench.final(by_host)
    report["calibration"] = bench.calibration(by_host)
    report["features"] = {
        "first": bench.weights(trained.first, features.NAMES),
        "second": bench.weights(trained.second, bench.second_names(trained)),
    }
    if options.texts:
        write_texts(options.texts, pages, probabilities)
    np.savez_compressed(options.out / model.FILE, **model.to_arrays(trained))
    (options.out / "training.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (options.out / "training.md").write_text(markdown(report), encoding="utf-8")
    print(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
