"""Prints how our signals and rules agree with datatrove's filters and with RedPajama-V2's own code, on the same English texts.

    python -m tests.bench.fidelity --peer-python /path/to/python [--redpajama /path/to/RedPajama-Data/app/src] [--scale FOLDER]

The peer's environment has datatrove with its tokenizers (spacy, nltk) and, for RedPajama-V2, nltk and scipy. Three tables:

1. rule outcomes against datatrove's filters, which are given our tokens: goal 99.5 % of the documents alike in every rule;
2. the same with the words and sentences that datatrove cuts by itself: what a change from datatrove to crawlmill changes;
3. values against RedPajama-V2's code on ASCII texts, each signal and each line: goal all equal at the eight decimals that it keeps.

What is known to differ in the first: datatrove counts a sign that its list of punctuation lacks (a bullet, an arrow) as a word, so a page of
just under 50 words may pass; and it cuts lines at U+0085 and the like too, which pages of a wrong charset are full of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.signal_texts import ascii_only, texts

from crawlmill.recipes.recipe import Importance, Measure, Resource
from crawlmill.text import page, reference, signals_c4
from crawlmill.text.ngrams import roll
from crawlmill.text.sentences import count_sentences
from crawlmill.text.signals import DEFINITION, measure_lines, measure_page
from crawlmill.text.stopwords import listed
from crawlmill.text.words import tokenize

HERE = Path(__file__).parent
# Rule of datatrove -> our signals with the comparison that fails and the limit (datatrove's defaults).
RULES: dict[str, list[tuple[str, str, float]]] = {
    "gopher_short_doc": [("gopher_word_count", "<", 50)],
    "gopher_long_doc": [("gopher_word_count", ">", 100_000)],
    "gopher_below_avg_threshold": [("gopher_mean_word_length", "<", 3)],
    "gopher_above_avg_threshold": [("gopher_mean_word_length", ">", 10)],
    "gopher_too_many_symbols": [("gopher_hash_to_word_ratio", ">", 0.1), ("gopher_ellipsis_to_word_ratio", ">", 0.1)],
    "gopher_too_many_bullets": [("gopher_bullet_line_frac", ">", 0.9)],
    "gopher_too_many_end_ellipsis": [("rps_doc_frac_lines_end_with_ellipsis", ">", 0.3)],
    "gopher_below_alpha_threshold": [("gopher_no_alpha_word_frac", ">", 0.2)],
    "gopher_enough_stop_words": [("gopher_stop_words", "<", 2)],
    "dup_line_frac": [("gopher_dup_line_frac", ">", 0.3)],
    "dup_para_frac": [("gopher_dup_para_frac", ">", 0.3)],
    "dup_line_char_frac": [("gopher_dup_line_char_frac", ">", 0.2)],
    "dup_para_char_frac": [("gopher_dup_para_char_frac", ">", 0.2)],
    **{f"top_{n}_gram": [(f"gopher_top_{n}gram_char_frac", ">", limit)] for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
    **{f"duplicated_{n}_n_grams": [(f"gopher_dup_{n}gram_char_frac", ">", (20 - n) / 100)] for n in range(5, 11)},
    "line_punct_ratio": [("fineweb_line_punct_ratio", "<", 0.12)],
    "short_line_ratio": [("fineweb_short_line_ratio", ">", 0.67)],
    "char_dup_ratio": [("fineweb_char_dup_ratio", ">", 0.01)],
    "list_ratio": [("fineweb_list_ratio", ">", 0.3)],
    **{
        prefix: [
            (f"{prefix}_num_sentences", "<", 5),
            (f"{prefix}_lorem_ipsum_lines", ">", 0),
            (f"{prefix}_curly_bracket_lines", ">", 0),
        ]
        for prefix in ("c4", "fineweb_c4")
    },
}
LISTED = 25
ODDITIES = [*"abc", "The", "of", "lorem", "ipsum", "Lorem ipsum", "JAVASCRIPT", "adult", "click here", "don't", "3.14", "a_b", "U.S.", "#", "...", "....",
            "{", "}", "!", "?", "-", "--", "\t", "\n", "\n\n", "\r\n", "\x0b", "\x0c", "\x00", "\x7f", " ", "  ", "[1]", "WORD"]  # fmt: skip


def outcomes(values: dict[str, float | None]) -> dict[str, str]:
    """The rules that our values break, each with what broke it."""
    broken = {}
    for rule, tests in RULES.items():
        for signal, op, limit in tests:
            value = values[signal]
            if value is not None and (value < limit if op == "<" else value > limit):
                broken[rule] = f"{signal} {value:.6g} {op} {limit}"
    return broken


def ask(command: list[str], rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of a peer's program, a line each."""
    with tempfile.TemporaryFile("w+") as questions:
        for row in rows:
            questions.write(json.dumps(row) + "\n")
        questions.seek(0)
        done = subprocess.run(command, stdin=questions, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def for_datatrove(name: str, text: str) -> dict[str, Any]:
    """A question: the text, our tokens, and the number of sentences of each line as C4's rules see it."""
    tokens = page.read(text).joined
    lines = {signals_c4.CITATION.sub("", line.strip()) for line in text.splitlines()}
    return {
        "id": name,
        "text": text,
        "tokens": [text[start:end] for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)],
        "sentences": {line: count_sentences(tokenize(line)) for line in lines},
    }


def compare_rules(peer: str, found: list[tuple[str, str]], which: str) -> None:
    """Print the table of rule outcomes."""
    ours = {name: outcomes(measure_page(page.read(text), "eng")) for name, text in found}
    command = [peer, str(HERE / "fidelity_datatrove.py"), "--tokens", which]
    theirs = {row["id"]: set(row["failed"]) for row in ask(command, (for_datatrove(name, text) for name, text in found))}
    assert theirs.keys() == ours.keys()
    count = len(found)
    print(f"\ndatatrove with {'our tokens' if which == 'given' else 'its own'}: {count} texts\n")
    print(f"{'rule':30} {'datatrove':>9} {'ours':>6} {'only dt':>8} {'only ours':>9} {'alike':>8}")
    for rule in RULES:
        dt, us = {name for name in theirs if rule in theirs[name]}, {name for name in ours if rule in ours[name]}
        print(f"{rule:30} {len(dt):9} {len(us):6} {len(dt - us):8} {len(us - dt):9} {1 - len(dt ^ us) / count:8.4%}")
    unlike = [name for name in ours if ours[name].keys() != theirs[name]]
    verdict = sum(bool(ours[name]) == bool(theirs[name]) for name in ours)
    print(f"{'every rule':30} {'':34} {1 - len(unlike) / count:8.4%}\n{'kept or not':30} {'':34} {verdict / count:8.4%}")
    if which == "given":
        values = {name: measure_page(page.read(text), "eng") for name, text in found if name in set(unlike)}
        for name in unlike[:LISTED]:
            for rule in sorted(ours[name].keys() ^ theirs[name]):
                mine = ", ".join(f"{signal} = {values[name][signal]}" for signal, _, _ in RULES[rule])
                print(f"  {name}: {rule} {'ours' if rule in ours[name] else 'datatrove'} only; {mine}")


def files_for_redpajama(folder: Path, found: list[tuple[str, str]]) -> Measure:
    """The same lists and counts for both, in the form of each."""
    (folder / "stop.txt").write_text("\n".join(listed("eng")))
    (folder / "en.txt").write_text("link\nclick here\nsign up now\nread more\nadult\n")
    hosts = {f"host{number}.example": number for number in range(5)}
    (folder / "domain_to_category_id.json").write_text(json.dumps(hosts))
    halves = {"source": [text for _, text in found[::2]], "wikipedia": [text for _, text in found[1::2]]}
    for name, half in halves.items():
        (folder / f"{name}.npz").write_bytes(reference.count(half))
        with np.load(folder / f"{name}.npz") as counts:
            np.save(folder / f"{name}.en.counts.npy", counts["counts"])
            np.save(folder / f"{name}.en.lambda.npy", counts["length"])

    def resource(name: str) -> Resource:
        path = folder / name
        return Resource(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    return Measure(
        definition=DEFINITION,
        stop_words={"eng": resource("stop.txt")},
        bad_words={"eng": resource("en.txt")},
        bad_domains=resource("domain_to_category_id.json"),
        importance={"eng": Importance(source=resource("source.npz"), wikipedia=resource("wikipedia.npz"))},
    )


def buckets(text: str) -> dict[str, int]:
    """The bucket of each token, and of each pair of tokens joined by a zero."""
    tokens = tokenize(text)
    strings = [text[start:end] for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)]
    pairs = ["\0".join(pair) for pair in zip(strings, strings[1:], strict=False)]
    places = reference.features(tokens, reference.BUCKETS).tolist()
    assert len(roll(tokens.hashes, 2)) == len(pairs)
    return dict(zip(strings + pairs, places, strict=True))


def odd_texts(count: int) -> list[tuple[str, str]]:
    """Texts of ASCII that no page has: controls, stray punctuation, hardly any words. The same at every call."""
    draw = random.Random(1)
    return [(f"odd:{number}", "".join(draw.choices(ODDITIES, k=draw.randint(1, 60)))) for number in range(count)]


def compare_values(peer: str, source: str, found: list[tuple[str, str]]) -> None:
    """Print the table of values."""
    with tempfile.TemporaryDirectory() as name:
        options = files_for_redpajama(Path(name), found)
        hosts = {key: f"host{number % 9}.example" for number, (key, _) in enumerate(found)}
        rows = ({"id": key, "text": text, "host": hosts[key], "buckets": buckets(text)} for key, text in found)
        command = [peer, str(HERE / "fidelity_redpajama.py"), "--source", source, "--files", name]
        theirs = {row["id"]: row["signals"] for row in ask(command, rows)}
        ours = {key: (measure_page(page.read(text), "eng", options, hosts[key]), measure_lines(text)) for key, text in found}
    compared: Counter[str] = Counter()
    unlike: dict[str, list[str]] = defaultdict(list)
    for key, signals in theirs.items():
        values, lines = ours[key]
        for signal, spans in signals.items():
            mine = [values[signal]] if signal.startswith("rps_doc") else [line[signal] for line in lines]
            compared[signal] += len(spans)
            if signal.startswith("rps_lines"):
                assert [(line["start"], line["end"]) for line in lines] == [tuple(span[:2]) for span in spans], key
            for value, span in zip(mine, spans, strict=True):
                if not _alike(value, span[2]):
                    unlike[signal].append(f"{key}: ours {value}, RedPajama-V2 {span[2]}")
    print(f"\nRedPajama-V2's own code: {len(found)} ASCII texts\n\n{'signal':50} {'values':>8} {'unlike':>7}")
    for signal, count in sorted(compared.items()):
        print(f"{signal:50} {count:8} {len(unlike[signal]):7}")
    for signal, cases in unlike.items():
        for case in cases[:LISTED]:
            print(f"  {signal}: {case}")


def _alike(ours: float | None, theirs: float | None) -> bool:
    """Equal at the eight decimals that RedPajama-V2 rounds to, or, for sums of many logarithms, to twelve digits."""
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= max(1.01e-8 / 2, 1e-12 * abs(theirs))


def main() -> int:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--peer-python", required=True)
    arguments.add_argument("--redpajama", help="app/src of a checkout of RedPajama-Data")
    arguments.add_argument("--scale", type=Path)
    arguments.add_argument("--pages", type=int, default=3000, help="pages of the scale corpus")
    arguments.add_argument("--own-tokens", action="store_true", help="also the second table, which takes long")
    given = arguments.parse_args()
    found = texts(given.scale, given.pages)
    compare_rules(given.peer_python, found, "given")
    if given.own_tokens:
        compare_rules(given.peer_python, found, "own")
    if given.redpajama:
        compare_values(given.peer_python, given.redpajama, ascii_only(found) + odd_texts(2000))
    return 0


if __name__ == "__main__":
    sys.exit(main())
