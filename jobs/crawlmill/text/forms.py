"""Forms of a document for a trainer: what `crawlmill export --form` writes in place of the plain text, from the papers that it is named after.

A form turns the documents of a shard, in their order, into rows. It depends on these and on the seed alone, so the same export gives the same rows.
"""

from __future__ import annotations

import base64
import hashlib
import random
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crawlmill.text import context_order, page, signals_difficulty, url
from crawlmill.text.selection import chance
from crawlmill.text.sentences import sentence_ends
from crawlmill.text.words import composed, tokenize

Row = dict[str, Any]
Options = Mapping[str, Any]
LEAST_BUCKET, MOST_BUCKET = 8, 13  # Dataset Decomposition: sequences of 2^8 + 1 to 2^13 + 1 tokens
MULTIPLIERS = {13: 1, 12: 2, 11: 4, 10: 8, 9: 16, 8: 32}
"""Dataset Decomposition: sequences of a bucket in a batch, so that all batches have equally many tokens."""
_CLOSING = ("Pe", "Pf", "Po")  # brackets and quotes that close, and further marks: they belong to the sentence before
TAG_CHARACTERS = 16  # base 32: 80 bits, so a billion documents share a tag with a chance of 4 in 10 million


@dataclass(frozen=True)
class Tools:
    """What a form may use besides the document: the seed, a tokenizer, a scorer of the recipe, each None where none was given."""

    seed: int = 0
    encode: Callable[[str], list[int]] | None = None
    token: Callable[[str], int | None] | None = None
    score: Callable[[Sequence[str], str], Sequence[float | None]] | None = None


def meco(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """MeCo (Gao et al. 2025): `text_prefix` says where the page is from in phase 1, is empty in phase 2, which is trained last.

    Phase 2 is `plain_share` of the shard's tokens (of UTF-8 bytes without a tokenizer), within one document; which document belongs to it
    hangs on those before it, not on its own length. `prefix_len` is in tokens, null without a tokenizer; no loss is taken on BOS and so many.
    The authors' prefix keeps port and user; this one does not.
    """
    plain = total = 0
    for row in rows:
        phase = 2 if plain < options["plain_share"] * total else 1
        size = row["token_count"] if tools.encode else len(row["text"].encode())
        total, plain = total + size, plain + size * (phase == 2)
        host = url.host(row["url"])
        name = url.domain(host) or host if options["of"] == "domain" else host
        prefix = f"URL: {name}\n\n" if phase == 1 and name else ""
        yield {
            **row,
            "text_prefix": prefix,
            "prefix_len": len(tools.encode(prefix)) if tools.encode else None,
            "phase": phase,
        }


def tag(row: Row) -> str:
    """A short name of a document, the same in every export: 16 letters and digits made of snapshot and id."""
    digest = hashlib.sha256(f"{row['snapshot']}\0{row['id']}".encode()).digest()
    return base64.b32encode(digest)[:TAG_CHARACTERS].decode().lower()


def source_aware(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """Source-aware training (Khalifa et al. 2024): the document's tag stands in its text, and in copies with its sentences in another order.

    `place`: first, last, sentences (after each but the last) or words (after each 20, and last). Copy 0 has the text as it is.
    """
    for row in rows:
        name = tag(row)
        for copy in range(1 + options["copies"]):
            parts = sentences(row["text"])
            if copy:
                random.Random(f"{tools.seed} {name} {copy}").shuffle(parts)  # noqa: S311 no secret
            text = " ".join(part.strip() for part in parts) if copy else row["text"]
            yield {**row, "doc_tag": name, "copy": copy, "text": _placed(text, f"<url>{name}</url>", options["place"])}


def _placed(text: str, mark: str, place: str) -> str:
    """The text with a mark in it, at least once."""
    if place == "first":
        return f"{mark} {text}"
    pieces = [text]
    if place == "sentences":
        pieces = sentences(text)
    elif place == "words":
        words = text.split(" ")
        pieces = [" ".join(words[at : at + 20]) + (" " if at + 20 < len(words) else "") for at in range(0, len(words), 20)]
    if len(pieces) == 1 or place == "words":
        pieces.append("")  # so that the last piece is followed by a mark, too
    bare = [piece.rstrip() for piece in pieces[:-1]]
    marked = [f"{own} {mark}{piece[len(own) :] or ' '}" for own, piece in zip(bare, pieces, strict=False)]
    return ("".join(marked) + pieces[-1]).rstrip(" ")


def sentences(text: str) -> list[str]:
    """The sentences of a text (NFC), each with the white space behind it; together they are the text."""
    text = composed(text)
    ends = sorted({*sentence_ends(tokenize(text)).tolist(), len(text)})
    starts = [0]
    for end in ends[:-1]:
        at = end + 1
        while at < len(text) and unicodedata.category(text[at]) in _CLOSING:
            at += 1
        while at < len(text) and text[at].isspace():
            at += 1
        if starts[-1] < at < len(text):
            starts.append(at)
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def conditional(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """Pretraining with human preferences (Korbak et al. 2023): before each sentence a token that says whether its score is low enough.

    A share `drop` of the tokens is left out, as drawn by document and sentence; so is that of a sentence without a score (another language).
    """
    assert tools.score is not None
    for row in rows:
        parts = sentences(row["text"])
        told = tools.score([part.strip() for part in parts], row["language"])
        text = ""
        for number, (part, value) in enumerate(zip(parts, told, strict=True)):
            silent = value is None or chance(f"{row['id']}#{number}", tools.seed) < options["drop"]
            text += part if silent else (options["good"] if value <= options["limit"] else options["bad"]) + part
        yield {**row, "text": text}


def decomposed(tokens: int, draw: Callable[[], float] | None = None) -> list[int]:
    """The buckets of a document's sequences, in its order: bucket k has 2^k + 1 tokens; what is left, less than 257 tokens, is dropped.

    Args:
        tokens: of the document, its end among them.
        draw: numbers in 0 to 1 that choose the bucket where more than the greatest would fit, bucket k with a weight of 2^k; None: the greatest.
    """
    found: list[int] = []
    while tokens > 1 and (bucket := (tokens - 1).bit_length() - 1) >= LEAST_BUCKET:
        if bucket > MOST_BUCKET:
            bucket = MOST_BUCKET
            if draw is not None:
                weights = [2**k for k in range(LEAST_BUCKET, MOST_BUCKET + 1)]
                place = draw() * sum(weights)
                bucket = LEAST_BUCKET + next(at for at in range(len(weights)) if place < sum(weights[: at + 1]))
        found.append(bucket)
        tokens -= 2**bucket + 1
    return found


def decomposition(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """Dataset Decomposition (Pouransari et al. 2024): tokens of one document each, cut to sequences of 2^k + 1, k from 8 to 13: the bucket.

    A batch of bucket k has `batch_multiplier` times as many sequences as one of the greatest bucket.
    """
    assert tools.encode is not None and tools.token is not None
    end = tools.token(options["end"])
    for row in rows:
        tokens = [*tools.encode(row["text"]), end]
        draw = random.Random(f"{tools.seed} {row['snapshot']} {row['id']}").random if options["random"] else None  # noqa: S311
        at = 0
        for number, bucket in enumerate(decomposed(len(tokens), draw)):
            own = tokens[at : at + 2**bucket + 1]
            at += len(own)
            named: Row = {name: row[name] for name in ("snapshot", "id", "language") if name in row}
            yield {**named, "sequence": number, "bucket": bucket, "batch_multiplier": MULTIPLIERS[bucket], "tokens": own}


def icp(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """In-Context Pretraining (Shi et al. 2024): documents of a shard along paths of similar ones, `icp_path` and the place in it, `icp_pos`.

    Holds the shard in memory, and compares all of its documents: shards of some 50,000 documents.
    """
    held = list(rows)
    for at, path, place in context_order.ordered([row["text"] for row in held], tools.seed):
        yield {**held[at], "icp_path": path, "icp_pos": place}


def curriculum(rows: Iterable[Row], options: Options, tools: Tools) -> Iterator[Row]:
    """Beyond Random Sampling (Zhang et al. 2025), interleaved: each shard, a random part of the whole, goes from easy to hard.

    `by`: compression_ratio or mtld (low is easy), flesch (high is easy). `difficulty` is its value, `difficulty_decile`, 0 to 9, of the shard's
    documents; one without a value (another language) comes last. Holds the shard in memory.
    """
    held = list(rows)
    found = [
        signals_difficulty.values(page.read(row["text"]), row["language"]).get(f"difficulty_{options['by']}") for row in held
    ]
    sign = -1.0 if (options["by"] == "flesch") != options["hardest_first"] else 1.0
    known = sorted(
        (at for at, value in enumerate(found) if value is not None), key=lambda at: (sign * (found[at] or 0.0), held[at]["id"])
    )
    for place, at in enumerate(known):
        yield {**held[at], "difficulty": found[at], "difficulty_decile": 10 * place // len(known)}
    for at, value in enumerate(found):
        if value is None:
            yield {**held[at], "difficulty": None, "difficulty_decile": None}


@dataclass(frozen=True)
class Form:
    """A form: its function, its options with the paper's values, and what it cannot do without."""

    make: Callable[[Iterable[Row], Options, Tools], Iterator[Row]]
    options: Options
    needs: frozenset[str] = frozenset()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)


FORMS: Mapping[str, Form] = {
    "meco": Form(meco, {"plain_share": 0.1, "of": "host"}, choices={"of": ("host", "domain")}),
    "source-aware": Form(
        source_aware, {"place": "last", "copies": 2}, choices={"place": ("first", "last", "sentences", "words")}
    ),
    "conditional": Form(
        conditional,
        {"scorer": "", "limit": 0.00056, "drop": 0.01, "good": "<|aligned|>", "bad": "<|misaligned|>"},
        frozenset({"scorer"}),
    ),
    "icp": Form(icp, {}),
    "curriculum": Form(
        curriculum,
        {"by": "compression_ratio", "hardest_first": False},
        choices={"by": ("compression_ratio", "mtld", "flesch")},
    ),
    "decomposition": Form(decomposition, {"end": "<|endoftext|>", "random": True}, frozenset({"tokenizer"})),
}
