"""The index of pages: hosts and hashes, and which files a look-up opens."""

from __future__ import annotations

import pyarrow as pa
import pytest
from deltalake import WriterProperties, write_deltalake

from crawlmill.rows import page_index
from crawlmill.rows.lookup import Reader
from tests.fixtures.lakes import NEW, OLD, record_id

PINS = {OLD: 7, NEW: 7}


@pytest.mark.parametrize(
    ("url", "reversed_host"),
    [
        ("https://www.Example.org/a?b#c", "org.example.www"),
        ("http://user:secret@example.org:8080/", "org.example"),
        ("https://example.org", "org.example"),
        ("https://пример.example/x", "example.пример"),
        ("mailto:somebody", ""),
        ("example.org/x", ""),
        ("", ""),
    ],
)
def test_hosts(url: str, reversed_host: str) -> None:
    assert page_index.host(url) == reversed_host


@pytest.mark.parametrize("form", ["{}", "<urn:uuid:{}>", "urn:uuid:{}", " {} "])
def test_ids_in_every_form(form: str) -> None:
    plain = record_id("x")[len("<urn:uuid:") : -1]
    assert page_index.as_id(form.format(plain)) == record_id("x")
    assert page_index.as_id(form.format(plain.upper())) == record_id("x")


def test_what_is_no_id() -> None:
    assert page_index.as_id("https://example.org/4d5a3b3e-5d0a-4b1c-9a55-0f6c2f5a9b11") is None
    assert page_index.as_id("<odd:record-7>") == "<odd:record-7>"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two snapshots of 40 hosts with five pages each, four files a snapshot, sorted as the gate sorts."""
    root = str(tmp_path_factory.mktemp("index"))
    for snapshot in (OLD, NEW):
        rows = []
        for number in range(200):
            url, identity = f"https://h{number // 5:02d}.example/page-{number}", record_id(f"{snapshot}/{number}")
            base = {"snapshot": snapshot, "shard": number % 7, "id": identity, "outcome": "eligible"}
            rows.append(base | {"url_host_name_reversed": page_index.host(url), "hash": page_index.digest(url), "url": url})
            rows.append(base | {"url_host_name_reversed": "", "hash": page_index.digest(identity), "url": None})
        ordered = pa.Table.from_pylist(rows).sort_by([("url_host_name_reversed", "ascending"), ("hash", "ascending")])
        for part in range(4):
            write_deltalake(
                f"{root}/{page_index.TABLE}", ordered.slice(part * 100, 100), partition_by=["snapshot"], mode="append",
                writer_properties=WriterProperties(compression="SNAPPY"),
            )  # fmt: skip
    return root


def test_a_look_up_reads_one_file_a_snapshot(lake: str) -> None:
    reader = Reader(lake)
    found = page_index.find(reader, PINS, "https://h31.example/page-157")
    assert [(place.snapshot, place.shard, place.id) for place in found] == [
        (snapshot, 157 % 7, record_id(f"{snapshot}/157")) for snapshot in (OLD, NEW)
    ]
    assert len(reader.files) == 2 and all(name.startswith("page_index/") for name in reader.files)
    reader.files.clear()
    by_id = page_index.find(reader, PINS, record_id(f"{NEW}/157")[10:-1])
    assert [(place.snapshot, place.id, place.url) for place in by_id] == [(NEW, record_id(f"{NEW}/157"), None)]
    assert len(reader.files) <= 2


def test_an_unknown_page_has_neighbours(lake: str) -> None:
    reader = Reader(lake)
    assert page_index.find(reader, PINS, "https://h31.example/page-15") == []
    near = page_index.beside(reader, PINS, "h31.example/page-15", 3)
    assert len(near) == 3 and all(url.startswith("https://h31.example/page-15") for url in near)
    assert page_index.beside(reader, {NEW: 7}, "https://unknown.example/", 3) == []
