"""Perplexity of clean reference text under n-gram models of what is kept, of what is dropped, and of raw text, in every language with enough of each.

    python tests/bench/reference_perplexity.py --least 5000    # the shared data's pages of the real web
    python tests/bench/reference_perplexity.py --more FOLDER   # and some crawl files of a folder

Pages are judged by the default recipe: main text by its extractor, language, signals, gate; equal texts count once. Two contrasts of one judgement:

* `gate`: a document's main text, whether it passes the gate; raw: all documents. What the gate alone is worth.
* `pipeline`: kept is the main text of documents that pass; dropped the lines of all pages that are in none of these (menus, footers, and
  all of a page that fails); raw the whole text of all pages, as a WET file has it. What extraction and gate are worth together.

The reference is the shared data's sentences (lingua) and paragraphs (UDHR). A language is listed where each side has at least `--least` words
and the reference 300; every such language is. The three models of a language are our Kneser-Ney 3-grams, of equally many words (the smallest side's, at
most `--most`), from pages in an order drawn by a seed, and have one vocabulary: all words of the three and of the reference, so the same events share each
model's probability. Several draws are averaged. An interval is the middle 95 % of resamples of the reference's lines.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from resiliparse.extract.html2text import extract_plain_text

from crawlmill.errors import UserError
from crawlmill.limits import Limits
from crawlmill.recipes import recipe
from crawlmill.recipes.recipe import Recipe
from crawlmill.sources.record import Counts, Record
from crawlmill.sources.records import read_records
from crawlmill.text import arpa, charset, html, kneser_ney, rules, signals
from crawlmill.text.language import Identifier, identifier
from crawlmill.text.language_labels import resolve

SHARED = Path(os.environ.get("CRAWLMILL_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
REAL = ("extraction/*.warc.gz", "warc-samples/dolma--*.warc.gz", "warc-samples/cc_net--*")
SIDES = ("kept", "raw", "dropped")
ENOUGH = 300  # words of reference
Words = list[list[str]]


@dataclass(frozen=True)
class Judged:
    """A page: its language, whether its document passes the gate, main text and whole text (both empty where there is none)."""

    language: str
    passes: bool
    main: str
    whole: str


def texts_of(record: Record) -> tuple[str, str]:
    """Main text and whole text."""
    if record.record_type == "conversion" or record.mime == "text/plain":
        whole = record.payload.decode("utf-8", "replace")
        return whole, whole
    decoded = charset.decode(record.payload, record.http_charset)[0]
    page = html.extract(decoded, record.target_uri)
    if isinstance(page, html.NoPage) and page.reason != "no_text":
        return "", ""
    whole = extract_plain_text(decoded, main_content=False, alt_texts=False, list_bullets=False)
    return (page.text if isinstance(page, html.Page) else ""), whole


def passes(wanted: Recipe, told: Identifier, text: str) -> tuple[str, bool]:
    """The language of a text, and whether the gate lets it pass."""
    (row,) = told.identify([text])
    values = {**signals.measure(text, row.language), "language_score": row.language_score}
    found = rules.failed(rules.rules_for(wanted.gate, row.language, row.language_script), values)
    severe = {name for name, rule in wanted.gate.rules.items() if rule.severity == "reject"}
    return row.language, not any(one.rule in severe for one in found)


def pages(paths: Iterable[Path]) -> Iterator[Judged]:
    """The pages of crawl files, each text once."""
    wanted = recipe.load()
    told, seen = identifier(wanted.identify), set[int]()
    for path in paths:
        with path.open("rb") as file:
            for record in read_records(file, None, Limits(), Counts()):
                if not isinstance(record, Record):
                    continue
                main, whole = texts_of(record)
                if not whole.strip() or hash((main, whole)) in seen:
                    continue
                seen.add(hash((main, whole)))
                language, good = passes(wanted, told, main or whole)
                yield Judged(language, good and bool(main), main, whole)


def reference() -> dict[str, Words]:
    """Lines of words by language (ISO 639-3)."""
    found: dict[str, Words] = {}
    for name in ("lingua", "udhr"):
        with gzip.open(SHARED / f"data/lid/{name}.gold.jsonl.gz", "rt", encoding="utf-8") as file:
            for row in map(json.loads, file):
                if row["kind"] == "word-pair" or row["lang"] == "und":
                    continue
                try:
                    language = resolve(row["lang"])[0]
                except UserError:
                    continue
                found.setdefault(language, []).extend(arpa.words_of(row["text"]))
    return found


def sides(contrast: str, own: list[Judged]) -> dict[str, list[str]]:
    """The texts of the three sides."""
    kept = [page.main for page in own if page.passes]
    if contrast == "gate":
        documents = [page.main for page in own if page.main]
        return {"kept": kept, "raw": documents, "dropped": [page.main for page in own if page.main and not page.passes]}
    dropped = [_without(page.whole, page.main) if page.passes else page.whole for page in own]
    return {"kept": kept, "raw": [page.whole for page in own], "dropped": dropped}


def _without(whole: str, main: str) -> str:
    """The lines of a page that are not in its main text."""
    known = " ".join(main.split())
    lines = (" ".join(line.split()) for line in whole.splitlines())
    return "\n".join(line for line in lines if line and line not in known)


def cut(texts: Iterable[str], words: int) -> Words:
    """Lines of texts, in turn, up to so many words."""
    found: Words = []
    for text in texts:
        for line in arpa.words_of(text):
            if words <= 0:
                return found
            found.append(line[:words])
            words -= len(line)
    return found


def model(lines: Words, words: list[str]) -> arpa.Model:
    numbers = {word: number for number, word in enumerate(words)}
    windows = kneser_ney.windows([[numbers[word] for word in line] for line in lines], 3)
    return kneser_ney.estimate(words, *kneser_ney.distinct(windows, np.ones(len(windows), dtype=np.int64)))


def likelihoods(parts: dict[str, list[str]], size: int, asked: Words, draws: int) -> NDArray[np.float64]:
    """log10 of each line of the reference (a column) under the model of each side (a row), the mean of some draws."""
    total = np.zeros((len(SIDES), len(asked)))
    for draw in range(draws):
        chosen = [cut(random.Random(f"{draw} {side}").sample(parts[side], len(parts[side])), size) for side in SIDES]
        every = {word for lines in (*chosen, asked) for line in lines for word in line} - set(kneser_ney.SPECIAL)
        words = [*kneser_ney.SPECIAL, *sorted(every)]
        total += np.stack([model(lines, words).log10(asked) for lines in chosen])
    return total / draws


@dataclass(frozen=True)
class Row:
    """A language's figures: perplexities in the order of SIDES, and the intervals of raw / kept and dropped / raw."""

    language: str
    documents: tuple[int, int]
    words: int
    asked: int
    perplexity: tuple[float, float, float]
    intervals: tuple[tuple[float, float], tuple[float, float]]

    @property
    def ordered(self) -> bool:
        """Whether kept < raw < dropped."""
        kept, raw, dropped = self.perplexity
        return kept < raw < dropped


def compare(contrast: str, found: dict[str, list[Judged]], least: int, most: int, draws: int) -> Iterator[Row]:
    """A row for every language with enough text, in alphabetical order."""
    clean = reference()
    for language, own in sorted(found.items()):
        asked = clean.get(language, [])
        count = sum(map(len, asked))
        parts = sides(contrast, own)
        size = min(sum(len(line) for line in cut(parts[side], most)) for side in SIDES)
        if size < least or count < ENOUGH:
            continue
        lines = likelihoods(parts, size, asked, draws)
        lengths = np.array([len(line) + 1 for line in asked])
        kept, raw, dropped = (10 ** (-lines.sum(axis=1) / lengths.sum())).tolist()
        passed = sum(page.passes for page in own)
        intervals = _interval(lines[0] - lines[1], lengths), _interval(lines[1] - lines[2], lengths)
        yield Row(language, (passed, len(own) - passed), size, count, (kept, raw, dropped), intervals)


def _interval(difference: NDArray[np.float64], lengths: NDArray[np.int64]) -> tuple[float, float]:
    """Of a ratio of perplexities, by resampling lines 1,000 times."""
    at = np.random.default_rng(1).integers(0, len(lengths), (1000, len(lengths)))
    ratios = 10 ** (difference[at].sum(axis=1) / lengths[at].sum(axis=1))
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def by_language(judged: Iterable[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for page in judged:
        found.setdefault(page.language, []).append(page)
    return found


def real() -> list[Path]:
    """The shared data's crawl files of the real web."""
    return sorted(path for pattern in REAL for path in (SHARED / "data").glob(pattern))


def show(contrast: str, rows: list[Row]) -> None:
    print(f"\n{contrast}: {sum(row.ordered for row in rows)} of {len(rows)} languages have kept < raw < dropped")
    print(
        "language  pages kept/dropped  words a model  reference     kept      raw  dropped  raw / kept (95 %)     dropped / raw (95 %)"
    )
    for row in rows:
        kept, raw, dropped = row.perplexity
        first, second = row.intervals
        print(
            f"{row.language:9s} {row.documents[0]:9,d}/{row.documents[1]:<9,d}{row.words:13,d}{row.asked:11,d} {kept:9.0f}{raw:9.0f}{dropped:9.0f}"
            f"  {raw / kept:.3f} ({first[0]:.3f}-{first[1]:.3f})  {dropped / raw:.3f} ({second[0]:.3f}-{second[1]:.3f})"
            f"{'' if row.ordered else '  not in order'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--more", type=Path, metavar="FOLDER", help="of further crawl files")
    parser.add_argument("--files", type=int, default=3, help="of --more, so many [3]")
    parser.add_argument("--only-more", action="store_true", help="leave the shared data's pages out")
    parser.add_argument("--least", type=int, default=20_000, help="words of a side [20000]")
    parser.add_argument("--most", type=int, default=200_000, help="words of a model [200000]")
    parser.add_argument("--draws", type=int, default=3, help="models of a side [3]")
    given = parser.parse_args()
    if not (SHARED / "data").is_dir():
        sys.exit(f"there is no shared test data in {SHARED}: set CRAWLMILL_SHARED")
    more = sorted(given.more.rglob("*.warc.gz"))[: given.files] if given.more else []
    found = by_language(pages([*([] if given.only_more else real()), *more]))
    for contrast in ("gate", "pipeline"):
        show(contrast, list(compare(contrast, found, given.least, given.most, given.draws)))


if __name__ == "__main__":
    main()
