"""The quality signals of a document: RedPajama-V2's, those of the rules of Gopher, FineWeb, C4 and RefinedWeb, and how hard the text is.

A name is worth nothing without its definition: each signal has the id and version of its own (`Signal.definition`), and `DEFINITION`,
which is written with every row and which a recipe names, is the version of all of them together. A signal is None where it is
undefined: no words, no lines, no list for the language.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crawlmill.text import page, reference, signals_c4, signals_difficulty, signals_gopher, signals_redpajama, signals_reference
from crawlmill.text.page import Page, Signal, Values
from crawlmill.text.scorers import scores
from crawlmill.text.signals_redpajama import LINE_SIGNALS, line_values
from crawlmill.text.stopwords import stop_words

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Measure, Recipe
    from crawlmill.text.words import Hashes

__all__ = ["DEFINITION", "SIGNALS", "Signal", "Values", "measure", "measure_batch", "measure_page", "measure_rows"]

DEFINITION = "2"

SIGNALS: dict[str, Signal] = {
    **signals_redpajama.SIGNALS,
    **signals_reference.SIGNALS,
    **signals_gopher.SIGNALS,
    **signals_c4.SIGNALS,
    **signals_difficulty.SIGNALS,
}
LINES = "line_signals"
SCORES = "scores"
_SCORES = pa.map_(pa.string(), pa.float64())
_LINE = pa.struct([("start", pa.int32()), ("end", pa.int32()), *((name, pa.float64()) for name in LINE_SIGNALS)])


def measure(text: str, language: str, options: Measure | None = None, host: str | None = None) -> Values:
    """All signals of a text.

    Args:
        text: the document's text.
        language: ISO 639-3, for lists, counts and formulas; words are cut by the scripts of the text.
        options: the recipe's section, whose files some signals need; None: without any.
        host: the page's host, for the list of domains.

    Returns:
        One finite number or None for each name in SIGNALS, in that order.

    Raises:
        UserError: a file of the options is absent, malformed or another than the recipe says.
    """
    return measure_page(page.read(text), language, options, host)


def measure_page(read: Page, language: str, options: Measure | None = None, host: str | None = None) -> Values:
    """All signals of a text that was read already; otherwise as `measure`."""
    stops = _stops(language, options)
    found: Values = dict.fromkeys(SIGNALS)
    found |= signals_redpajama.values(read, stops)
    found |= signals_gopher.values(read, stops)
    found |= signals_c4.values(read)
    found |= signals_difficulty.values(read, language)
    if options is not None:
        found |= signals_reference.values(read, language, host, options)
    return found


def _stops(language: str, options: Measure | None) -> Hashes | None:
    if options is not None and language in options.stop_words:
        return reference.stop_list(options.stop_words[language])
    return stop_words(language)


def measure_lines(text: str) -> list[dict[str, float]]:
    """The line signals of each line of a text, blank ones too, with where it starts and ends (its line feed within) in code points.

    The spans are those of the text in NFC.
    """
    read = page.read(text)
    columns = {name: column.tolist() for name, column in line_values(read).items()}
    starts = read.lines.starts.tolist()
    spans = zip(starts, [*starts[1:], read.size], strict=False)
    rows = zip(*columns.values(), strict=True)
    return [
        {"start": start, "end": end, **dict(zip(columns, row, strict=True))}
        for (start, end), row in zip(spans, rows, strict=True)
    ]


def measure_batch(batch: pa.RecordBatch, options: Measure | None = None) -> pa.RecordBatch:
    """Rows of `signals` for rows with snapshot, shard, id, text and language, and host where the options have a list of domains."""
    columns: dict[str, list[float | None]] = {name: [] for name in SIGNALS}
    texts, languages = batch.column("text").to_pylist(), batch.column("language").to_pylist()
    hosts = batch.column("host").to_pylist() if "host" in batch.schema.names else [None] * batch.num_rows
    for text, language, host in zip(texts, languages, hosts, strict=True):
        values = measure(text or "", language or "und", options, host)
        for name, column in columns.items():
            column.append(values[name])
    keys = ["snapshot", "shard", "id", "language"]
    scorers = options.scorers if options is not None else {}
    told = scores([text or "" for text in texts], [language or "und" for language in languages], columns, scorers)
    scored = [[(name, values[row]) for name, values in told.items()] if scorers else None for row in range(batch.num_rows)]
    with_lines = options is not None and options.lines
    lines = [measure_lines(text or "") if with_lines else None for text in texts]
    arrays = [
        *(batch.column(name) for name in keys),
        pa.array([DEFINITION] * batch.num_rows, pa.string()),
        *(pa.array(values, pa.float64()) for values in columns.values()),
        pa.array(lines, pa.list_(_LINE)),
        pa.array(scored, _SCORES),
    ]
    return pa.RecordBatch.from_arrays(arrays, [*keys, "definition", *SIGNALS, LINES, SCORES])


def measure_rows(rows: Iterable[dict[str, Any]], recipe: Recipe | None = None) -> Iterator[dict[str, Any]]:
    """Rows with a `text` (and `language`, else `und`; `host`), each with its signals and the definition's version added."""
    options = recipe.measure if recipe is not None else None
    for row in rows:
        text, host = str(row.get("text") or ""), row.get("host")
        signals = measure(text, str(row.get("language") or "und"), options, str(host) if host else None)
        lines = {LINES: measure_lines(text)} if options is not None and options.lines else {}
        yield {**row, "definition": DEFINITION, **signals, **lines, **_scored(text, row, signals, options)}


def _scored(text: str, row: dict[str, Any], signals: Values, options: Measure | None) -> dict[str, dict[str, float | None]]:
    if options is None or not options.scorers:
        return {}
    columns = {name: [value] for name, value in signals.items()}
    told = scores([text], [str(row.get("language") or "und")], columns, options.scorers)
    return {SCORES: {name: value for name, (value,) in told.items()}}
