"""Clean text is likelier under a model of what the pipeline keeps than of raw pages, and of these than of what it drops, on real pages."""

from __future__ import annotations

import random

import pytest

from tests.bench import reference_perplexity as bench
from tests.fixtures import prose

MENU = "home login cart subscribe menu imprint privacy next previous search"


def test_three_models_have_one_vocabulary_and_say_which_is_nearest() -> None:
    draw = random.Random(1)
    menus = ["\n".join(" ".join(draw.sample(MENU.split(), 3)) for _ in range(60)) for _ in range(30)]
    clean = [prose.article(n) for n in range(30)]
    pages = [bench.Judged("eng", n < 30, text, text) for n, text in enumerate([*clean, *menus])]
    parts = bench.sides("gate", pages)
    assert (len(parts["kept"]), len(parts["raw"]), len(parts["dropped"])) == (30, 60, 30)
    asked = [line for n in range(100, 110) for line in bench.arpa.words_of(prose.article(n))]
    kept, raw, dropped = bench.likelihoods(parts, 3_000, asked, 2).sum(axis=1)
    assert kept > raw > dropped
    assert len(bench.cut(clean, 500)) < 500 == sum(len(line) for line in bench.cut(clean, 500))


def test_the_rest_of_a_page_is_what_its_main_text_lacks() -> None:
    page = bench.Judged(
        "eng", True, "A river froze.\nIt broke in March.", "Home | Login\nA river  froze.\nIt broke in March.\nImprint"
    )
    failed = bench.Judged("eng", False, "Buy now", "Home | Login\nBuy now")
    parts = bench.sides("pipeline", [page, failed])
    assert parts == {"kept": [page.main], "raw": [page.whole, failed.whole], "dropped": ["Home | Login\nImprint", failed.whole]}


@pytest.mark.full
@pytest.mark.skipif(not (bench.SHARED / "data").is_dir(), reason="needs the shared test data (CRAWLMILL_SHARED)")
def test_clean_text_is_likeliest_under_kept_and_least_under_dropped_text_of_the_real_web() -> None:
    """Of every language with 5,000 words of each. English is not in this order: listings and forums that fail the gate are prose, too."""
    rows = list(bench.compare("pipeline", bench.by_language(bench.pages(bench.real())), 5_000, 50_000, 2))
    assert sum(row.ordered for row in rows) >= 4
    assert all(low > 1 for row in rows for low, _ in row.intervals[:1]), (
        "kept below raw everywhere, by more than the reference's spread"
    )
