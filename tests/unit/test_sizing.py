"""The sizes of a cluster are computed from what was measured, as an estimate is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from crawlmill import layout
from crawlmill.explain import ingest_estimate, page_cost, sizing

FIGURES: dict[str, Any] = page_cost.figures()


def cells(text: str, name: str) -> list[float]:
    (line,) = re.findall(rf"^\| {name} \|(.*)\|$", text, re.MULTILINE)
    return [float(cell.replace(",", "")) for cell in line.split("|")]


def changed(**work: float) -> dict[str, Any]:
    return {**FIGURES, "work": {**FIGURES["work"], **work}}


def test_every_stage_was_measured_and_says_where() -> None:
    work = FIGURES["work"]
    assert set(work["stages"]) == set(page_cost.STAGES) and work["pages"] > 5_000
    assert work["source"] and work["what"] and work["machine"]
    assert all(found["core_seconds"] > 0 and found["stored_bytes"] > 0 for found in work["stages"].values())


def test_the_page_that_ships_is_what_an_estimate_says(lake: str) -> None:
    page, crawl = (layout.home() / "infra" / "SIZING.md").read_text(), FIGURES["crawl"]["warc"]
    seen = ingest_estimate.measured(lake, "warc", 2)
    pages = crawl["files"] * seen.records
    hours = {
        name: took * pages * (1.0 if name == "extract" else seen.documents) / 3600 for name, took in seen.core_seconds.items()
    }
    for name in page_cost.STAGES:
        assert cells(page, name)[1] == pytest.approx(hours[name], abs=0.5)
    _, total, _, _, stored, money = cells(page, "all")
    assert total == pytest.approx(sum(hours.values()), abs=0.5) and money == pytest.approx(total * sizing.CORE_HOUR, abs=1)
    assert stored == pytest.approx(pages * seen.documents * seen.stored / 1e12, abs=0.005)


def test_the_sum_is_that_of_the_stages() -> None:
    page = sizing.page(FIGURES)
    parts = [cells(page, name) for name in page_cost.STAGES]
    for place, slack in enumerate((0.05, 5, 0.5, 0.05, 0.05, 5)):
        assert cells(page, "all")[place] == pytest.approx(sum(row[place] for row in parts), abs=slack)


def test_markup_costs_extract_and_texts_cost_what_works_on_them() -> None:
    work, before = FIGURES["work"], page_cost.by_stage("warc")
    wide = page_cost.by_stage("warc", changed(bytes=work["bytes"] * 2))  # the same work on pages of twice the size
    long = page_cost.by_stage("warc", changed(text_bytes=work["text_bytes"] * 2))
    for name, cost in before.items():
        assert wide[name].core_seconds == pytest.approx(cost.core_seconds / (2 if name == "extract" else 1))
        assert long[name].core_seconds == pytest.approx(cost.core_seconds / (2 if name in page_cost.WORKS_ON_TEXT else 1))
        assert long[name].stored == pytest.approx(cost.stored / (2 if name in page_cost.STORES_TEXT else 1))
        assert long[name].exchanged == wide[name].exchanged == cost.exchanged
