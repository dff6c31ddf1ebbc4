"""The report in a real browser: it opens quietly and quickly, limits can be dragged, nothing of a page runs, axe finds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawlmill import report
from crawlmill.lake import pins
from crawlmill.recipes import defined_at, recipe
from crawlmill.report import data, histograms
from tests.fixtures import seen
from tests.fixtures.lakes import NEW


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seen.make(str(tmp_path_factory.mktemp("report") / "lake"))


@pytest.fixture(scope="module")
def file(lake: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.write(lake, NEW, defined_at.rulebook(), path)
    return path


def opened(browser: Any, file: Path, width: int = 1280, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page, and everything that went wrong in it: console, errors, dialogs, requests for anything but the file."""
    page, wrong = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: None if request.url == file.as_uri() else wrong.append(request.url))
    page.goto(file.as_uri())
    return page, wrong


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_it_opens_quietly_and_everybody_can_use_it(browser: Any, file: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the extra `dev` has it")
    page, wrong = opened(browser, file, width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []


def test_it_prints_on_paper_whatever_the_theme(browser: Any, file: Path) -> None:
    page, wrong = opened(browser, file, 760, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 760, "no table is cut off at the paper's edge"
    assert page.evaluate("getComputedStyle(document.querySelector('.fill')).backgroundColor") == "rgb(10, 95, 180)"
    assert not page.locator("#reset").is_visible() and not page.locator("#cards input").first.is_visible()
    assert wrong == []


def test_a_dragged_limit_tells_what_would_be_kept(browser: Any, file: Path, lake: str) -> None:
    page, wrong = opened(browser, file)
    counts = histograms.count(lake, NEW, pins.newest(lake, NEW), recipe.load().gate)
    rule = counts.rules["deu_Latn"]["list_ratio"]
    page.select_option("#label", "deu_Latn")
    card = page.locator('[data-rule="list_ratio"]')
    slider, told = card.locator("input"), card.locator(".kept")
    assert int(told.get_attribute("data-kept")) == counts.eligible["deu_Latn"]
    for edge in (0, rule.at, len(rule.edges) - 1):
        slider.fill(str(edge))
        assert int(told.get_attribute("data-kept")) == rule.kept("max", edge)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert int(told.get_attribute("data-kept")) == rule.kept("max", len(rule.edges) - 2)
    assert float(card.locator("output").text_content()) == pytest.approx(rule.edges[-2], rel=1e-4)
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 9, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert slider.input_value() == "0"
    page.click("#reset")
    assert slider.input_value() == str(rule.at)
    assert wrong == []


def test_a_hundred_languages_open_within_a_second(browser: Any, lake: str, tmp_path: Path) -> None:
    found = data.gather(lake, NEW, defined_at.rulebook())
    row, table = found["languages"][0], found["sliders"]["eng_Latn"]
    for n in range(100):
        name = f"l{n:02d}"
        found["languages"].append({**row, "language": name})
        found["sliders"][f"{name}_Latn"], found["sizes"][f"{name}_Latn"] = table, found["sizes"]["eng_Latn"]
        found["labels"].append(f"{name}_Latn")
    path = tmp_path / "hundred.html"
    path.write_text(report.render(found), encoding="utf-8")
    times = []
    for _ in range(3):  # the machine may be busy: the best of three
        page, wrong = opened(browser, path)
        times.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
        assert wrong == []
    assert min(times) < 1_000, times
