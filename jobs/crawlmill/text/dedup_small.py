"""The definition of dedup, in plain Python for what fits in memory: the shell verb, and what the Spark engine is tested against.

1. Documents with equal content hashes are copies of one content.
2. rank(copy) = (position of its snapshot by `order`, content, id); rank(content) = the least rank of its copies. The content
   hash, not time, URL or length, breaks ties inside a snapshot: a rank that runs along a chain of near duplicates would make
   the result hang on long chains of decisions.
3. A bucket is the set of contents with the same (scope, band, key). (u, v) is a candidate if in some shared bucket the one of
   smaller rank is among the bucket's `top` smallest: linear in the bucket, however hot it is.
4. A pair is a candidate whose stored sets are alike enough (of two sets of which one is a sample: over the range of hashes that both
   cover): a Jaccard index of at least `threshold` or, where the recipe measures by containment, one of which that share lies in the
   other. Contents that met in several scopes are a pair in each.
5. Pairs know nothing of the gate; survivors do. Only eligible copies take part: a content's head is its eligible copy of
   least rank, a content without one takes no part. In the order of heads a content survives if no pair joins it to a survivor
   before it; else it is `near`, represented by the first such survivor. Other copies of a surviving content are `exact`. By
   containment a pair counts only where the later one lies in the earlier: what goes must be held by what stays.

So whatever goes is identical to, or verified against, an eligible document that stays, no two that stay are a known pair, and
nothing hangs on the order of arrival. (Step 5 is the lexicographically first maximal independent set, the clusters those of
the Pivot algorithm of correlation clustering.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawlmill.errors import UserError
from crawlmill.text.minhash import sketches
from crawlmill.text.shingle_set import MOST, compare

if TYPE_CHECKING:
    from crawlmill.recipes.recipe import Dedup, Recipe, Sketch

Bucket = tuple[str, int, int]  # scope, band, key
Met = tuple[str, str, str]  # the scope in which two contents met, and they, the lesser first
_BATCH = 1_000


@dataclass(frozen=True)
class Copy:
    """A document as dedup sees it."""

    snapshot: str
    id: str
    content: str
    eligible: bool = True


@dataclass(frozen=True)
class Pair:
    """A verified pair of contents (a, b) of a scope; `bits` has a bit for each band that supports it."""

    similarity: float
    containment_a: float
    containment_b: float
    bits: int

    def weight(self, later_is_a: bool, measure: str) -> float:
        """How alike the two are, by the recipe's measure: of containment, the share of the later one that lies in the earlier."""
        return self.similarity if measure == "jaccard" else self.containment_a if later_is_a else self.containment_b


@dataclass(frozen=True)
class Placed:
    """Where an eligible document stands: `kind` is survivor, exact or near."""

    content: str
    survivor: str
    survivor_id: str
    kind: str
    similarity: float


def settle(
    copies: Sequence[Copy], buckets: Mapping[str, Iterable[Bucket]], sets: Mapping[str, bytes], options: Dedup, cap: int = MOST
) -> tuple[dict[Met, Pair], dict[Copy, Placed]]:
    """Pairs and clusters of a set of documents: a function of the set, not of its order.

    Args:
        copies: all documents.
        buckets: content -> where it can meet others; contents that are too short are absent.
        sets: content -> its stored shingles.
        options: threshold, measure, top, order.
        cap: above how many shingles a stored set is a sample.
    """
    rank = _ranks(copies, options.order)
    heads = _heads(copies, rank)
    met = _candidates(buckets, sorted(heads, key=lambda content: rank[heads[content]]), options.top)
    pairs = _verify(met, sets, options, cap)
    heads = _heads([copy for copy in copies if copy.eligible], rank)
    standing = _survivors(pairs, sorted(heads, key=lambda content: rank[heads[content]]), options)
    clusters = {copy: _place(copy, heads, *standing[copy.content]) for copy in copies if copy.eligible}
    return pairs, clusters


def dedup_rows(rows: Iterable[dict[str, Any]], options: Recipe) -> Iterator[dict[str, Any]]:
    """Each row with three fields more, null where it takes no part.

    `cluster` is the id of the row that stays, `duplicate_of` the same or null if the row itself stays, `similarity` the Jaccard
    index with the row that stays (1 for a copy). A row needs `text`; its `id`, else its `url`, else its number identifies it;
    `snapshot` ranks it, `language` is its scope if the recipe says so, and `eligible: false` keeps it out.

    Raises:
        UserError: a row without text, or with an id of a row before it.
    """
    held = list(rows)
    copies, buckets, sets = _sketched(held, options.sketch)
    _, clusters = settle(copies, buckets, sets, options.dedup, options.sketch.max_shingles)
    for row, copy in zip(held, copies, strict=True):
        placed = clusters.get(copy)
        if placed is None:
            yield row | {"cluster": None, "duplicate_of": None, "similarity": None}
        else:
            gone = None if placed.kind == "survivor" else placed.survivor_id
            yield row | {"cluster": placed.survivor_id, "duplicate_of": gone, "similarity": placed.similarity}


def _sketched(rows: list[dict[str, Any]], options: Sketch) -> tuple[list[Copy], dict[str, set[Bucket]], dict[str, bytes]]:
    copies: list[Copy] = []
    buckets: dict[str, set[Bucket]] = defaultdict(set)
    sets: dict[str, bytes] = {}
    seen: set[tuple[str, str]] = set()
    for first in range(0, len(rows), _BATCH):
        batch = rows[first : first + _BATCH]
        texts = [_text(row, first + i) for i, row in enumerate(batch)]
        for i, (row, sketch) in enumerate(zip(batch, sketches(texts, options), strict=True)):
            copy = Copy(str(row.get("snapshot") or ""), _id(row, first + i), sketch.content, row.get("eligible") is not False)
            if (copy.snapshot, copy.id) in seen:
                raise UserError(f"row {first + i + 1} has the id {copy.id!r} of a row before it: give every row an id of its own")
            seen.add((copy.snapshot, copy.id))
            copies.append(copy)
            scope = "all" if options.scope == "all" else str(row.get("language") or "und")
            buckets[sketch.content] |= {(scope, band, key) for band, key in enumerate(sketch.keys)}
            sets[sketch.content] = sketch.shingles
    return copies, buckets, sets


def _text(row: dict[str, Any], number: int) -> str:
    text = row.get("text")
    if not isinstance(text, str):
        raise UserError(f"row {number + 1} has no `text`: every row needs the text of one document")
    return text


def _id(row: dict[str, Any], number: int) -> str:
    given = row.get("id", row.get("url"))
    return f"{number:012d}" if given is None else str(given)


def _ranks(copies: Iterable[Copy], order: str) -> dict[Copy, tuple[int, str, int, str]]:
    position = {snapshot: i for i, snapshot in enumerate(sorted({copy.snapshot for copy in copies}))}
    sign = {"oldest": 1, "newest": -1, "content": 0}[order]
    return {copy: (sign * position[copy.snapshot], copy.content, position[copy.snapshot], copy.id) for copy in copies}


def _heads(copies: Iterable[Copy], rank: Mapping[Copy, tuple[int, str, int, str]]) -> dict[str, Copy]:
    heads: dict[str, Copy] = {}
    for copy in copies:
        if copy.content not in heads or rank[copy] < rank[heads[copy.content]]:
            heads[copy.content] = copy
    return heads


def _candidates(buckets: Mapping[str, Iterable[Bucket]], contents: list[str], top: int) -> dict[Met, set[int]]:
    """Candidate pairs and the bands that support them; `contents` come in the order of their ranks."""
    members: dict[Bucket, list[str]] = defaultdict(list)
    for content in contents:
        for bucket in buckets.get(content, ()):
            members[bucket].append(content)
    support: dict[Met, set[int]] = defaultdict(set)
    for (scope, band, _), inside in members.items():
        for i, u in enumerate(inside[:top]):
            for v in inside[i + 1 :]:
                support[scope, min(u, v), max(u, v)].add(band)
    return support


def _verify(support: Mapping[Met, set[int]], sets: Mapping[str, bytes], options: Dedup, cap: int) -> dict[Met, Pair]:
    found = list(support)
    numbers = compare([sets[a] for _, a, _ in found], [sets[b] for _, _, b in found], cap)
    pairs = {}
    for met, similarity, in_a, in_b in zip(found, *(column.tolist() for column in numbers), strict=True):
        pair = Pair(similarity, in_a, in_b, sum(1 << band for band in support[met]))
        if max(pair.weight(True, options.measure), pair.weight(False, options.measure)) >= options.threshold:
            pairs[met] = pair
    return pairs


def _survivors(pairs: Mapping[Met, Pair], contents: list[str], options: Dedup) -> dict[str, tuple[str, float]]:
    """content -> the content that stands for it, and how alike they are; `contents` take part, in the order of their ranks."""
    position = {content: i for i, content in enumerate(contents)}
    before: dict[str, dict[str, float]] = defaultdict(dict)
    for (_, a, b), pair in pairs.items():
        if a in position and b in position:
            u, v = sorted((a, b), key=position.__getitem__)
            if (weight := pair.weight(v == a, options.measure)) >= options.threshold:
                before[v][u] = weight
    standing: dict[str, tuple[str, float]] = {}
    for content in contents:
        kept = [u for u in before[content] if standing[u][0] == u]
        first = min(kept, key=position.__getitem__, default=content)
        standing[content] = (first, before[content].get(first, 1.0))
    return standing


def _place(copy: Copy, heads: Mapping[str, Copy], survivor: str, similarity: float) -> Placed:
    head = heads[survivor]
    if survivor != copy.content:
        return Placed(copy.content, survivor, head.id, "near", similarity)
    return Placed(copy.content, survivor, head.id, "survivor" if copy == head else "exact", 1.0)
