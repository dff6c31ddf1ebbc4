"""What the CPU hooks do to extracted text: shingle F1 against gold text, before and after, on the shared extraction sets.

    python -m tests.bench.hook_effect WARC GOLD_JSONL [--hooks prox_rules boilerplate_lines unicode_normalise]

Token 4-gram shingles as in the article-extraction benchmark, averaged over pages with gold text; a page proposed to be dropped keeps its
text here, since dropping is the gate's business, and is counted. Nothing is tuned to these sets.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path

from crawlmill.recipes import recipe
from crawlmill.sources.pages import EVERY_TEXT, read_pages
from crawlmill.text.hooks import Document, available, run_hooks
from crawlmill.text.language import identifier

TOKENS = re.compile(r"\w+")


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """4-grams of words."""
    found = TOKENS.findall(text)
    return Counter(tuple(found[at : at + 4]) for at in range(max(1, len(found) - 3))) if found else Counter()


def scores(texts: dict[str, str], gold: dict[str, str]) -> tuple[float, float, float]:
    """Mean precision, mean recall, their harmonic mean."""
    precision, recall = [], []
    for url, wanted in gold.items():
        said, told = shingles(texts.get(url, "")), shingles(wanted)
        both = (said & told).total()
        if said:
            precision.append(both / said.total())
        recall.append(both / told.total())
    p, r = sum(precision) / len(precision), sum(recall) / len(recall)
    return p, r, 2 * p * r / (p + r)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("warc")
    parser.add_argument("gold")
    parser.add_argument("--hooks", nargs="+", default=["unicode_normalise", "boilerplate_lines", "prox_rules"])
    options = parser.parse_args()
    wanted = recipe.load()
    gold = {row["url"]: row["text"] for row in map(json.loads, Path(options.gold).open()) if row.get("text")}
    pages = read_pages(options.warc, options.warc, None, wanted.extract.read_limits().__class__(mimes=EVERY_TEXT), "resiliparse")
    texts = {row["url"]: row["text"] for row in pages if row["row"] == "document" and row["url"] in gold}
    labels = dict(zip(texts, identifier(wanted.identify).identify(list(texts.values())), strict=True))
    print(f"{len(texts)} of {len(gold)} pages\n{'hook':<22}{'P':>8}{'R':>8}{'F1':>8}{'changed':>9}{'drops':>7}{'ms/page':>9}")
    print(f"{'none':<22}" + "".join(f"{value:>8.4f}" for value in scores(texts, gold)))
    for name in options.hooks:
        hook = available()[name]
        outcomes: Counter[str] = Counter()
        after, started = {}, time.process_time()
        for url, text in texts.items():
            document = Document(text, url=url, language=labels[url].language, language_script=labels[url].language_script)
            changed, (step,) = run_hooks(document, [(hook, hook.options)])
            outcomes[step.outcome] += 1
            after[url] = changed if changed is not None else text
        spent = 1000 * (time.process_time() - started) / len(texts)
        line = "".join(f"{value:>8.4f}" for value in scores(after, gold))
        print(f"{name:<22}{line}{outcomes['changed']:>9}{outcomes['dropped_proposal']:>7}{spent:>9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
