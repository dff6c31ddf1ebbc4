"""crawlmill.sources.selection, .lists and .sniff, and a reading of a crawl file under them: what is left out is a reject."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from crawlmill.errors import UserError
from crawlmill.lake import snapshot
from crawlmill.recipes import recipe
from crawlmill.sources import lists
from crawlmill.sources.pages import read_pages
from crawlmill.sources.selection import Selection, languages_in, selection
from crawlmill.sources.sniff import mislabelled
from tests.fixtures import warcs

CLD2 = (
    b'fetchTimeMs: 12\r\ncharset-detected: UTF-8\r\nlanguages-cld2: {"reliable":true,"text-bytes":900,"languages":[{"code":"zh","code-iso-639-3":'
    b'"zho","text-covered":0.8,"score":1946.0,"name":"Chinese"},{"code":"en","code-iso-639-3":"eng","text-covered":0.1,"score":900.0}]}\r\n'
)


def listed(tmp_path: Path, kind: Any, *entries: str) -> lists.UrlList:
    path = tmp_path / f"{kind}.txt"
    path.write_text("\n".join(("# a comment", "", *entries)))
    return lists.UrlList(kind, str(path))


@pytest.mark.parametrize(
    ("kind", "entry", "inside", "outside"),
    [
        ("domains", "Example.org", ["https://example.org/", "http://a.b.EXAMPLE.org:8080/x"], ["https://notexample.org/", "https://example.org.uk/"]),
        ("domains", "bücher.example", ["https://xn--bcher-kva.example/"], ["https://example/"]),
        ("urls", "https://www.example.org/a/", ["http://example.org/a", "https://www.example.org/a#top"], ["https://example.org/a?x", "https://example.org/A"]),
        ("prefixes", "example.org/private/", ["https://m.example.org/private/x"], ["https://example.org/private", "https://example.org/public/private/"]),
        ("prefixes", "example.net", ["https://example.net/x"], ["https://example.org/example.net"]),
        ("words", "Casino", ["https://a.org/best-casino_online", "https://CASINO.org/"], ["https://a.org/casinos", "https://a.org/%63asinox"]),
    ],
)  # fmt: skip
def test_lists(tmp_path: Path, kind: Any, entry: str, inside: list[str], outside: list[str]) -> None:
    judge = Selection(blocklist=(listed(tmp_path, kind, entry),)).judge_url
    for url in inside:
        assert judge(url) is not None, url
    for url in outside:
        assert judge(url) is None, url


def test_opt_out_comes_first_and_messages_name_the_entry(tmp_path: Path) -> None:
    one = listed(tmp_path, "domains", "example.org")
    assert Selection(opt_out=(one,), blocklist=(one,)).judge_url("https://a.example.org/x") == (
        "opt_out", "domains of domains.txt name example.org")  # fmt: skip


def test_millions_of_entries_take_eight_bytes_each() -> None:
    many = lists.Hashes(f"host{number}.example" for number in range(20_000))
    assert "host77.example" in many and "host20000.example" not in many
    assert many.sorted.itemsize * len(many.sorted) == 160_000


def test_a_list_that_changed_since_the_recipe_was_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text("example.org\n")
    known = lists.digest(path)
    path.write_text("example.net\n")
    with pytest.raises(UserError, match="not the file that the recipe was read with"):
        lists.load("domains", str(path), known)


def write_recipe(folder: Path, select: str) -> Path:
    path = folder / "r.yaml"
    path.write_text(f"extends: default\nextract:\n  select:\n{select}")
    return path


def test_the_key_holds_what_a_list_says_and_not_where_it_lies(tmp_path: Path) -> None:
    keys = []
    for name, text in (("a", "example.org\n"), ("b", "example.org\n"), ("c", "example.net\n")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "list.txt").write_text(text)
        loaded = recipe.load(write_recipe(folder, "    blocklist: [{kind: domains, path: list.txt}]\n"))
        assert Path(loaded.extract.select.blocklist[0].path) == folder / "list.txt"
        keys.append(loaded.hash(["extract"]))
        assert loaded.extract.select.list_hashes() == {"blocklist domains list.txt": lists.digest(folder / "list.txt")}
    assert keys[0] == keys[1] != keys[2] and keys[0] != recipe.load().hash(["extract"])


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("    urls: {exclude: ['(']}\n", "no regular expression"),
        ("    languages: [de]\n", "no ISO 639-3 code"),
        ("    opt_out: [{kind: domains, path: absent.txt}]\n", "absent.txt cannot be read"),
        ("    opt_out: [{kind: domain, path: r.yaml}]\n", "extract.select.opt_out"),
        (f"    opt_out: [{{kind: domains, path: r.yaml, sha256: {'f' * 64}}}]\n", "has sha256"),
    ],
)
def test_slips_are_told_in_one_sentence(tmp_path: Path, select: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as refused:
        recipe.load(write_recipe(tmp_path, select))
    assert "\n" not in str(refused.value) and "r.yaml line" in str(refused.value)


def test_segments_and_seeded_samples_of_files() -> None:
    paths = [f"crawl-data/S/segments/{segment}/warc/{number}.warc.gz" for segment in ("1.1", "2.2") for number in range(50)]
    whole = {path: shard for shard, path in snapshot.listing("CC-MAIN-2026-43", paths).files()}
    one = snapshot.listing("CC-MAIN-2026-43", paths, sample=10, seed=1, segments=["2.2"]).files()
    two = snapshot.listing("CC-MAIN-2026-43", paths[::-1], sample=10, seed=2, segments=["2.2"]).files()
    assert len(one) == len(two) == 10 and one != two
    assert all("segments/2.2/" in path and whole[path] == shard for shard, path in one + two)


def rows(records: list[bytes], chosen: Selection, kind: Any = "warc") -> list[str]:
    data = io.BytesIO(b"".join(warcs.members(records)))
    found = list(read_pages(data, "f", kind, selection=chosen))
    assert found[-1]["records"] == len(found) - 1 + found[-1]["skipped"]
    return [row.get("reason") or "document" for row in found[:-1]]


def test_urls_by_pattern(tmp_path: Path) -> None:
    chosen = recipe.load(write_recipe(tmp_path, "    urls: {include: ['/[0-3]$'], exclude: ['/2$']}\n")).extract.select
    assert rows([warcs.page(number) for number in range(5)], selection(chosen)) == [
        "document",
        "document",
        "url_excluded",
        "document",
        "url_excluded",
    ]


def metadata(about: int, content: bytes = CLD2) -> bytes:
    return warcs.record(
        "metadata", 7000 + about, content, Content_Type="application/warc-fields", WARC_Concurrent_To=warcs.record_id(about)
    )


def test_languages_of_the_crawl_s_own_metadata() -> None:
    assert languages_in(CLD2) == ("zho", "eng")
    assert languages_in(b"languages-cld2: {broken\r\n") == languages_in(b"fetchTimeMs: 1\r\n") == ()
    records = [warcs.page(1), metadata(1), warcs.page(2), metadata(9), warcs.page(3), warcs.page(4), metadata(4), warcs.page(5)]
    german = Selection(languages=frozenset({"deu"}))
    assert rows(records, german) == ["other_language", "document", "document", "other_language", "document"]
    assert rows(records, Selection(languages=frozenset({"eng"}))) == ["document"] * 5
    wet = warcs.record(
        "conversion",
        1,
        b"Ein Satz.",
        Content_Type="text/plain",
        WARC_Refers_To=warcs.record_id(8),
        WARC_Identified_Content_Language="eng,fra",
    )
    assert rows([wet, warcs.conversion(2, "Noch einer.")], german, "wet") == ["other_language", "document"]


def test_codes_of_single_languages_find_their_family(tmp_path: Path) -> None:
    chosen = selection(recipe.load(write_recipe(tmp_path, "    languages: [cmn, deu]\n")).extract.select)
    assert chosen.languages == {"zho", "deu"}


@pytest.mark.parametrize(
    "payload",
    [b"%PDF-1.7\n%\xe2\xe3", b"PK\x03\x04\x14\x00", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a\x01\0", b"\0\0\0\x18ftypmp42",
     b"OTTO\0\x0c", bytes(range(256)) * 6],
)  # fmt: skip
def test_what_is_no_text(payload: bytes) -> None:
    assert mislabelled(payload)
    assert rows([warcs.record("response", 1, warcs.http(payload))], Selection()) == ["mislabelled"]


@pytest.mark.parametrize(
    "payload",
    [b"OTTO von Bismarck", b"<html>\0\0 some", "<p>Grüße".encode("utf-16"), "<p>Grüße aus der Ferne".encode("utf-16-le") * 9, b"II* is a text",
     "日本語の文章".encode("shift_jis") * 20, b"plain \x1b[0m text \x0c"],
)  # fmt: skip
def test_what_may_be_text(payload: bytes) -> None:
    assert not mislabelled(payload)


def test_the_crawler_s_own_finding_counts_unless_there_is_markup() -> None:
    assert mislabelled(b"some stream of things", "application/pdf")
    assert not mislabelled(b"<html><body>", "application/pdf")
    assert not mislabelled(b"some text", "application/xhtml+xml") and not mislabelled(b"<svg", "image/svg+xml")


def test_mime_patterns(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("extends: default\nextract: {mime: ['text/*'], select: {mime_exclude: [text/css]}}\n")
    limits = recipe.load(path).extract.read_limits()
    assert [limits.reads(mime) for mime in ("text/html", "text/css", "application/pdf")] == [True, False, False]
