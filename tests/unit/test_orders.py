"""Takedown orders: what people write, what it means, and that extract asks about every record."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from crawlmill.errors import UserError
from crawlmill.lake import table
from crawlmill.sources.pages import read_pages
from crawlmill.sources.selection import Selection
from crawlmill.takedowns import orders
from crawlmill.verbs import takedown_cli
from tests.fixtures import warcs
from tests.fixtures.shell import call, user_error

ID = "<urn:uuid:0a1b2c3d-0000-4000-8000-000000000001>"


def order(*names: str) -> orders.Order:
    return orders.make(names, "somebody", "a reason")


def test_names_are_told_apart() -> None:
    made = order(
        "# a remark", "", "Example.ORG", "https://www.example.org/a#b", ID.strip("<>"), "bücher.example", "other.example/x"
    )
    assert made.domains == ("example.org", "xn--bcher-kva.example")
    assert made.urls == ("https://www.example.org/a#b", "other.example/x")
    assert made.ids == (ID,)
    assert str(made) == "2 domains, 2 addresses, " + f"id {ID}"
    assert made.name == order("example.org", *made.urls, *made.ids, "bücher.example").name != order("example.org").name


@pytest.mark.parametrize("name", ["org", "co.uk", "a b", "localhost", "mailto:x@example.org", "*"])
def test_what_is_too_wide_or_no_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no domain, address or record id"):
        order(name)


def test_nothing_named_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to take down is named"):
        order(" ", "# only a remark")


@pytest.mark.parametrize(
    ("url", "record_id", "expected"),
    [
        ("https://example.org/", None, 0),
        ("http://sub.example.org:8080/x?y", "x", 0),
        ("https://notexample.org/", "x", None),
        ("https://example.org.evil.example/", "x", None),
        ("http://www.other.example/page/#part", "x", 1),
        ("https://other.example/page/2", "x", None),
        ("https://third.example/", ID, 1),
        (None, ID, 1),
        (None, None, None),
        ("https://example.org/", ID, 0),
    ],
)
def test_a_record_meets_the_first_order_that_names_it(url: str | None, record_id: str | None, expected: int | None) -> None:
    both = [order("example.org"), order("https://other.example/page", ID, "sub.example.org")]
    found = orders.Orders(both).find(url, record_id)
    assert found == (None if expected is None else both[expected].name)


def test_an_order_is_kept_once_and_holds_at_once(lake: str) -> None:
    assert orders.ready(lake).find("https://example.org/", None) is None
    assert orders.add(lake, order("example.org")) and not orders.add(lake, order("example.org"))
    assert [one.domains for one in orders.held(lake)] == [("example.org",)]
    assert orders.ready(lake).find("https://example.org/", None) == order("example.org").name
    orders.add(lake, order("other.example"))
    assert orders.ready(lake).find("https://other.example/", None) == order("other.example").name


def test_a_damaged_list_lets_nothing_in(lake: str) -> None:
    orders.add(lake, order("example.org"))
    with (Path(lake) / orders.FILE).open("a") as handle:
        handle.write(json.dumps({"domains": ["x"]}) + "\n")
    with pytest.raises(UserError, match="line 2 is no takedown order"):
        orders.ready(lake)


def test_extract_rejects_named_records_before_it_reads_them(tmp_path: Path) -> None:
    data = b"".join(
        warcs.members(
            [warcs.page(1, WARC_Target_URI="https://example.org/a"), warcs.page(2, WARC_Target_URI="https://stays.example/b")]
        )
    )
    wanted = Selection(orders=orders.Orders([order("example.org")]))
    rows = list(read_pages(io.BytesIO(data), "x.warc.gz", selection=wanted))
    reject = next(row for row in rows if row["row"] == "reject")
    assert (reject["id"], reject["url"], reject["reason"]) == (warcs.record_id(1), None, "taken_down")
    assert reject["message"] == f"taken down by order {order('example.org').name}"
    assert [row["url"] for row in rows if row["row"] == "document"] == ["https://stays.example/b"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to take down is named"),
        (("org",), "is no domain"),
        (("--file", "nowhere.txt"), "nowhere.txt cannot be read"),
        (("example.org",), "ingest a snapshot first"),
    ],
)
def test_the_verb_refuses_what_it_cannot_do_before_spark_starts(
    arguments: tuple[str, ...], words: str, lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = user_error(monkeypatch, capsys, "takedown", *arguments, "--because", "x", "--by", "y", "--lake", lake, "--yes")
    assert words in said


def test_what_would_go_is_shown_by_table_and_snapshot() -> None:
    shown = takedown_cli.show(
        {"tables": {"documents": {"CC-MAIN-2026-43": 3}, "corpus": {"CC-MAIN-2026-38": 1}}, "releases": ["web"]}
    )
    assert [line.split() for line in shown.splitlines()] == [
        ["table", "CC-MAIN-2026-38", "CC-MAIN-2026-43"], ["corpus", "1", "0"], ["documents", "0", "3"], ["releases", "to", "withdraw:", "web"],
    ]  # fmt: skip
    assert takedown_cli.show({"tables": {}, "releases": []}) == "no row of the lake is named"


def test_the_verb_shows_first_and_deletes_with_yes(
    lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.create_all(lake)
    done: list[orders.Order] = []
    found = {"tables": {"documents": {"CC-MAIN-2026-43": 3}}, "releases": ["web"]}
    monkeypatch.setattr("crawlmill.protocol.session.build", lambda name, lake: None)
    monkeypatch.setattr("crawlmill.takedowns.takedown.preview", lambda spark, lake, order: found)
    monkeypatch.setattr(
        "crawlmill.takedowns.takedown.execute",
        lambda spark, lake, order, recipe, say: done.append(order) or {"CC-MAIN-2026-43": 3},
    )
    arguments = ("takedown", "example.org", "--because", "a letter", "--by", "Ann", "--lake", lake)
    assert call(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert "domain example.org" in shown and "releases to withdraw: web" in shown and "nothing was changed" in shown
    assert done == [] and orders.held(lake) == []
    assert takedown_cli.preview(lake, order("example.org").name) == found
    assert call(monkeypatch, *arguments, "--yes") == 0
    assert "3 documents of CC-MAIN-2026-43 deleted" in capsys.readouterr().out
    assert (done[0].by, done[0].because, done[0].domains) == ("Ann", "a letter", ("example.org",)) and done[0].at
