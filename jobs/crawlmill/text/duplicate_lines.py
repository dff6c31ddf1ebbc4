"""Lines and paragraphs that stand in several documents, and which of them is the first.

After CCNet (Wenzek et al. 2020, arXiv 1911.00359, section 3.1): parts are compared without case, punctuation and white space, with
every digit as 0, by 64 bits of a hash, and only the first occurrence is kept. Here accents and other marks count (in Indic scripts
and in Thai they are letters), and "the first" is a property of the set of documents, not of the order in which somebody read them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import regex
import xxhash

from crawlmill.text.shingle import normalise

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Lines

Span = tuple[int, int]
_DROPPED = regex.compile(r"[^\p{L}\p{M}\p{N}\n]+")
_DIGIT = regex.compile(r"\p{Nd}")
_PARAGRAPH = regex.compile(r"\n[^\S\n]*\n\s*")
_NAMES = ["snapshot", "shard", "key"]


@dataclass(frozen=True)
class Part:
    """A line or paragraph: where it stands in the text (its line break included), its hash, and how many characters were compared."""

    span: Span
    hash: int
    chars: int


def parts(text: str, options: Lines) -> list[Part]:
    """The parts of a text that have at least `options.min_chars` characters to compare, in order."""
    found = []
    for start, end in _lines(text) if options.unit == "line" else _paragraphs(text):
        bare = _DROPPED.sub("", normalise(text[start:end])).replace("\n", "")
        if len(bare) >= max(1, options.min_chars):
            digest = xxhash.xxh3_64_intdigest(_DIGIT.sub("0", bare).encode("utf-8", "surrogatepass"))
            found.append(Part((start, end), digest - (1 << 64) if digest >> 63 else digest, len(bare)))
    return found


def _lines(text: str) -> Iterator[Span]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end


def _paragraphs(text: str) -> Iterator[Span]:
    start = 0
    for gap in _PARAGRAPH.finditer(text):
        yield start, gap.end()
        start = gap.end()
    if start < len(text):
        yield start, len(text)


def duplicates(found: Sequence[Part], elsewhere: Iterable[int]) -> list[Span]:
    """Spans of the parts that are not the first: those whose hash stands first elsewhere, and repeats within the text."""
    seen = set(elsewhere)
    spans = []
    for part in found:
        if part.hash in seen:
            spans.append(part.span)
        seen.add(part.hash)
    return spans


def without(text: str, spans: Iterable[Span]) -> str:
    """The text without these spans (ascending), white space at its end removed."""
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    return "".join((*kept, text[at:])).rstrip()


# For Spark: a document is known by (shard, key), key being a 64-bit hash of its id, so that a line costs an exchange a few numbers.


def lines_batch(batch: pa.RecordBatch, options: Lines) -> pa.RecordBatch:
    """A row per document and distinct hash: snapshot, shard, key, hash, times, chars; lines and total of the document beside them."""
    rows: list[tuple[Any, ...]] = []
    for *where, text in zip(*(batch.column(name).to_pylist() for name in (*_NAMES, "text")), strict=True):
        found = parts(text, options)
        times, chars = Counter(part.hash for part in found), {part.hash: part.chars for part in found}
        total = sum(part.chars for part in found)
        rows += [(*where, value, count, chars[value], len(found), total) for value, count in times.items()]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True) if rows else [[]] * 8, _LINE_TYPES, strict=True)],
        [*_NAMES, "hash", "times", "chars", "lines", "total"],
    )


_LINE_TYPES = [pa.string(), pa.int32(), pa.int64(), pa.int64(), pa.int32(), pa.int32(), pa.int32(), pa.int64()]
LINES = "snapshot string, shard int, key bigint, hash bigint, times int, chars int, lines int, total bigint"


@dataclass
class Bloom:
    """A set of hashes in bounded memory: it may call a new hash known, never a known one new."""

    bits: int
    hashes: int
    held: Any
    added: int = 0

    def meet(self, value: int) -> bool:
        """Whether the hash was met before (or seems so); it is known from now on."""
        if value in self.held:
            return True
        self.held.add(value)
        self.added += 1
        return False

    @property
    def false_positives(self) -> float:
        """The probability that a new hash is called known by now: (1 - e^(-kn/m))^k (Bloom 1970)."""
        return float((1 - math.exp(-self.hashes * self.added / self.bits)) ** self.hashes)


def bloom(memory_mb: float, false_positives: float) -> Bloom:
    """A filter of `memory_mb` million bytes, laid out for as many hashes as leave it at this rate of false positives."""
    from rbloom import Bloom as Filter

    capacity = max(1, int(memory_mb * 8e6 * math.log(2) ** 2 / -math.log(false_positives)))
    held = Filter(capacity, false_positives, hash_func=_spread)
    return Bloom(held.size_in_bits, max(1, round(-math.log2(false_positives))), held)


def _spread(value: int) -> int:
    """The 128 bits that the filter wants, of 64 that are random already."""
    return int(xxhash.xxh3_128_intdigest(value.to_bytes(8, "little", signed=True))) - (1 << 127)


def known(options: Lines) -> tuple[Callable[[int], bool], Callable[[], float]]:
    """A function that says whether a hash was met before, and one that gives its present rate of false positives."""
    if options.mode == "bloom":
        filled = bloom(options.memory_mb, options.false_positives)
        return filled.meet, lambda: filled.false_positives
    seen: set[int] = set()

    def meet(value: int) -> bool:
        before = len(seen)
        seen.add(value)
        return len(seen) == before

    return meet, lambda: 0.0


def first_in_order(batches: Iterable[pa.RecordBatch], options: Lines) -> Iterator[pa.RecordBatch]:
    """Rows of `ELSEWHERE` for documents that come shard by shard in a fixed order, by a filter that starts anew with each shard.

    The batches have snapshot, shard, key, hashes, times, chars (arrays), lines, total.
    """
    shard, meet, rate = None, *known(options)
    for batch in batches:
        rows = []
        for row in batch.to_pylist():
            if row["shard"] != shard:
                shard, (meet, rate) = row["shard"], known(options)
            met = [meet(value) for value in row["hashes"]]
            count = sum(n if again else n - 1 for again, n in zip(met, row["times"], strict=True))
            chars = sum((n if again else n - 1) * c for again, n, c in zip(met, row["times"], row["chars"], strict=True))
            if count:
                gone = [value for value, again in zip(row["hashes"], met, strict=True) if again]
                rows.append((row["snapshot"], row["shard"], row["key"], row["lines"], count, chars / row["total"], gone, rate()))
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True) if rows else [[]] * 8, _FOUND, strict=True)],
            [*_NAMES, "lines", "duplicates", "share", "hashes", "false_positives"],
        )


_FOUND = [pa.string(), pa.int32(), pa.int64(), pa.int32(), pa.int32(), pa.float64(), pa.list_(pa.int64()), pa.float64()]
ELSEWHERE = "snapshot string, shard int, key bigint, lines int, duplicates int, share double, hashes array<bigint>, false_positives double"


def rows_without(rows: Iterable[dict[str, Any]], options: Lines, tally: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Rows with a `text`, in their order, each without the parts that a row before it has, or that it had before itself.

    A text of which nothing would be left stays as it is: whole copies are the business of dedup. `tally` is filled with the numbers of
    parts, duplicates, changed rows and the filter's rate of false positives.
    """
    meet, rate = known(options)
    tally.update(parts=0, duplicates=0, changed=0)
    for row in rows:
        found = parts(row["text"], options)
        own: set[int] = set()
        spans = []
        for part in found:
            if part.hash in own or meet(part.hash):
                spans.append(part.span)
            own.add(part.hash)
        left = without(row["text"], spans) if spans else row["text"]
        changed = bool(spans) and bool(left.strip())
        tally["parts"] += len(found)
        tally["duplicates"] += len(spans)
        tally["changed"] += changed
        tally["false positives"] = rate()
        yield row | {"text": left} if changed else row
