"""The plugin's pages in a real browser: quiet, usable by everybody, by keyboard, in both themes and on a telephone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill.assess import judge
from crawlmill.recipes import recipe
from tests.fixtures import open_pages, seen
from tests.fixtures.lakes import NEW, OLD

SHOTS = os.environ.get("CRAWLMILL_SCREENSHOTS")  # a folder: pictures of every page are put there
TRIED = "language=eng&way=expression&expression=gopher_word_count+%3C+60"
PAGES = {
    "snapshots": "",
    "why": "why?page=" + "https%3A%2F%2Fsite1.example%2Fpage-49%3Fq%3D%22%3E%3Cscript%3Ealert('url')%3C%2Fscript%3E",
    "table": "table?name=verdicts&version=2",
    "stage": "stage?dag_id=ingest_snapshot&run_id=backfill__1&task_id=gate.check",
    "workbench": f"workbench?{TRIED}",
    "recipes": "workbench?way=recipes&a=in+force&b=default",
    "wrong": "workbench?way=pattern&pattern=(",
    "judge": "judge?name=pairs",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    found = seen.make(str(tmp_path_factory.mktemp("open") / "lake"))
    judge.make(found, "pairs", OLD, NEW, "eng", 5)
    return found


@pytest.fixture(scope="module")
def address(lake: str) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRAWLMILL_LAKE", lake)
        with open_pages.served() as found:
            yield found


def opened(browser: Any, address: str, width: int = 1280, scheme: str = "light", role: str = "editor") -> tuple[Any, list[str]]:
    """A page, and everything that goes wrong in it: console, errors, dialogs, requests elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, extra_http_headers={"x-role": role}
    )
    page, wrong, host = context.new_page(), list[str](), address.split("/")[2]
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: None if request.url.split("/")[2] == host else wrong.append(request.url))
    page.goto(address)
    return page, [one for one in wrong if "400 (Bad Request)" not in one]


FULL = pytest.mark.full
VIEWS = [(1280, "light"), (390, "dark"), pytest.param(1280, "dark", marks=FULL), pytest.param(390, "light", marks=FULL)]


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_open_quietly_and_everybody_can_use_them(browser: Any, address: str, name: str, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: the extra `dev` has it")
    page, wrong = opened(browser, address + PAGES[name], width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}-{width}-{scheme}.png"), full_page=name != "wrong")
    page.context.close()


def test_the_workbench_by_keyboard_from_a_rule_to_a_draft(browser: Any, address: str, lake: str) -> None:
    page, wrong = opened(browser, address + "workbench")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip", "the first stop jumps over the menu"
    page.locator("select[name=language]").select_option("deu")
    page.get_by_role("button", name="Use this sample").press("Enter")
    page.get_by_label("Expression").fill("gopher_word_count < 50 or fineweb_list_ratio > 0.2")
    page.get_by_label("Expression").press("Enter")
    assert "Hits" in page.get_by_role("status").inner_text()
    first = page.locator("#result .page .url").all_inner_texts()
    page.get_by_role("link", name="Other hits and misses").press("Enter")
    assert page.locator("#result .page .url").all_inner_texts() != first
    page.get_by_label("Name").fill("by-hand")
    page.get_by_label("Name").press("Enter")
    assert "by-hand.yaml" in page.get_by_role("status").inner_text()
    assert recipe.load(Path(lake) / "_control" / "drafts" / "by-hand.yaml").gate.rules["by-hand_1"].languages == ("deu",)
    page.get_by_role("link", name="compare it with the recipe in force").click()
    assert "in force keeps" in page.get_by_role("status").inner_text()
    assert wrong == []


def test_the_search_box_finds_a_page_and_its_neighbours(browser: Any, address: str) -> None:
    page, wrong = opened(browser, address + "why", role="viewer")
    box = page.get_by_label("URL or id of a page")
    box.fill("https://site1.example/page-48")
    box.press("Enter")
    assert "No snapshot" in page.get_by_role("status").inner_text()
    page.locator("main ul a").first.click()
    assert NEW in page.locator("main h2").last.inner_text()
    assert wrong == []
