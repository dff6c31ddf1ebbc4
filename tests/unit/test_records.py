"""crawlmill.sources.records and .members: every byte of a crawl file ends in a record or a reject."""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
import zlib
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlmill.limits import Limits
from crawlmill.sources.members import frames
from crawlmill.sources.reasons import REASONS
from crawlmill.sources.record import Counts, Record, Reject
from crawlmill.sources.records import Kind, read_records
from tests.fixtures import warcs

LIMITS = Limits()
PLAIN = b"".join(warcs.crawl())
MEMBERS = warcs.members(warcs.crawl())
GZIP = b"".join(MEMBERS)
IDS = [warcs.record_id(number) for number in range(3)]


def read(data: bytes, kind: Kind | None = "warc", limits: Limits = LIMITS) -> tuple[list[Record], list[Reject], Counts]:
    counts = Counts()
    found = list(read_records(io.BytesIO(data), kind, limits, counts))
    records = [one for one in found if isinstance(one, Record)]
    rejects = [one for one in found if isinstance(one, Reject)]
    assert counts.records == len(records) + len(rejects) + counts.skipped
    assert all(one.reason in REASONS for one in rejects)
    return records, rejects, counts


def reasons(*records: bytes, limits: Limits = LIMITS, kind: Kind | None = "warc") -> list[str]:
    return [reject.reason for reject in read(b"".join(warcs.members(list(records))), kind, limits)[1]]


@pytest.mark.parametrize("data", [GZIP, PLAIN, gzip.compress(PLAIN, mtime=0)])
def test_whole_file(data: bytes) -> None:
    records, rejects, counts = read(data)
    assert [record.record_id for record in records] == IDS
    assert rejects == []
    assert (counts.stored_bytes, counts.records, counts.responses, counts.skipped) == (len(data), 10, 3, 7)


def test_offset_and_length_give_the_record_back() -> None:
    for record in read(GZIP)[0]:
        member = GZIP[record.offset : record.offset + record.length]
        assert [one.record_id for one in read(member)[0]] == [record.record_id]
    for record in read(PLAIN)[0]:
        assert PLAIN[record.offset :].startswith(b"WARC/1.0")
        assert [one.record_id for one in read(PLAIN[record.offset : record.offset + record.length])[0]] == [record.record_id]


def test_what_a_record_says() -> None:
    payload = warcs.HTML % warcs.PROSE
    headers = {"WARC_Truncated": "length", "WARC_Payload_Digest": "sha1:AAAA"}
    content = warcs.http(payload, mime='TEXT/html; Charset="Windows-1251"')
    records, _, _ = read(warcs.record("response", 7, content, **headers))
    record = records[0]
    assert (record.http_status, record.mime, record.http_charset) == (200, "text/html", "Windows-1251")
    assert (record.truncated, record.digest, record.target_uri) == ("length", "sha1:AAAA", "https://www.example.org/7")
    assert record.payload == payload
    assert record.date.isoformat() == "2026-10-12T00:01:02+00:00"


@pytest.mark.parametrize("place", [5, 40, 200, -6])
def test_broken_member_costs_one_record(place: int) -> None:
    broken = bytearray(MEMBERS[5])
    broken[place] ^= 0xFF
    data = b"".join([*MEMBERS[:5], bytes(broken), *MEMBERS[6:]])
    records, rejects, _ = read(data)
    if place == 5:  # a byte of the time stamp, which means nothing
        assert (len(records), rejects) == (3, [])
        return
    assert [record.record_id for record in records] == [IDS[0], IDS[2]]
    assert [(reject.reason, reject.offset, reject.length) for reject in rejects] == [
        ("broken_member", len(b"".join(MEMBERS[:5])), len(MEMBERS[5]))
    ]


def test_reject_of_a_broken_member_names_its_page_where_it_can() -> None:
    broken = bytearray(MEMBERS[5])
    broken[-6] ^= 0xFF  # the checksum: all of the record can be read
    reject = read(bytes(broken))[1][0]
    assert (reject.record_id, reject.url) == (IDS[1], "https://www.example.org/1")


def test_garbage_and_padding_between_members() -> None:
    data = b"".join(MEMBERS[:3]) + b"\0" * 700 + b"".join(MEMBERS[3:]) + b"\0" * 512
    records, rejects, _ = read(data)
    assert [record.record_id for record in records] == IDS
    assert [(reject.reason, reject.length) for reject in rejects] == [("broken_member", 700), ("broken_member", 512)]


@pytest.mark.parametrize("kept", [1, 11, 100, -1, -8, -9])
def test_truncation_inside_a_member(kept: int) -> None:
    last = MEMBERS[8][:kept]
    records, rejects, _ = read(b"".join(MEMBERS[:8]) + last)
    assert [record.record_id for record in records] == IDS[:2]
    assert [(reject.offset, reject.length) for reject in rejects] == [(len(b"".join(MEMBERS[:8])), len(last))]
    assert rejects[0].reason == ("broken_member" if kept == 1 else "truncated_file")


def test_truncation_of_an_uncompressed_file() -> None:
    records, rejects, _ = read(PLAIN[: PLAIN.index(b"Page 2")])
    assert [record.record_id for record in records] == IDS[:2]
    assert [(reject.reason, reject.record_id) for reject in rejects] == [("truncated_file", IDS[2])]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<!doctype html><html><body>503 Slow Down</body></html>", "not_a_crawl_file"),
        (gzip.compress(b"<html>hello</html>" * 50, mtime=0), "not_a_crawl_file"),
        (b"filedesc://a.arc 0.0.0.0 20260101000000 text/plain 76\n1 0 X\n", "not_a_crawl_file"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "not_a_crawl_file"),
        (bytes(1000), "not_a_crawl_file"),
        (b"\x1f\x8b\x08" + b"\xff" * 200, "not_a_crawl_file"),
    ],
)
def test_what_is_no_crawl_file(data: bytes, reason: str) -> None:
    records, rejects, counts = read(data)
    assert records == []
    assert [(reject.reason, reject.offset, reject.length) for reject in rejects] == [(reason, 0, len(data))]
    assert counts.records == 1


def test_bomb_is_not_inflated_and_costs_one_record() -> None:
    data = MEMBERS[2] + warcs.bomb(50, 300 << 20) + MEMBERS[5]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records, rejects, _ = read(data)
    assert [record.record_id for record in records] == IDS[:2]
    assert [(reject.reason, reject.record_id) for reject in rejects] == [("too_large", warcs.record_id(50))]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_encoded_bomb_is_cut_at_the_limit() -> None:
    body = gzip.compress(bytes(50 << 20), mtime=0)
    assert reasons(warcs.record("response", 1, warcs.http(body, Content_Encoding="gzip"))) == ["too_large"]


def test_large_record_is_passed_over() -> None:
    large = warcs.record("response", 1, warcs.http(b"x" * 5000))
    records, rejects, _ = read(large + warcs.page(2), limits=Limits(max_record_bytes=4000))
    assert [record.record_id for record in records] == [warcs.record_id(2)]
    assert [(reject.reason, reject.record_id, reject.offset) for reject in rejects] == [("too_large", warcs.record_id(1), 0)]
    assert rejects[0].length == len(large)


def test_records_that_are_no_documents() -> None:
    http, record = warcs.http, warcs.record
    assert reasons(record("revisit", 1, http(b""))) == ["revisit"]
    assert reasons(record("response", 1, http(b"gone", status="404 Not Found"))) == ["http_status"]
    assert reasons(record("response", 1, http(b"x", status="301 Moved", Location="/"))) == ["http_status"]
    assert reasons(record("response", 1, http(b"%PDF", mime="application/pdf"))) == ["mime"]
    assert reasons(record("response", 1, b"20260101 www.example.org 1.2.3.4", Content_Type="text/dns")) == ["mime"]
    assert reasons(record("response", 1, http(b""))) == ["empty"]
    assert reasons(record("response", 1, http(b" \r\n"))) == ["empty"]
    assert reasons(record("response", 1, b"no status line\r\n\r\n")) == ["bad_http"]
    assert reasons(record("resource", 1, b"<p>x", Content_Type="text/html")) == ["record_type"]
    assert reasons(warcs.page(1, drop=("WARC-Record-ID",))) == ["missing_header"]
    assert reasons(warcs.page(1, drop=("WARC-Target-URI",))) == ["missing_header"]
    assert reasons(warcs.page(1, WARC_Date="yesterday")) == ["missing_header"]
    assert reasons(warcs.page(1), warcs.page(1)) == ["duplicate_id"]
    assert reasons(warcs.page(1, drop=("Content-Length",))) == ["broken_record"]
    assert reasons(b"WARC/1.0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n") == ["broken_record"]


def test_media_type_comes_from_the_crawler_or_the_body_where_the_server_gives_none() -> None:
    body = b"<!DOCTYPE html><p>x"
    assert [one.mime for one in read(warcs.record("response", 1, warcs.http(body, mime="")))[0]] == ["text/html"]
    guessed = warcs.record(
        "response", 1, warcs.http(b"<p>x", mime="application/octet-stream"), WARC_Identified_Payload_Type="text/html"
    )
    assert [one.mime for one in read(guessed)[0]] == ["text/html"]
    assert reasons(warcs.record("response", 1, warcs.http(b"abc", mime=""))) == ["mime"]


@pytest.mark.parametrize(
    ("stored", "headers"),
    [
        (gzip.compress(b"<p>body", mtime=0), {"Content_Encoding": "gzip"}),
        (zlib.compress(b"<p>body"), {"Content_Encoding": "deflate"}),
        (b"7\r\n<p>body\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (
            b"%x\r\n%s\r\n0\r\n\r\n" % (27, gzip.compress(b"<p>body", mtime=0)),
            {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"},
        ),
        (b"<p>body", {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),  # decoded by the crawler already
        (gzip.compress(b"<p>body", mtime=0), {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
        (b"7\r\n<p>body\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked", "Content_Encoding": "br"}),
        (b"<p>body", {"Content_Encoding": "nonsense"}),
    ],
)
def test_encodings_of_the_body(stored: bytes, headers: dict[str, str]) -> None:
    records, rejects, _ = read(warcs.record("response", 1, warcs.http(stored, **headers)))
    assert rejects == []
    assert records[0].payload == b"<p>body"


def test_wrong_content_length_is_mended_and_said() -> None:
    for length in (10, 10_000):
        records, rejects, _ = read(warcs.page(0, length=length) + warcs.page(1))
        assert [(record.record_id, record.truncated) for record in records] == [(IDS[0], "unspecified"), (IDS[1], None)]
        assert records[0].payload == records[1].payload
        assert rejects == []


def test_garbage_behind_a_record_is_no_part_of_it() -> None:
    records, rejects, _ = read(warcs.page(0) + b"garbage\n" * 9 + warcs.page(1))
    assert [record.record_id for record in records] == IDS[:2]
    assert records[0].payload == records[1].payload
    assert [(reject.reason, reject.length) for reject in rejects] == [("broken_record", 72)]


def test_wet() -> None:
    texts = [warcs.conversion(0, "Ein Satz."), warcs.conversion(1, " \n"), warcs.page(2)]
    records, rejects, counts = read(b"".join(warcs.members(texts)), "wet")
    assert [(record.record_id, record.payload) for record in records] == [(IDS[0], b"Ein Satz.")]
    assert [reject.reason for reject in rejects] == ["empty", "record_type"]
    assert counts.responses == 3


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with one place flipped, some cut out, something put in, or the end lost."""
    place = draw(st.integers(0, len(data) - 1))
    match draw(st.sampled_from(["flip", "cut", "insert", "truncate"])):
        case "flip":
            return data[:place] + bytes([data[place] ^ draw(st.integers(1, 255))]) + data[place + 1 :]
        case "cut":
            return data[:place] + data[place + draw(st.integers(1, 300)) :]
        case "insert":
            return data[:place] + draw(st.binary(min_size=1, max_size=40)) + data[place:]
        case _:
            return data[:place]


def covers(data: bytes) -> None:
    """Frames follow each other and leave out line ends and empty gzip members at most."""
    place = 0
    for frame in frames(io.BytesIO(data), LIMITS):
        assert frame.offset >= 0 and frame.length >= 0
        gap = data[place : frame.offset]
        assert not gap.strip(b"\r\n"), gap
        place = max(place, frame.offset + frame.length)
    assert not data[place:].strip(b"\r\n")


def whole_members(data: bytes) -> bool:
    """Whether the bytes are whole gzip members of the file, some of them missing, or hold the same: damage that nothing in the file can show.

    The last byte of a compressed stream has bits that mean nothing.
    """
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if gzip.decompress(data) == gzip.decompress(GZIP):
            return True
    while data:
        for member in MEMBERS:
            if data[10:].startswith(member[10:]) and data[:3] == member[:3]:
                data = data[len(member) :]
                break
        else:
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(damage(GZIP))
def test_damaged_gzip_file_is_explained(data: bytes) -> None:
    records, rejects, counts = read(data)
    found = [record.record_id for record in records]
    assert found == [one for one in IDS if one in found]
    assert len(found) >= 1 or len(data) < len(GZIP) * 2 / 3
    covers(data)
    assert rejects or whole_members(data)
    assert all(record.payload == warcs.HTML % (warcs.PROSE + b"Page %d." % IDS.index(record.record_id)) for record in records)


@settings(max_examples=300, deadline=None)
@given(damage(PLAIN))
def test_damaged_plain_file_is_explained(data: bytes) -> None:
    records, rejects, _ = read(data)
    assert len(records) >= 1 or rejects or len(data) < len(PLAIN) / 2
    covers(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\x1f\x8b\x08", b"WARC/1.0\r\n", MEMBERS[0]]))
def test_any_bytes(data: bytes, start: bytes) -> None:
    read(start + data)
    covers(start + data)


@pytest.mark.parametrize("folder", ["warc-samples", "warc-malformed"])
def test_real_files(shared: Path, folder: str) -> None:
    """Every real and every malformed file is read to its end, and no fewer responses than a lenient fastwarc finds."""
    files = [path for path in sorted((shared / "data" / folder).iterdir()) if not path.name.startswith("MANIFEST")]
    for path in files:
        with path.open("rb") as file:
            counts = Counts()
            found = list(read_records(file, None, LIMITS, counts))
        assert counts.records == len(found) + counts.skipped >= 1
        assert counts.responses >= lenient(path)
        covers(path.read_bytes())


def lenient(path: Path) -> int:
    """Responses and conversions that fastwarc alone finds before it ends or gives up."""
    count = 0
    with path.open("rb") as file, contextlib.suppress(OSError, ValueError):
        for record in ArchiveIterator(file, record_types=WarcRecordType.response | WarcRecordType.conversion, quirks_mode=True):
            record.consume()
            count += 1
    return count
