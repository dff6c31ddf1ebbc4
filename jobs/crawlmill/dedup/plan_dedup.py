"""What a choice of bands and rows will find, miss and cost, before a corpus is sketched with it.

Two sets of Jaccard similarity s agree in one MinHash permutation with probability s, so they share at least one of b bands of r
rows with probability 1 - (1 - s^r)^b (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4). What that
means for a corpus hangs on how many pairs there are at each similarity, which is an assumption and is printed as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crawlmill.errors import UserError

# Pairs of different contents per 1,000 documents, by the lower end of a step of .05: 1,000 of 89,635 distinct pages of documentation against
# all of them, compared exactly (`tests/bench/dedup.py similarities`). Another corpus has another table: --similarities FILE. Two pages
# picked at random had a mean similarity of .0002 there; the default `background` is above it, since what meets grows with a high power.
MEASURED: Mapping[float, float] = {
    0.20: 4043.5, 0.25: 778.5, 0.30: 602.0, 0.35: 361.0, 0.40: 243.5, 0.45: 122.5, 0.50: 179.5, 0.55: 110.0, 0.60: 104.0, 0.65: 82.0,
    0.70: 59.0, 0.75: 43.5, 0.80: 54.5, 0.85: 42.5, 0.90: 46.0, 0.95: 102.0,
}  # fmt: skip
STEP = 0.05

# Measured on one core with 421 distinct shingles a document, in a batch: permutations, and comparing two stored sets.
SECONDS_A_PERMUTATION = 1.1e-6
SECONDS_A_COMPARISON = 17e-6
SECONDS_A_BAND = 4e-6  # to write, exchange and sort one row of `bands`
USUAL_SHINGLES = 421
BYTES_A_SHINGLE = 2.15  # a 24-bit hash as a difference in LEB128, zstd
BAND_ROW = 104  # a row of `bands` in an exchange: 8 + five fields of 8, scope 8, content 32, snapshot 16 bytes, not compressed
BAND_STORED = (
    26.0  # the same in sorted Parquet, zstd, at most: 10.7 where a file holds few contents, which its dictionary then names
)
PARTITION = 128 << 20  # bytes of a shuffle partition that a task sorts in memory
MOST_BANDS, MOST_ROWS = 62, 32  # `pairs.bits` holds a bit a band


@dataclass(frozen=True)
class Corpus:
    """What is to be deduplicated.

    Attributes:
        documents: number of them.
        shingles: mean number of distinct shingles of a document.
        distinct: share of documents whose content is not a copy of another's.
        background: mean Jaccard similarity of two unrelated documents.
        similarities: pairs per 1,000 documents by the lower end of a step of `STEP`.
        top: a bucket's members are compared with so many of it at most (`dedup.top`).
    """

    documents: int
    shingles: float = USUAL_SHINGLES
    distinct: float = 1.0
    background: float = 0.005
    similarities: Mapping[float, float] = field(default_factory=lambda: dict(MEASURED))
    top: int = 8

    @property
    def contents(self) -> float:
        return self.documents * self.distinct


@dataclass(frozen=True)
class Plan:
    """What a banding does to a corpus: counts of pairs, bytes, CPU seconds on one core.

    `missed` and `true_pairs` are pairs at or above the threshold, `false_candidates` pairs below it that are compared for nothing;
    `unrelated` of them come from the background. `compared` is what is verified: never more than `top` a member and bucket.
    """

    bands: int
    rows: int
    threshold: float
    at_threshold: float
    half: float
    true_pairs: float
    found: float
    missed: float
    false_candidates: float
    unrelated: float
    compared: float
    stored_bytes: float
    bands_bytes: float
    bands_shuffle: float
    sets_shuffle: float
    partitions: int
    task_memory: float
    one_process_memory: float
    cpu_seconds: float

    @property
    def permutations(self) -> int:
        return self.bands * self.rows


def meets(similarity: float, bands: int, rows: int) -> float:
    """The probability that two sets of this Jaccard similarity share a band."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def half_point(bands: int, rows: int) -> float:
    """The similarity at which half of the pairs meet: s = (1 - 2^(-1/b))^(1/r)."""
    return float((1.0 - 0.5 ** (1.0 / bands)) ** (1.0 / rows))


def plan(corpus: Corpus, bands: int, rows: int, threshold: float) -> Plan:
    """The consequences of a banding for a corpus. Raises UserError for a banding or a threshold that makes no sense."""
    check(corpus, bands, rows, threshold)
    true_pairs = found = false = 0.0
    for pairs, similarity in _pairs(corpus):
        met = pairs * meets(similarity, bands, rows)
        if similarity >= threshold:
            true_pairs, found = true_pairs + pairs, found + met
        else:
            false += met
    unrelated = corpus.contents * (corpus.contents - 1) / 2 * meets(corpus.background, bands, rows)
    compared = min(found + false + unrelated, corpus.top * bands * corpus.contents)
    set_bytes = corpus.shingles * BYTES_A_SHINGLE
    bands_shuffle = corpus.contents * bands * BAND_ROW
    sets_shuffle = 2 * compared * (set_bytes + 2 * 40)
    partitions = max(1, round((bands_shuffle + PARTITION / 2) // PARTITION))
    return Plan(
        bands=bands, rows=rows, threshold=threshold, at_threshold=meets(threshold, bands, rows), half=half_point(bands, rows),
        true_pairs=true_pairs, found=found, missed=true_pairs - found, false_candidates=false + unrelated, unrelated=unrelated, compared=compared,
        stored_bytes=corpus.contents * set_bytes, bands_bytes=corpus.contents * bands * BAND_STORED,
        bands_shuffle=bands_shuffle, sets_shuffle=sets_shuffle, partitions=partitions,
        task_memory=bands_shuffle / partitions + 2 * 10_000 * (4 * corpus.shingles + 100),
        one_process_memory=corpus.contents * (set_bytes + bands * 240 + 900),
        cpu_seconds=_cpu(corpus, bands, rows, compared),
    )  # fmt: skip


def recommend(corpus: Corpus, threshold: float, recall: float = 0.9, permutations: int = 256) -> Plan:
    """The cheapest banding that finds at least `recall` of the pairs at the threshold itself, with at most so many permutations.

    What meets is verified exactly, so a false candidate costs a comparison and nothing else, while a miss is final: recall is a
    condition and CPU time is what is made small. Raises UserError where no banding reaches the recall.
    """
    check(corpus, 1, 1, threshold)
    best: Plan | None = None
    for bands in range(1, MOST_BANDS + 1):
        for rows in range(1, min(MOST_ROWS, permutations // bands) + 1):
            if meets(threshold, bands, rows) < recall:
                break
            found = plan(corpus, bands, rows, threshold)
            if best is None or found.cpu_seconds < best.cpu_seconds:
                best = found
    if best is None:
        raise UserError(
            f"no banding of up to {permutations} permutations and {MOST_BANDS} bands finds {recall:.1%} of the pairs at {threshold}: "
            "ask for less recall or give more --permutations"
        )
    return best


def datasketch_optimum(threshold: float, permutations: int) -> tuple[int, int]:
    """(bands, rows) that datasketch's MinHashLSH takes: the least sum of the areas of false positives and false negatives."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    return int(index.b), int(index.r)


def check(corpus: Corpus, bands: int, rows: int, threshold: float) -> None:
    """Raise UserError for numbers outside of their range, naming the number and the range."""
    ranges = {
        "documents": (corpus.documents, 1, 10**13), "shingles": (corpus.shingles, 1, 1 << 24), "distinct": (corpus.distinct, 0, 1),
        "background": (corpus.background, 0, 1), "bands": (bands, 1, MOST_BANDS), "rows": (rows, 1, 10_000),
    }  # fmt: skip
    for name, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise UserError(f"{name} is {value:g}: give a number from {least} to {most}")
    if not 0 < threshold <= 1:
        raise UserError(f"threshold is {threshold:g}: give a similarity above 0 and up to 1")
    for low, pairs in corpus.similarities.items():
        if not (0 <= low < 1 and pairs >= 0):
            raise UserError(
                f"similarities: {pairs:g} pairs from {low:g} on: give similarities from 0 to 1 and counts that are not negative"
            )


def as_json(found: Plan) -> dict[str, Any]:
    """A plan as plain values, its curve in steps of .05 included."""
    curve = {f"{step * STEP:.2f}": meets(step * STEP, found.bands, found.rows) for step in range(1, 21)}
    return {**asdict(found), "permutations": found.permutations, "curve": curve}


def _pairs(corpus: Corpus) -> list[tuple[float, float]]:
    """(pairs, similarity) in steps of a tenth of `STEP`: within a step the curve bends, so a step is not one point."""
    return [
        (pairs * corpus.documents / 1_000 / 10, low + STEP * (part + 0.5) / 10)
        for low, pairs in corpus.similarities.items()
        for part in range(10)
    ]


def _cpu(corpus: Corpus, bands: int, rows: int, compared: float) -> float:
    hashing = corpus.documents * bands * rows * SECONDS_A_PERMUTATION * corpus.shingles / USUAL_SHINGLES
    return hashing + corpus.contents * bands * SECONDS_A_BAND + compared * SECONDS_A_COMPARISON
