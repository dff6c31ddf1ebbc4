"""Scorers: speed, and what a trained one is worth against the rules (perplexity of clean text: reference_perplexity.py).

    python tests/bench/scorers.py speed
    python tests/bench/scorers.py contrast            # shared data: main text against the rest of its page, documentation against other pages
    python tests/bench/scorers.py contrast --more FOLDER    # and the scale corpus: English manuals of programming against other English manuals

Speed is in documents of 4,000 characters per CPU second of one thread. In `contrast` every text is scored by a model that has seen nothing of its host
(five folds); rules and scorer are compared at the recall that the rules have.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from crawlmill.limits import Limits
from crawlmill.recipes import recipe
from crawlmill.scoring import scorer_training as training
from crawlmill.sources.record import Counts, Record
from crawlmill.sources.records import read_records
from crawlmill.text import arpa, charset, fasttext_lines, kneser_ney, rules, scorer_file, signals

SHARED = Path(os.environ.get("CRAWLMILL_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
FOLDS = 5
# The scale corpus's packages in English: what programs are written with, and the rest.
PROGRAMMING = ("openjdk-17-doc", "erlang-doc", "linux-doc-6.1", "qtbase5-doc-html", "qtdeclarative5-doc-html", "postgresql-doc-15",
               "python3.11-doc", "r-doc-html")  # fmt: skip
OTHER = ("libreoffice-help-en-us", "gimp-help-en", "lilypond-doc-html", "debmake-doc", "developers-reference", "debian-reference-en",
         "maint-guide")  # fmt: skip
MOST = 400  # pages of a host


def clock(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds, the least of some runs."""
    best = float("inf")
    for _ in range(times):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def in_turn(works: dict[str, Callable[[], object]], times: int = 7) -> dict[str, float]:
    """The same of several, one after another in each round, so that what slows the machine slows all of them."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(times):
        for name, work in works.items():
            best[name] = min(best[name], clock(work, 1))
    return best


def web_texts(count: int) -> list[str]:
    """Texts of 4,000 characters cut from the shared data's main texts."""
    whole = " ".join(row["text"] for name in ("wcxb", "wcxb-more") for row in gold(name))
    return [whole[at * 4000 : at * 4000 + 4000] for at in range(min(count, len(whole) // 4000))]


def gold(name: str) -> Iterator[dict[str, Any]]:
    with (SHARED / "data/extraction" / f"{name}.gold.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def speed(dim: int, count: int) -> None:
    import fasttext

    texts = web_texts(count)
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(3):
            labelled = [training.Example(scorer_file.PREPARATIONS["dclm"](text), draw.random() < 0.5) for text in texts[:600]]
            paths.append(Path(folder) / f"{number}.bin")
            training.train(labelled, paths[-1], replace(training.PRESETS["dclm"], epoch=1, dim=dim), {})
        prepare = scorer_file.PREPARATIONS["dclm"]
        alone = fasttext_lines.load(paths[0], "0")

        def score() -> None:
            for start in range(0, len(texts), 256):
                lines = [prepare(text) for text in texts[start : start + 256]]
                alone(fasttext_lines.read(lines), lines)

        theirs = fasttext.load_model(str(paths[0])).f
        together = fasttext_lines.load_all(tuple((path, str(number)) for number, path in enumerate(paths)))

        def at_once() -> None:
            for start in range(0, len(texts), 256):
                lines = [prepare(text) for text in texts[start : start + 256]]
                together(fasttext_lines.read(lines), lines)

        rows = in_turn(
            {
                "fastText 0.9.3, one model": lambda: [theirs.predict(prepare(text) + "\n", 1, 0.0, "strict") for text in texts],
                "one model": score,
                "three models": at_once,
            }
        )
    lines = [line for text in texts[:512] for line in arpa.words_of(text)]
    words = [*kneser_ney.SPECIAL, *sorted({word for line in lines for word in line})]
    numbers = {word: number for number, word in enumerate(words)}
    windows = kneser_ney.windows([[numbers[word] for word in line] for line in lines], 3)
    before = time.process_time()
    model = kneser_ney.estimate(words, *kneser_ney.distinct(windows, np.ones(len(windows), dtype=np.int64)))
    estimated = time.process_time() - before
    rows["3-gram perplexity"] = clock(lambda: [model.perplexities(texts[at : at + 256]) for at in range(0, len(texts), 256)])
    print(
        f"{len(texts)} texts of 4,000 characters, {sum(map(len, texts)) / sum(len(t.split()) for t in texts):.2f} characters a word"
    )
    for name, seconds in rows.items():
        print(f"{name:28s} {len(texts) / seconds:9,.0f} documents per CPU second")
    print(f"estimated {len(model.orders[2].keys):,} 3-grams of {len(windows):,} words in {estimated:.1f} CPU seconds")


def contrasts() -> dict[str, list[tuple[str, bool, str]]]:
    """(text, good, host) by name."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    main: dict[str, dict[str, Any]] = {row["url"]: row for row in gold("wcxb-more") if row.get("text")}
    navigation: list[tuple[str, bool, str]] = []
    with (SHARED / "data/extraction/wcxb-more.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            url = record.headers["WARC-Target-URI"]
            if url not in main:
                continue
            from resiliparse.extract.html2text import extract_plain_text

            page = extract_plain_text(charset.decode(record.reader.read(), record.http_charset)[0], main_content=False)
            known = " ".join(main[url]["text"].split())
            rest = [line.strip() for line in page.splitlines() if line.strip() and " ".join(line.split()) not in known]
            host = urlsplit(url).hostname or ""
            navigation += [("\n".join(rest), False, host), (main[url]["text"], True, host)]
    kinds = [(row["text"], row["page_type"] == "documentation", urlsplit(url).hostname or "") for url, row in main.items()]
    return {"main text against the rest of the page": navigation, "documentation against other pages": kinds}


def manuals(folder: Path, files: int) -> list[tuple[str, bool, str]]:
    """(text, whether of programming, host) of the scale corpus's English manuals, the first pages of each host."""
    from tests.bench.reference_perplexity import texts_of

    found: list[tuple[str, bool, str]] = []
    seen: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.warc.gz"))[:files]:
        with path.open("rb") as stream:
            for record in read_records(stream, None, Limits(), Counts()):
                host = (urlsplit(record.target_uri).hostname or "") if isinstance(record, Record) else ""
                package = host.removeprefix("www.").removesuffix(".example")
                if package in (*PROGRAMMING, *OTHER) and seen[host] < MOST and (text := texts_of(record)[0]):
                    seen[host] += 1
                    found.append((text, package in PROGRAMMING, host))
    print(f"{len(found):,} manual pages of {len(seen)} hosts, {sum(good for _, good, _ in found):,} of them of programming")
    return found


def contrast(parts: int, more: Path | None, files: int) -> None:
    gate = recipe.load().gate
    found = rules.rules_for(gate, "eng", "Latn")
    further = {"manuals of programming against other manuals": manuals(more, files)} if more else {}
    for name, rows in {**contrasts(), **further}.items():
        rows = [row for row in rows if len(row[0]) >= 100]
        fold = np.array([int(scorer_file.hashlib.sha256(host.encode()).hexdigest(), 16) % FOLDS for _, _, host in rows])
        good = np.array([row[1] for row in rows])
        scores = np.zeros(len(rows))
        prepare = scorer_file.PREPARATIONS["dclm"]
        lines = [prepare(text) for text, _, _ in rows]
        with tempfile.TemporaryDirectory() as folder:
            for part in range(parts):
                seen = [training.Example(lines[at], bool(good[at]), rows[at][2]) for at in np.flatnonzero(fold != part)]
                train, held = training.split(seen, 200_000)
                path = Path(folder) / f"{part}.bin"
                preset = replace(training.PRESETS["dclm"], epoch=5, lr=0.5, dim=16)  # some thousand texts, not 400,000
                training.train([*train, *(one for one in held if one.good)], path, preset, {})
                at = np.flatnonzero(fold == part)
                scores[at] = training.probabilities(path, [lines[place] for place in at])
        judged = fold < parts
        good, scores, rows = good[judged], scores[judged], [row for row, seen in zip(rows, judged, strict=True) if seen]
        passed = np.array([not rules.failed(found, signals.measure(text, "eng")) for text, _, _ in rows])
        recall, precision = float(passed[good].mean()), float(good[passed].mean())
        threshold = float(np.sort(scores[good])[::-1][max(0, round(recall * good.sum()) - 1)])
        taken = scores >= threshold
        quality = training.judge(scores.tolist(), good.tolist(), (0.5, threshold))
        both = passed & (scores >= 0.5)
        print(f"\n{name}\n{quality}")
        print(
            f"rules alone: precision {precision:.3f} at recall {recall:.3f}; scorer at that recall: {float(good[taken].mean()):.3f}"
        )
        print(f"rules and score >= .5: precision {float(good[both].mean()):.3f} recall {float(both[good].mean()):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "contrast"])
    parser.add_argument("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), help="of five, so many are judged")
    parser.add_argument("--dim", type=int, default=100, help="of the models: fastText's speed depends on it, ours does not [100]")
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--more", type=Path, metavar="FOLDER", help="the scale corpus")
    parser.add_argument("--files", type=int, default=2, help="of --more, so many [2]")
    given = parser.parse_args()
    if not (SHARED / "data").is_dir():
        sys.exit(f"there is no shared test data in {SHARED}: set CRAWLMILL_SHARED")
    contrast(given.folds, given.more, given.files) if given.what == "contrast" else speed(given.dim, given.texts)


if __name__ == "__main__":
    main()
