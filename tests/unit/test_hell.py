"""Thousands of inputs from hell, by seeds: each is accounted for, gives the same twice, and costs a bounded time and memory."""

from __future__ import annotations

import io
import resource
import time
from typing import Any

import pytest

from crawlmill import layout
from crawlmill.recipes import recipe
from crawlmill.rows import page_index
from crawlmill.sources.pages import read_pages
from crawlmill.text import language, minhash, signals, url
from crawlmill.text.hooks import Document, chosen, run_hooks
from tests.fixtures import monsters
from tests.unit.test_odd_records import outcomes

SECONDS = 20  # of the processor, for a case; a page's own limit is less than this, and the machine may be slow
RECIPE = recipe.load(layout.recipes_dir() / "default.yaml")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def a_file(seed: int) -> None:
    data = monsters.crawl_file(seed)
    began = cpu()
    found = outcomes(data)
    again = list(read_pages(io.BytesIO(data), "f"))
    assert [row.get("reason") or "document" for row in again[:-1]] == found and again == list(read_pages(io.BytesIO(data), "f"))
    assert cpu() - began < SECONDS, seed


def an_address(seed: int) -> None:
    name = monsters.address(seed)
    began = cpu()
    host = url.host(name)
    assert host == url.host(name) and not set("\0\r\n") & set(host)
    assert url.domain(host) == url.domain(host)
    url.absolute(name, "https://www.example.org/a/b")
    url.absolute("../x", name)
    assert page_index.digest(name) == page_index.digest(name)
    page_index.host(name)
    assert cpu() - began < SECONDS / 10, seed


def what_becomes_of(texts: list[str]) -> list[Any]:
    """Language, hooks, signals and sketch of each text."""
    hooks = chosen(RECIPE.rewrite.hooks)
    found = language.identifier(RECIPE.identify).identify(texts)
    sketched = minhash.sketches(texts, RECIPE.sketch)
    made = []
    for text, told, sketch in zip(texts, found, sketched, strict=True):
        final, steps = run_hooks(Document(text), hooks)
        assert "error" not in [step.outcome for step in steps]
        made.append(
            (
                repr(told),
                final,
                [(step.hook, step.outcome) for step in steps],
                signals.measure(final or text, "eng"),
                repr(sketch),
            )
        )
    return made


def a_batch_of_texts(seeds: list[int]) -> None:
    texts = [
        monsters.text(seed).encode("utf-8", "replace").decode() for seed in seeds
    ]  # as extract leaves them: no lone surrogates
    began = cpu()
    together = what_becomes_of(texts)
    assert cpu() - began < SECONDS * len(seeds) / 2, seeds
    assert together == [what_becomes_of([text])[0] for text in texts], seeds


@pytest.mark.parametrize("seed", range(60))
def test_crawl_files(seed: int) -> None:
    a_file(seed)


@pytest.mark.full
@pytest.mark.parametrize("block", range(20))
def test_very_many_crawl_files(block: int) -> None:
    for seed in range(1_000 + block * 150, 1_000 + (block + 1) * 150):
        a_file(seed)


def test_addresses() -> None:
    for seed in range(400):
        an_address(seed)


@pytest.mark.full
def test_very_many_addresses() -> None:
    for seed in range(10_000, 30_000):
        an_address(seed)


def test_texts() -> None:
    a_batch_of_texts(list(range(8)))


@pytest.mark.full
@pytest.mark.parametrize("block", range(10))
def test_very_many_texts(block: int) -> None:
    a_batch_of_texts(list(range(1_000 + block * 30, 1_000 + (block + 1) * 30)))


@pytest.mark.full
@pytest.mark.parametrize("line", ["word ", "x", "川", "a@b.", "1"], ids=["words", "letters", "han", "addresses", "digits"])
def test_a_line_of_ten_megabytes(line: str) -> None:
    """What the extractor would let through at most is 4 MiB of page; texts of other tools may be longer."""
    text = line * (10_000_000 // len(line.encode()))
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    what_becomes_of([text])
    seconds, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert seconds < 180 and grown < 4 << 20, f"{seconds:.0f} s, {grown >> 10} MiB"
