"""Prints the tables of limits that are shipped for FineWeb-2, made from its published figures.

python -m tests.bench.fineweb2_limits fineweb2 FIGURES > jobs/recipes/fineweb2.tsv
python -m tests.bench.fineweb2_limits glotlid FIGURES > jobs/recipes/glotlid.tsv

FIGURES is JSON lines with the thresholds of a language and script each (huggingface/fineweb-2, configs/, Apache-2.0).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from crawlmill.recipes.limit_table import Limit, write
from crawlmill.text.language import LANGUAGES

Row = tuple[str, dict[str, Limit], str]
LONGEST = 40  # a mean word length above it is no property of a language
ALIASES = {"hbs_Latn": "hrv_Latn", "hbs_Cyrl": "srp_Cyrl"}  # lid.176 has a label for the macrolanguage
ENGLISH = "eng"  # no configuration of FineWeb-2, and not to fall to what other languages in Latin script have

FINEWEB2 = """Limits of the gate's rules by language and script, from FineWeb-2's filter configurations (huggingface/fineweb-2, configs/, Apache-2.0).
Written by tests/bench/fineweb2_limits.py. A language that FineWeb-2 has in one script only stands for all scripts.

What is not taken over as it is; the column note tells it for each cell:
  a share of 1 or above        fires on degenerate text only, if at all: cut to the 95th percentile of the usable limits of all languages
  mean word length             a greatest one above 40 (the highest is 3141) is cut likewise, to 21; a least one that is not below the greatest
                               leaves no document: both are left to the script's row
  alphabetic words             FineWeb-2 gives the least share, the rule here is on the share without a letter; a least share above .95 (1: no
                               document with a number passes) is cut to the 95th percentile of all languages
  repeated lines, word length  a limit of 0 is FineWeb-2's way to say off; so is a share of lines with end marks of 0 or below
For all languages FineWeb-2 switches the short-line rule and the rule on characters in repeated lines (Gopher) off and allows .1 of the characters in
repeated lines (FineWeb). A script's row, which languages without a row and empty cells fall back to, is the median over the script's
languages that lid.176 tells, which are those with a presence on the web (where it tells none: over all); off where half of them are off."""

GLOTLID = """Least score of a language under GlotLID v3, from FineWeb-2's configurations (huggingface/fineweb-2, configs/, Apache-2.0): median less one standard
deviation, at least .3 and at most .9. They hold for that model only. Written by tests/bench/fineweb2_limits.py."""


def rules_of(figures: dict[str, Any]) -> dict[str, float]:
    """The figures of a configuration by the rule that they are for, as they were published; 0 and below: off."""
    return {
        "dup_line_frac": figures["dup_line_frac"],
        **{f"top_{n}_gram": value for n, value in figures["top_n_grams"]},
        **{f"duplicated_{n}_n_grams": value for n, value in figures["dup_n_grams"]},
        "list_ratio": figures["new_line_ratio"],
        "line_punct_ratio": figures["line_punct_thr"],
        "gopher_below_avg_threshold": figures["min_avg_word_length"],
        "gopher_above_avg_threshold": figures["max_avg_word_length"],
        "gopher_below_alpha_threshold": 1 - figures["max_non_alpha_words_ratio"],
    }


def caps(published: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What a limit that makes no sense is cut to: the 95th percentile (of strictness, for alphabetic words) of those that make sense."""
    found = {}
    everywhere = [rules_of(figures) for figures in published.values()]
    for rule in everywhere[0]:
        usable = sorted(values[rule] for values in everywhere if sensible(rule, values[rule]))
        found[rule] = usable[len(usable) // 20 if rule == "gopher_below_alpha_threshold" else len(usable) * 19 // 20]
    return found


def sensible(rule: str, limit: float) -> bool:
    """Whether some documents break a limit and some do not."""
    if rule == "gopher_above_avg_threshold":
        return limit <= LONGEST
    if rule == "gopher_below_alpha_threshold":
        return limit >= 0.05
    return rule == "gopher_below_avg_threshold" or limit < 1


def limits(figures: dict[str, Any], cut: dict[str, float]) -> tuple[dict[str, Limit], str]:
    """The limits of a configuration by rule, and what was not taken over as it is."""
    found: dict[str, Limit] = {"short_line_ratio": None, "dup_line_char_frac": None, "char_dup_ratio": 0.1}
    notes: list[str] = []
    for rule, value in rules_of(figures).items():
        if sensible(rule, value):
            found[rule] = value if value > 0 else None
        else:
            found[rule] = cut[rule]
            notes.append(f"{rule} {round(value, 3):g} cut to {round(cut[rule], 3):g}")
    least, greatest = figures["min_avg_word_length"], found["gopher_above_avg_threshold"]
    if least >= float(greatest or 0):
        del found["gopher_below_avg_threshold"], found["gopher_above_avg_threshold"]
        notes.append(f"mean word length {least:g} to {greatest:g} leaves no document")
    return found, "; ".join(notes)


def script_row(rows: list[Row]) -> Row:
    """The median of what the languages of a script have, rule by rule."""
    told = [row for row in rows if row[0].partition("_")[0] in LANGUAGES] or rows
    found: dict[str, Limit] = {}
    for rule in sorted({rule for _, values, _ in told for rule in values}):
        values = [values[rule] for _, values, _ in told if rule in values]
        numbers = [float(value) for value in values if value is not None]
        found[rule] = median(numbers) if 2 * len(numbers) > len(values) else None
    return "median", found, f"of {len(told)}"


def fineweb2(published: dict[str, dict[str, Any]]) -> str:
    """The table of all limits but the scores."""
    cut = caps(published)
    by_source: dict[str, Row] = {name: (name, *limits(figures, cut)) for name, figures in published.items()}
    scripts: dict[str, list[Row]] = {}
    for name, row in by_source.items():
        scripts.setdefault(name.partition("_")[2], []).append(row)
    table = {label: by_source[name] for name, label in labels(published).items()}
    table |= {label: (name, by_source[name][1], f"as {name}") for label, name in ALIASES.items()}
    table |= {script: script_row(rows) for script, rows in scripts.items()}
    rules = list(max((row[1] for row in by_source.values()), key=len))
    table[ENGLISH] = ("fineweb", dict.fromkeys(rules, "own"), "FineWeb's own limits, which are the rules'")
    return write(FINEWEB2.splitlines(), rules, table)


def glotlid(published: dict[str, dict[str, Any]]) -> str:
    """The table of the scores."""
    rows: dict[str, Row] = {
        label: (name, {"model_score": published[name]["language_score"]}, "") for name, label in labels(published).items()
    }
    return write(GLOTLID.splitlines(), ["model_score"], rows)


def labels(published: dict[str, Any]) -> dict[str, str]:
    """FineWeb-2's name to the label of the row: the language alone where it has one script."""
    languages = Counter(name.partition("_")[0] for name in published)
    return {name: name if languages[name.partition("_")[0]] > 1 else name.partition("_")[0] for name in published}


def load(path: Path) -> dict[str, dict[str, Any]]:
    """The published figures by language and script."""
    return {row["language"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


if __name__ == "__main__":
    made = {"fineweb2": fineweb2, "glotlid": glotlid}[sys.argv[1]](load(Path(sys.argv[2])))
    sys.stdout.write(made)
