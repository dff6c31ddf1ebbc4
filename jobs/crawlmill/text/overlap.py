"""Overlap of documents with reference sets: benchmarks that must not be trained on, corpora to keep out or to look for.

As in GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C): runs of N words, without case and punctuation, where N is the 5th
percentile of the lengths of a set's examples, at least 8 and at most 13. Llama 3 (arXiv 2407.21783, section 5.1.4) reports the share
of an example's or document's tokens that overlap, hence `share` and `longest`. An n-gram that more than `SHARED` examples of a set
have in common is its template ("choose the right answer"), and is left out.

Tokens are those of dedup, so scripts without spaces count: 8 Han characters weigh as 5 words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crawlmill.errors import UserError
from crawlmill.text.shingle import Ints, Words, ngrams

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Reference


@dataclass(frozen=True)
class Annotation:
    """What a rule of the gate may read: the greatest value of a column over the sets of a kind."""

    kind: str
    column: str
    unit: str


ANNOTATIONS = {
    "benchmark_overlap": Annotation("benchmark", "longest", "tokens"),
    "benchmark_share": Annotation("benchmark", "share", "fraction"),
    "deny_share": Annotation("deny", "share", "fraction"),
    "allow_share": Annotation("allow", "share", "fraction"),
}
LEAST, MOST = 8, 13
SHARED = 10
_BATCH = 1_000


@dataclass(frozen=True)
class Overlap:
    """What a document has in common with one reference set.

    Attributes:
        reference: name of the set.
        kind: benchmark, deny or allow.
        ngram: words of a run.
        overlaps: distinct runs in common.
        longest: tokens of the longest unbroken stretch of such runs.
        share: share of the document's tokens that lie in such runs, 0 to 1.
        examples: numbers of the set's examples (rows of its file, from 0) that share a run.
    """

    reference: str
    kind: str
    ngram: int
    overlaps: int
    longest: int
    share: float
    examples: list[int]


@dataclass(frozen=True)
class Held:
    """A reference set ready for look-ups: sorted run hashes, and for run i the examples `examples[bounds[i]:bounds[i + 1]]`.

    `count` examples were read; `short` of them have fewer words than a run and cannot be found.
    """

    name: str
    kind: str
    ngram: int
    hashes: Words
    bounds: Ints
    examples: Ints
    count: int
    short: int


def char_ngram(ngram: int) -> int:
    """Han or kana characters that weigh as much as so many words: 8 as 5, as in dedup."""
    return round(ngram * 8 / 5)


def sha256(path: str) -> str:
    """Hex digest of a file. Raises UserError where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"reference set {path} cannot be read ({error.strerror}): give the path of a JSON-lines file") from None


def load(reference: Reference) -> Held:
    """Read a reference set. Raises UserError for a file that cannot be read or holds no text."""
    from crawlmill import rowfile

    return build(reference.name, reference.kind, reference.ngram, rowfile.read(reference.path), tuple(reference.fields or ()))


def build(name: str, kind: str, ngram: int | None, rows: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()) -> Held:
    """A reference set of rows: every text in a row (or in its named fields) belongs to that example.

    Args:
        name: of the set.
        kind: benchmark, deny or allow.
        ngram: words of a run; None: the 5th percentile of the examples' lengths, 8 to 13.
        rows: the examples.
        fields: keys to look at; none: all.
    """
    texts: list[str] = []
    owners: list[int] = []
    count = 0
    for count, row in enumerate(rows, 1):
        for text in _texts([row[key] for key in fields if key in row] if fields else list(row.values())):
            texts.append(text)
            owners.append(count - 1)
    if not texts:
        wanted = f" under {', '.join(fields)}" if fields else ""
        raise UserError(f"reference set {name!r} holds no text{wanted}: give JSON lines with texts, and `fields` that they have")
    lengths = _lengths(texts, owners, count)
    size = ngram or int(np.clip(np.percentile(lengths, 5), LEAST, MOST))
    hashes, examples = _runs(texts, owners, size)
    short = count - len(np.unique(examples))
    hashes, bounds, examples = _without_template(hashes, examples)
    return Held(name, kind, size, hashes, bounds, examples, count, short)


def overlaps(texts: Sequence[str], sets: Sequence[Held]) -> list[list[Overlap]]:
    """For each text its overlaps with the sets, in the sets' order; a set with nothing in common is absent."""
    found: list[list[Overlap]] = [[] for _ in texts]
    for first in range(0, len(texts), _BATCH):
        part = texts[first : first + _BATCH]
        for size in sorted({held.ngram for held in sets}):
            runs = ngrams(part, size, char_ngram(size))
            for held in (held for held in sets if held.ngram == size and len(held.hashes)):
                place = np.minimum(np.searchsorted(held.hashes, runs.hashes), len(held.hashes) - 1)
                hits = np.flatnonzero(held.hashes[place] == runs.hashes)
                for owner in np.unique(runs.owners[hits]).tolist():
                    own = hits[runs.owners[hits] == owner]
                    spans = (runs.starts[own], runs.ends[own])
                    found[first + owner].append(_overlap(held, np.unique(place[own]), spans, int(runs.tokens[owner])))
    order = {held.name: position for position, held in enumerate(sets)}
    return [sorted(of_text, key=lambda overlap: order[overlap.reference]) for of_text in found]


def overlap_batch(batch: pa.RecordBatch, sets: Sequence[Held]) -> pa.RecordBatch:
    """Rows of table `contamination` for rows (snapshot, shard, id, text): one per document and set with something in common."""
    rows = []
    keys = batch.select(["snapshot", "shard", "id"]).to_pylist()
    for key, found in zip(keys, overlaps(batch.column("text").to_pylist(), sets), strict=True):
        rows += [{**key, **vars(overlap)} for overlap in found]
    return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


SCHEMA = pa.schema(
    [
        ("snapshot", pa.string()), ("shard", pa.int32()), ("id", pa.string()), ("reference", pa.string()), ("kind", pa.string()),
        ("ngram", pa.int32()), ("overlaps", pa.int32()), ("longest", pa.int32()), ("share", pa.float64()),
        ("examples", pa.list_(pa.int32())),
    ]
)  # fmt: skip


def report(found: Iterable[Overlap], sets: Sequence[Held]) -> list[dict[str, Any]]:
    """A row per set: examples, those too short to find, n-gram, documents that overlap, examples met, longest stretch in tokens."""
    documents, longest = dict.fromkeys((held.name for held in sets), 0), dict.fromkeys((held.name for held in sets), 0)
    met: dict[str, set[int]] = {held.name: set() for held in sets}
    for overlap in found:
        documents[overlap.reference] += 1
        longest[overlap.reference] = max(longest[overlap.reference], overlap.longest)
        met[overlap.reference].update(overlap.examples)
    return [
        {
            "reference": held.name, "kind": held.kind, "ngram": held.ngram, "examples": held.count, "too short": held.short,
            "documents": documents[held.name], "examples met": len(met[held.name]),
            "share met": round(len(met[held.name]) / held.count, 4), "longest": longest[held.name],
        }
        for held in sets
    ]  # fmt: skip


def _overlap(held: Held, runs: Ints, spans: tuple[Ints, Ints], tokens: int) -> Overlap:
    longest = covered = 0
    begin, reach = -1, -1
    for start, end in zip(*(side.tolist() for side in spans), strict=True):  # ascending
        if start > reach:
            begin, reach = start, start
        covered += end - max(start, reach)
        reach = end
        longest = max(longest, reach - begin)
    examples = np.unique(np.concatenate([held.examples[held.bounds[run] : held.bounds[run + 1]] for run in runs.tolist()]))
    return Overlap(held.name, held.kind, held.ngram, len(runs), longest, covered / tokens, examples.tolist())


def _texts(values: Iterable[Any]) -> Iterator[str]:
    """All texts among the values, lists and mappings opened."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)


def _lengths(texts: list[str], owners: list[int], count: int) -> Ints:
    """Tokens of the longest text of each example."""
    longest = np.zeros(count, dtype=np.int64)
    for first in range(0, len(texts), _BATCH):
        np.maximum.at(longest, owners[first : first + _BATCH], ngrams(texts[first : first + _BATCH], 1, 1).tokens)
    return longest


def _runs(texts: list[str], owners: list[int], size: int) -> tuple[Words, Ints]:
    hashes, examples = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for first in range(0, len(texts), _BATCH):
        runs = ngrams(texts[first : first + _BATCH], size, char_ngram(size))
        hashes.append(runs.hashes)
        examples.append(np.asarray(owners[first : first + _BATCH], dtype=np.int64)[runs.owners])
    return np.concatenate(hashes), np.concatenate(examples)


def _without_template(hashes: Words, examples: Ints) -> tuple[Words, Ints, Ints]:
    """Distinct (run, example), grouped by run; runs of more than `SHARED` examples are left out."""
    order = np.lexsort((examples, hashes))
    hashes, examples = hashes[order], examples[order]
    again = np.concatenate([np.zeros(1, bool), (hashes[1:] == hashes[:-1]) & (examples[1:] == examples[:-1])])[: len(hashes)]
    distinct, place, counts = np.unique(hashes[~again], return_inverse=True, return_counts=True)
    kept = counts <= SHARED
    return distinct[kept], np.concatenate([[0], np.cumsum(counts[kept])]), examples[~again][kept[place]]
