"""The sample crawl: the same bytes everywhere, readable as Common Crawl is, and true to its truth.jsonl."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from crawlmill import layout, sample_crawl
from crawlmill.errors import UserError
from crawlmill.sample_crawl.mirror import files
from crawlmill.sample_crawl.pages import Page
from crawlmill.sample_crawl.plan import pages

TEXTS = ("article", "exact_copy", "near_copy", "far_copy")
HASHES = "import hashlib\nfrom crawlmill.sample_crawl.mirror import files\nfor p, b in files().items(): print(hashlib.sha256(b).hexdigest(), p)"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample_crawl.write(folder)
    return folder


@pytest.fixture(scope="module")
def truth(mirror: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (mirror / sample_crawl.TRUTH).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def texts() -> dict[tuple[str, str], Page]:
    """(snapshot, url) -> page, for pages with a text."""
    return {(snapshot, page.url): page for snapshot in sample_crawl.SNAPSHOTS for page in pages(snapshot) if page.text}


def shingles(text: str) -> set[tuple[str, ...]]:
    """Word 5-grams; a character is a word in Han and kana, four are one in Thai."""
    tokens = re.findall(r"[぀-ヿ一-鿿]|[฀-๿]{4}|[^\W฀-๿]+", text.lower())
    return {tuple(tokens[start : start + 5]) for start in range(len(tokens) - 4)}


def similarity(a: str, b: str) -> float:
    first, second = shingles(a), shingles(b)
    return len(first & second) / max(1, len(first | second))


def listed(mirror: Path, snapshot: str, kind: str) -> list[str]:
    return gzip.decompress((mirror / f"crawl-data/{snapshot}/{kind}.paths.gz").read_bytes()).decode().split()


def test_bytes_do_not_depend_on_the_process(tmp_path: Path, mirror: Path) -> None:
    sample_crawl.write(tmp_path)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()} for root in (mirror, tmp_path)
    )
    assert first == second
    import hashlib

    elsewhere = subprocess.run(
        [sys.executable, "-c", HASHES], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(layout.jobs_dir()), "TZ": "Asia/Tokyo", "LC_ALL": "C"},
    )  # fmt: skip
    here = {path.as_posix(): hashlib.sha256(data).hexdigest() for path, data in first.items()}
    assert {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in elsewhere.stdout.splitlines()} == here


def test_earlier_snapshots_leave_the_two_as_they_are(tmp_path: Path, mirror: Path) -> None:
    import json

    from crawlmill.sources.listing import collinfo

    six = sample_crawl.write(tmp_path, earlier=4)
    assert len(six.pages) == 6 and min(six.pages) == "CC-MAIN-2026-18"
    assert [info.id for info in collinfo(str(tmp_path))] == sorted(six.pages, reverse=True)
    for path in (path for path in mirror.rglob("*") if path.is_file() and "crawl-data" in str(path)):
        assert (tmp_path / path.relative_to(mirror)).read_bytes() == path.read_bytes()
    rows = [json.loads(line) for line in (tmp_path / sample_crawl.TRUTH).read_text().splitlines()]
    urls = {name: {row["url"] for row in rows if row["snapshot"] == name} for name in six.pages}
    assert all(urls[name] < urls["CC-MAIN-2026-38"] and len(urls[name]) > 20 for name in sorted(urls)[:4])
    ids = {name: {row["id"] for row in rows if row["snapshot"] == name} for name in six.pages}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values())), "no snapshot has another's records"


def test_shape(mirror: Path, truth: list[dict[str, Any]]) -> None:
    summary = sample_crawl.write(mirror)
    assert summary.bytes < 3_200_000 and summary.files == len(files())
    assert [row["id"] for row in json.loads((mirror / "collinfo.json").read_text())] == list(reversed(sample_crawl.SNAPSHOTS))
    for snapshot in sample_crawl.SNAPSHOTS:
        for kind in ("warc", "wet"):
            paths = listed(mirror, snapshot, kind)
            assert len(paths) == len(set(paths)) == 4 and all((mirror / path).is_file() for path in paths)
        rows = [row for row in truth if row["snapshot"] == snapshot]
        assert 280 <= len(rows) <= 340
        assert len({row["language"] for row in rows if row["kind"] in TEXTS}) >= 12
        assert len({row["script"] for row in rows if row["kind"] in TEXTS}) >= 8
    assert {row["kind"] for row in truth} == set(sample_crawl.KINDS)
    charsets = {row["charset"] for row in truth}
    assert {"cp1251", "koi8-r", "gb18030", "shift_jis", "euc-kr", "iso8859-9", "cp1256", "big5"} <= charsets
    assert {row["declared"] for row in truth} == {"both", "http", "meta", "none", "bom", "lie"}


def test_snapshots_overlap(truth: list[dict[str, Any]]) -> None:
    older, newer = ({row["url"]: row for row in truth if row["snapshot"] == snapshot} for snapshot in sample_crawl.SNAPSHOTS)
    fates = Counter(
        (newer[url]["kind"], newer[url]["detail"]) if url in newer else "gone"
        for url, row in older.items()
        if row["kind"] == "article"
    )
    kept, edited, gone = fates["exact_copy", "unchanged"], fates["near_copy", "edited"], fates["gone"]
    articles = kept + edited + gone + fates["article", "rewritten"]
    assert 0.4 <= kept / articles <= 0.6 and edited >= 20 and gone >= 20
    assert any(row["detail"] == "new" for url, row in newer.items() if url not in older)
    assert older[sample_crawl.HEALED_URL]["detail"] == "older_fails" and newer[sample_crawl.HEALED_URL]["detail"] == "healed"


def test_truth_names_records(mirror: Path, truth: list[dict[str, Any]]) -> None:
    """Every record that fastwarc finds is in truth.jsonl with its address, and those it cannot reach are the broken ones and what follows."""
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in truth:
        by_file[row["file"]].append(row)
    for path, rows in by_file.items():
        found: list[tuple[str, str]] = []
        ended = ""
        try:
            for record in ArchiveIterator(
                (mirror / path).open("rb"),
                record_types=WarcRecordType.response | WarcRecordType.revisit,
                parse_http=False,
                auto_decode="none",
                quirks_mode=True,
            ):
                found.append((record.record_id, record.headers["WARC-Target-URI"]))
                record.reader.read()
        except OSError as error:
            ended = str(error)
        expected = [(row["id"], row["url"]) for row in rows]
        assert [
            (f"<urn:uuid:{identity.removeprefix('<').removeprefix('urn:uuid:').removesuffix('>')}>", url)
            for identity, url in found
        ] == expected[: len(found)]
        assert bool(ended) == any(row["detail"] == "gzip_member" for row in rows)
        if not ended:
            assert len(found) == len(rows)
    shared = [identity for identity, count in Counter(row["id"] for row in truth).items() if count > 1]
    assert len(shared) == 2 and all(row["of"] is None or row["of"] in {other["id"] for other in truth} for row in truth)


def test_wet_refers_to_the_responses(mirror: Path, truth: list[dict[str, Any]]) -> None:
    by_id = {row["id"]: row for row in truth}
    for snapshot in sample_crawl.SNAPSHOTS:
        for path in listed(mirror, snapshot, "wet"):
            for record in ArchiveIterator((mirror / path).open("rb"), record_types=WarcRecordType.conversion):
                row = by_id[record.headers["WARC-Refers-To"]]
                assert record.headers["WARC-Target-URI"] == row["url"] or row["detail"] == "same_id"
                assert record.reader.read().decode().strip()


def test_copies_are_as_near_as_they_say(texts: dict[tuple[str, str], Page]) -> None:
    for page in texts.values():
        if page.of is None:
            continue
        near = similarity(page.text, texts[page.of].text)
        if page.kind == "exact_copy":
            assert page.text == texts[page.of].text
        elif page.kind == "near_copy":
            assert 0.8 < near < 1, (page.url, near)
        elif page.kind == "far_copy":
            assert near < 0.75, (page.url, near)


def test_distinct_articles_are_distinct(texts: dict[tuple[str, str], Page]) -> None:
    by_language: dict[str, list[str]] = defaultdict(list)
    for page in texts.values():
        if page.kind == "article":
            by_language[page.language].append(page.text)
    for language, found in by_language.items():
        near = [similarity(a, b) for a, b in combinations(found, 2)]
        assert sum(near) / len(near) < 0.3 and max(near) < 0.7, language


def test_main_text_survives_extraction(texts: dict[tuple[str, str], Page]) -> None:
    extra = []
    for page in texts.values():
        if page.kind in TEXTS and page.mime != "text/plain" and not page.defect:
            html = page.body.decode(page.charset).lstrip("\ufeff")
            lines = [
                line.strip()
                for line in extract_plain_text(html, main_content=True, alt_texts=False, list_bullets=False).split("\n")
                if line.strip()
            ]
            assert set(page.text.split("\n")) <= set(lines), page.url
            extra.append(len(set(lines)) - len(set(page.text.split("\n"))))
    assert max(extra) <= 3  # the title, the name of the site, "read more"


def test_articles_are_recognised_as_their_language(texts: dict[tuple[str, str], Page]) -> None:
    import fasttext

    try:
        model = fasttext.load_model(str(layout.model_path("lid.176.ftz")))
    except UserError as error:
        pytest.skip(str(error))
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for page in texts.values():
        if page.kind in TEXTS:
            found, scores = model.predict([page.text.replace("\n", " ")])
            labels[page.language][found[0][0]] += 1
            assert scores[0][0] > 0.65
    assert all(len(found) == 1 for found in labels.values()) and len({next(iter(found)) for found in labels.values()}) == len(
        labels
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the sample crawl to .*file"):
        sample_crawl.write(tmp_path / "file")
