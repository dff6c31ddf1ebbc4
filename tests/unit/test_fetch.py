"""crawlmill.sources.fetch against a real HTTP server on loopback, and folders."""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.sources import fetch, patience, web
from tests.fixtures.answers import Server, answering, reply

QUICK = patience.Patience(attempts=3, base=0.01, longest=0.02)
BODY = bytes(range(256)) * 4000


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as made:
        yield made


@pytest.fixture(autouse=True)
def pace_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pace of its own for each test."""
    folder = tmp_path / "pace"
    monkeypatch.setenv("CRAWLMILL_PACE", str(folder))
    return folder


def get(source: str, path: str) -> bytes:
    with fetch.open_file(source, path, QUICK) as file:
        return file.read()


def test_body_arrives_whole_and_seekable(server: Server) -> None:
    server.answers["/a/b.gz"] = [reply(200, BODY)]
    with fetch.open_file(server.base, "a/b.gz", QUICK) as file:
        assert file.seek(0, 2) == len(BODY)
        file.seek(0)
        assert file.read() == BODY


def test_busy_server_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(
        "crawlmill.sources.arriving.Patience.wait", lambda self, attempt, failure: waits.append(failure.asked) or 0.0
    )
    server.answers["/f"] = [reply(503, Retry_After="2"), reply(429), reply(200, BODY)]
    assert get(server.base, "f") == BODY
    assert waits == [2.0, None]


def test_waits_grow_and_a_server_s_wish_counts() -> None:
    slow = patience.Patience(base=1.0, longest=20.0)
    for attempt, least, most in ((0, 0.5, 1.5), (3, 4, 12), (9, 10, 30)):
        assert least <= slow.wait(attempt, patience.Again("x")) <= most
    assert 7 <= slow.wait(0, patience.Again("x", asked=7)) <= 7.15
    assert slow.wait(0, patience.Again("x", asked=9000)) <= 101  # five times `longest` is granted
    assert slow.wait(0, patience.Refused("x")) >= 10


def test_retry_after_as_date_and_as_nonsense() -> None:
    assert web.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert web.retry_after("soon") is None


def test_server_that_stays_busy_ends_in_one_sentence(server: Server) -> None:
    server.answers["/f"] = [reply(503)]
    with pytest.raises(SourceUnavailable, match=r"/f cannot be read after 3 attempts \(HTTP 503\)"):
        get(server.base, "f")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_slows_down_and_is_asked_once_more(server: Server, pace_folder: Path, status: int) -> None:
    server.answers["/f"] = [reply(status)]
    with pytest.raises(SourceUnavailable, match=r"after 2 attempts \(the server refuses, HTTP 40.\): ask more slowly"):
        get(server.base, "f")
    assert len(server.asked) == 2
    _, gap = json.loads(next(pace_folder.iterdir()).read_text())
    assert gap > 0.05  # even the machine itself is asked more slowly after a complaint
    server.answers["/f"] = [reply(status), reply(200, BODY)]
    server.asked.clear()
    assert get(server.base, "f") == BODY


@pytest.mark.parametrize(("status", "message"), [(404, "does not exist"), (418, "HTTP 418")])
def test_absence_is_not_retried(server: Server, status: int, message: str) -> None:
    server.answers["/f"] = [reply(status)]
    with pytest.raises(UserError, match=message) as refused:
        get(server.base, "f")
    assert len(server.asked) == 1 and not isinstance(refused.value, SourceUnavailable)


def test_short_body_is_an_error(server: Server) -> None:
    server.answers["/f"] = [reply(200, BODY, send=1000)]
    with pytest.raises(SourceUnavailable, match="cannot be read after 3 attempts"):
        get(server.base, "f")


def test_short_body_is_fetched_again(server: Server) -> None:
    server.answers["/f"] = [reply(200, BODY, send=1000), reply(200, BODY)]
    assert get(server.base, "f") == BODY


def test_broken_transfer_goes_on_where_it_stopped(server: Server) -> None:
    rest = reply(206, BODY[1000:], ETag='"1"', Content_Range=f"bytes 1000-{len(BODY) - 1}/{len(BODY)}")
    server.answers["/f"] = [reply(200, BODY, send=1000, ETag='"1"'), rest]
    assert get(server.base, "f") == BODY
    assert server.asked[1] == ("/f", "bytes=1000-")


def test_changed_file_is_fetched_from_its_start(server: Server) -> None:
    server.answers["/f"] = [reply(200, BODY, send=1000, ETag='"1"'), reply(200, BODY[::-1], ETag='"2"')]
    assert get(server.base, "f") == BODY[::-1]


def test_broken_transfers_are_taken_up_as_long_as_they_bring_something(server: Server) -> None:
    """Ten resets in one file, three attempts allowed: those that brought bytes do not count."""

    def part(handler: BaseHTTPRequestHandler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        kept = BODY[start : start + len(BODY) // 10]
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", '"1"')
        handler.send_header("Content-Length", str(len(BODY) - start))
        handler.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        handler.end_headers()
        handler.wfile.write(kept)
        handler.wfile.flush()
        if start + len(kept) < len(BODY):  # a reset, not an orderly end
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            time.sleep(0.01)
            os.close(os.dup(handler.connection.fileno()))
            handler.connection.close()
        handler.close_connection = True

    server.answers["/f"] = [part]
    assert get(server.base, "f") == BODY
    assert 10 <= len(server.asked) < 40


def test_without_a_version_the_file_is_fetched_again_and_compared(server: Server) -> None:
    server.answers["/f"] = [reply(200, BODY, send=5000), reply(200, BODY)]
    assert get(server.base, "f") == BODY
    assert [asked for _, asked in server.asked] == [None, None]


def test_a_file_that_changes_while_it_is_read_is_refused(server: Server) -> None:
    changed = threading.Event()

    def later(handler: BaseHTTPRequestHandler) -> None:
        changed.wait(5)
        reply(200, BODY[::-1])(handler)

    server.answers["/f"] = [reply(200, BODY, send=5000), later]
    with fetch.open_file(server.base, "f", QUICK) as file:
        assert file.read(100) == BODY[:100]
        changed.set()
        with pytest.raises(SourceUnavailable, match="was changed while it was read"):
            file.read()


def test_reading_begins_before_the_file_has_come(server: Server) -> None:
    rest = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[: 1 << 20][:500_000])
        handler.wfile.flush()
        rest.wait(5)
        handler.wfile.write(BODY[500_000:])

    server.answers["/f"] = [slow]
    with fetch.open_file(server.base, "f", QUICK) as file:
        assert file.seek(0, 2) == len(BODY)
        rest.set()
        file.seek(0)
        assert file.read(10) + file.read() == BODY


def test_a_body_of_unannounced_length(server: Server) -> None:
    def chunked(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY)
        handler.close_connection = True

    server.answers["/f"] = [chunked]
    with fetch.open_file(server.base, "f", QUICK) as file:
        assert file.seek(0, 2) == len(BODY)


def test_wrong_ranges_are_not_believed(server: Server) -> None:
    whole = reply(200, BODY, send=1000, ETag='"1"')
    server.answers["/f"] = [whole, reply(206, BODY[2000:], Content_Range=f"bytes 2000-{len(BODY) - 1}/{len(BODY)}", ETag='"1"')]
    with pytest.raises(SourceUnavailable, match="bytes from 2000 on came where those from 1000 on were due"):
        get(server.base, "f")
    server.answers["/g"] = [whole, reply(206, BODY[1000:], ETag='"1"')]
    with pytest.raises(SourceUnavailable, match="206 without a Content-Range"):
        get(server.base, "g")


def test_a_range_of_a_file(server: Server, tmp_path: Path) -> None:
    server.answers["/f"] = [reply(503), reply(206, BODY[100:400], Content_Range=f"bytes 100-399/{len(BODY)}")]
    assert fetch.read_range(server.base, "f", 100, 300, QUICK) == BODY[100:400]
    assert server.asked[-1] == ("/f", "bytes=100-399")
    server.answers["/plain"] = [reply(200, BODY)]  # a server that knows no ranges
    assert fetch.read_range(server.base, "plain", 100, 300, QUICK) == BODY[100:400]
    (tmp_path / "f").write_bytes(BODY)
    assert fetch.read_range(str(tmp_path), "f", len(BODY) - 5, 300) == BODY[-5:]


def test_pace_is_shared_and_slows_down_on_complaints(tmp_path: Path) -> None:
    now = [1000.0]
    one, two = (patience.Pace(tmp_path / "host", 0.5, lambda: now[0]) for _ in range(2))
    assert [one.turn(), two.turn(), one.turn()] == [0.0, 0.5, 1.0]
    now[0] = 1010.0
    assert one.turn() == 0.0
    two.complain(30.0)
    assert one.turn() == 30.0
    gaps = [two.turn() for _ in range(2)]
    assert gaps[1] - gaps[0] > 0.5  # slower than before, and back to normal after some answers
    for _ in range(20):
        last = one.turn()
    assert round(two.turn() - last, 6) == 0.5
    now[0] = 5.0  # after a reboot the clock begins anew: what the file says is not believed
    assert patience.Pace(tmp_path / "host", 0.5, lambda: -9000.0).turn() == 0.0


def test_redirect_within_the_host_only(server: Server) -> None:
    server.answers["/f"] = [reply(302, Location="/g")]
    server.answers["/g"] = [reply(200, BODY)]
    server.answers["/away"] = [reply(301, Location="http://crawl.example.org/f")]
    server.answers["/round"] = [reply(302, Location="/round")]
    assert get(server.base, "f") == BODY
    with pytest.raises(UserError, match=r"redirects to http://crawl\.example\.org/f, another host"):
        get(server.base, "away")
    with pytest.raises(UserError, match="in a circle"):
        get(server.base, "round")


def test_nobody_listens() -> None:
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:9/f cannot be read after 3 attempts"):
        get("http://127.0.0.1:9/", "f")


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "http://x/y", "file:x", "a\\b", "a\nb", "a?b", "a%2e"]
)
def test_paths_stay_below_the_base(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match="not a plain relative path"):
        get(str(tmp_path), path)


def test_folder_and_file_url(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(BODY)
    assert get(str(tmp_path), "d/f") == BODY
    assert get(tmp_path.as_uri() + "/", "d/f") == BODY
    with pytest.raises(UserError, match="cannot read .*No such file"):
        get(str(tmp_path), "d/g")
    with pytest.raises(UserError, match="is no folder"):
        get(str(tmp_path / "absent"), "f")
    with pytest.raises(UserError, match="only http, https, s3, file and folders"):
        get("ftp://example.org/", "f")


def test_lines_of_a_gzip_text(tmp_path: Path) -> None:
    whole = gzip.compress(b"one\ntwo\r\n\n", mtime=0)
    (tmp_path / "l.gz").write_bytes(whole)
    assert list(fetch.lines(str(tmp_path), "l.gz")) == ["one", "two"]
    for broken in (b"one\n", whole[:-9], whole[:12] + b"\xff" + whole[13:], gzip.compress(b"\xff\xfe", mtime=0)):
        (tmp_path / "l.gz").write_bytes(broken)
        with pytest.raises(UserError, match="is not a whole gzip text file"):
            list(fetch.lines(str(tmp_path), "l.gz"))


def test_bytes_of_files_are_told_without_asking_a_server(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.warc.gz").write_bytes(b"x" * 700)
    paths = ["a/1.warc.gz", "a/absent.warc.gz"]
    assert fetch.stored_bytes(str(tmp_path), paths) == fetch.stored_bytes(tmp_path.as_uri(), paths) == 700
    assert fetch.stored_bytes("http://127.0.0.1:9", paths) == 0
    assert fetch.stored_bytes("https://data.commoncrawl.org", paths) == fetch.stored_bytes("s3://bucket/x", paths) == 2 << 30
