"""How well and how fast languages are told: `python tests/bench/identify.py [--shared DIR] [--model NAME] [--long FILE]`.

Prints, for the labelled texts of the shared test data (none of which the weights were fitted on): accuracy and macro-F1 by source, length and
group of close languages; the frontier between known texts lost and unknown texts kept, with the bare model beside it, for single sentences and for
passages joined of them; the most frequent confusions; documents per CPU second; and for long texts (rows with `text`) the agreement of samples with the
full text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from crawlmill import rowfile
from crawlmill.recipes import recipe
from crawlmill.text.language import LANGUAGES, Identifier, LanguageRow, identifier
from crawlmill.text.language_model import entry

HERE = Path(__file__).resolve().parents[2]
# Written languages that share most of their words and spelling: a mistake within a group is of another kind than one across.
GROUPS = {
    "south slavic": "bs hr sr sh mk bg sl", "scandinavian": "no nn da sv", "malay": "id ms min jv su", "czech, slovak": "cs sk",
    "chinese": "zh yue wuu", "turkic": "az tr tk uz tt ba kk ky ug crh azb tyv sah cv", "hindi": "hi bho mai ne mr sa new dty",
    "iberian": "es pt gl ca ast an oc mwl", "italian": "it co sc scn vec lmo pms nap eml rm", "dutch, german": "nl af li fy nds vls de gsw bar lb",
    "philippine": "tl ceb war ilo pam bcl", "east slavic": "ru uk be rue", "persian": "fa tg ps ckb ku lrc mzn", "english": "en sco",
}  # fmt: skip
LENGTHS = ((0, 20), (20, 50), (50, 100), (100, 200), (200, 10**9))
JOINED = 600  # code points
LIMIT = 0.5  # the default recipe's
LIMITS = (0.3, 0.4, 0.5, 0.65, 0.8)


def canon(code: str, table: dict[str, str]) -> str:
    name = code.partition("_")[0].partition("-")[0].lower()
    return table.get(name, name)


def load(shared: Path) -> list[dict[str, Any]]:
    table = json.loads((shared / "data/score/lang_canon.json").read_text(encoding="utf-8"))
    rows = []
    for file in sorted((shared / "data/lid").glob("*.gold.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    known = {canon(code, table) for code in LANGUAGES}
    for row in rows:
        row["gold"] = canon(row["lang"], table)
        row["known"] = row["gold"] in known
        row["group"] = f"{row['source']}/{row['kind']}"
        row["table"] = table
    return rows


def macro_f1(pairs: list[tuple[str, str]]) -> tuple[float, float]:
    """(accuracy, macro-F1 over the gold languages) of (gold, told)."""
    right = Counter(gold for gold, told in pairs if gold == told)
    gold, told = Counter(gold for gold, _ in pairs), Counter(told for _, told in pairs)
    f1 = [2 * right[code] / (gold[code] + told[code]) for code in gold]
    return sum(right.values()) / len(pairs), sum(f1) / len(f1)


def accuracy_table(rows: list[dict[str, Any]], names: list[str]) -> None:
    print(f"\n{'known texts':28s} {'texts':>6s} " + " ".join(f"{name + ' acc':>14s} {'macro-F1':>9s}" for name in names))
    parts = {group: [row for row in rows if row["group"] == group] for group in sorted({row["group"] for row in rows})}
    sentences = [row for row in rows if row["kind"] != "word-pair" and "joined" not in row["group"]]
    for low, high in LENGTHS:
        parts[f"{low}-{high if high < 10**9 else ''} code points"] = [row for row in sentences if low <= len(row["text"]) < high]
    for name, part in parts.items():
        part = [row for row in part if row["known"]]
        if part:
            figures = [macro_f1([(row["gold"], row[label]["told"]) for row in part]) for label in names]
            print(f"{name:28s} {len(part):6d} " + " ".join(f"{acc:14.3f} {f1:9.3f}" for acc, f1 in figures))


def group_table(rows: list[dict[str, Any]], name: str) -> None:
    """Accuracy within the groups of close languages: the language told, and at least one of its group."""
    print(f"\n{'group of close languages (' + name + ')':40s} {'texts':>6s} {'right':>7s} {'in the group':>13s}")
    for group, codes in GROUPS.items():
        part = [row for row in rows if row["known"] and row["gold"] in codes.split() and row["kind"] != "word-pair"]
        right = sum(row["gold"] == row[name]["told"] for row in part)
        inside = sum(row[name]["told"] in codes.split() for row in part)
        print(f"{group:40s} {len(part):6d} {right / len(part):7.3f} {inside / len(part):13.3f}")
    others = [
        row
        for row in rows
        if row["known"] and row["kind"] != "word-pair" and row["gold"] not in " ".join(GROUPS.values()).split()
    ]
    print(f"{'all others':40s} {len(others):6d} {sum(row['gold'] == row[name]['told'] for row in others) / len(others):7.3f}")


def joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sentences and paragraphs of a source and language joined to passages of JOINED code points: the length of a short page."""
    found: list[dict[str, Any]] = []
    open_ones: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["kind"] == "word-pair":
            continue
        key = (row["source"], row["lang"])
        passage = open_ones.setdefault(key, {**row, "text": "", "group": f"{row['source']}, joined"})
        passage["text"] += ("\n" if passage["text"] else "") + row["text"]
        if len(passage["text"]) >= JOINED:
            found.append(open_ones.pop(key))
    return found


def frontier(rows: list[dict[str, Any]], names: list[str]) -> None:
    print(
        "\nfrontier: share of known texts lost (score below the limit, or und) / of texts in unknown languages that keep a label"
    )
    groups = {
        **{group: [row for row in rows if row["group"] == group] for group in sorted({row["group"] for row in rows})},
        "all": rows,
    }
    print(
        f"{'':24s} {'':10s} "
        + " ".join(f"{f'limit {limit}':>13s}" for limit in LIMITS)
        + f" {'unknown .05':>12s} {'lost .05':>9s}"
    )
    for group, part in groups.items():
        for name in names:
            known = sorted(row[name]["score"] for row in part if row["known"])
            other = sorted(row[name]["score"] for row in part if not row["known"])
            cells = [f"{share(known, limit):.3f} / {1 - share(other, limit):.3f}" for limit in LIMITS]
            strict, loose = other[int(0.95 * len(other))], known[int(0.05 * len(known))]
            print(f"{group:24s} {name:10s} " + " ".join(f"{cell:>13s}" for cell in cells)
                  + f" {share(known, strict, strictly=False):12.3f} {1 - share(other, loose):9.3f}")  # fmt: skip


def share(scores: list[float], limit: float, strictly: bool = True) -> float:
    return sum(score < limit if strictly else score <= limit for score in scores) / len(scores)


def confusions(rows: list[dict[str, Any]], name: str) -> None:
    group_of = {code: group for group, codes in GROUPS.items() for code in codes.split()}
    wrong = Counter((row["gold"], row[name]["told"]) for row in rows if row["known"] and row["gold"] != row[name]["told"])
    within = sum(n for (gold, told), n in wrong.items() if group_of.get(gold, gold) == group_of.get(told, told))
    print(
        f"\nwrong labels of known texts ({name}): {sum(wrong.values())}, {within} of them within a group of close languages; the most frequent:"
    )
    print("  " + ", ".join(f"{gold}→{told} {n}" for (gold, told), n in wrong.most_common(30)))
    passed = Counter((row["gold"], row[name]["told"]) for row in rows if not row["known"] and row[name]["score"] >= LIMIT)
    print(f"unknown texts with a label at {LIMIT} ({name}): {sum(passed.values())}; the most frequent:")
    print("  " + ", ".join(f"{gold}→{told} {n}" for (gold, told), n in passed.most_common(20)))


def speed(texts: list[str], label: str, model: Identifier) -> list[LanguageRow]:
    model.identify(texts[:50])
    begun = time.process_time()
    found = model.identify(texts)
    seconds = time.process_time() - begun
    size = sum(len(text.encode("utf-8", "replace")) for text in texts) / 1e6
    print(f"{label:34s} {len(texts) / seconds:9.0f} documents, {size / seconds:6.2f} MB per CPU second")
    return found


def long_texts(file: str, model: Any) -> None:
    texts = [str(row["text"]) for row in rowfile.read(file) if len(str(row.get("text") or "")) > 200][:4000]
    mean = sum(map(len, texts)) / len(texts)
    print(
        f"\n{len(texts)} texts of {file}, {mean:.0f} code points in the mean; agreement of label (and of passing {LIMIT}) with the full text"
    )
    speed(texts, "bare model, full text", Identifier(model, use_opinions=False))
    full = speed(texts, "full text", Identifier(model, min_score=0.3))
    for chars in (1000, 2000, 3000, 5000, 10000):
        found = speed(texts, f"sample of {chars}", Identifier(model, min_score=0.3, max_chars=chars))
        same = sum(one.language == other.language for one, other in zip(found, full, strict=True)) / len(texts)
        passing = sum(
            (one.language, one.language_score >= LIMIT) == (other.language, other.language_score >= LIMIT)
            for one, other in zip(found, full, strict=True)
        )
        print(f"{'':34s} {same:9.4f} {passing / len(texts):9.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("CRAWLMILL_SHARED") or HERE.parent / "shared"))
    parser.add_argument("--model", default="lid.176.ftz")
    parser.add_argument("--long", help="rows with `text`: JSON lines or Parquet")
    given = parser.parse_args()
    if not (given.shared / "data/lid").is_dir():
        sys.exit(f"no labelled texts in {given.shared}: set CRAWLMILL_SHARED to the shared test data")
    rows = load(given.shared)
    model = entry(given.model)
    variants = {
        "bare": Identifier(model, use_opinions=False),
        "opinions": Identifier(model),
        "default": identifier(recipe.load().identify),
    }
    texts = [row["text"] for row in rows]
    for name, one in variants.items():
        for row, found in zip(rows, speed(texts, name, one), strict=True):
            row[name] = {"told": canon(found.language, row["table"]), "score": found.language_score}
    passages = joined(rows)
    for name, one in variants.items():
        for row, found in zip(passages, one.identify([row["text"] for row in passages]), strict=True):
            row[name] = {"told": canon(found.language, row["table"]), "score": found.language_score}
    accuracy_table([*rows, *passages], list(variants))
    group_table(rows, "default")
    frontier(rows, list(variants))
    print(f"the same, joined to passages of {JOINED} code points")
    frontier(passages, list(variants))
    confusions(rows, "default")
    if given.long:
        long_texts(given.long, model)


if __name__ == "__main__":
    main()
