"""crawlmill.sources.s3 against an S3 server on loopback (moto)."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.sources import fetch, listing, s3
from crawlmill.sources.pages import read_pages
from crawlmill.sources.patience import Patience
from tests.fixtures import warcs

QUICK = Patience(attempts=2, base=0.01, longest=0.02)
SNAPSHOT = "CC-MAIN-2026-43"
PATH = "crawl-data/1.warc.gz"
DATA = b"".join(warcs.members(warcs.crawl(5)))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed (pip install crawlmill[dev])")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def source(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import boto3

    monkeypatch.setenv("CRAWLMILL_PACE", str(tmp_path / "pace"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="crawl", ACL="public-read")
    client.put_object(Bucket="crawl", ACL="public-read", Key=f"mirror/{PATH}", Body=DATA)
    client.put_object(Bucket="crawl", ACL="public-read", Key="mirror/collinfo.json", Body=json.dumps([{"id": SNAPSHOT}]).encode())
    client.put_object(
        Bucket="crawl",
        ACL="public-read",
        Key=f"mirror/crawl-data/{SNAPSHOT}/warc.paths.gz",
        Body=gzip.compress(PATH.encode(), mtime=0),
    )
    s3._client.cache_clear()
    return f"s3://crawl/mirror?endpoint={endpoint}&region=us-east-1"


@pytest.mark.parametrize("access", ["", "&anonymous=true"])
def test_a_crawl_in_a_bucket(source: str, access: str) -> None:
    source += access
    assert listing.check_snapshot(source, SNAPSHOT).id == SNAPSHOT
    assert listing.crawl_files(source, SNAPSHOT) == [PATH]
    with fetch.open_file(source, PATH, QUICK) as file:
        assert list(read_pages(file, PATH)) == list(read_pages(io.BytesIO(DATA), PATH))
    assert fetch.read_range(source, PATH, 100, 50, QUICK) == DATA[100:150]


def test_large_objects_come_in_ranges(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "PIECE", 1000)
    with fetch.open_file(source, PATH, QUICK) as file:
        assert file.read() == DATA


def test_what_is_not_there_and_who_does_not_answer(source: str) -> None:
    with pytest.raises(UserError, match="s3://crawl/mirror/absent does not exist"), fetch.open_file(source, "absent", QUICK):
        pass
    with pytest.raises(UserError, match="s3://nobody/x/absent does not exist"):
        fetch.read_range(source.replace("crawl/mirror", "nobody/x"), "absent", 0, 1, QUICK)
    nobody = "s3://crawl/mirror?endpoint=http://127.0.0.1:9&region=us-east-1"
    with pytest.raises(SourceUnavailable, match="cannot be read after 2 attempts"), fetch.open_file(nobody, PATH, QUICK):
        pass


def test_no_secrets_and_no_slips_in_the_address() -> None:
    with pytest.raises(UserError, match="holds credentials") as refused:
        fetch.read_range("s3://key:hidden@crawl/mirror", PATH, 0, 1)
    assert "hidden" not in str(refused.value)
    with pytest.raises(UserError, match="unknown option 'regin'"):
        fetch.read_range("s3://crawl/mirror?regin=x", PATH, 0, 1)


@pytest.mark.parametrize(
    ("message", "kind", "busy"),
    [
        ("When reading: AWS Error SLOW_DOWN during GetObject operation", "Again", True),
        ("AWS Error UNKNOWN (HTTP status 503) during HeadObject", "Again", True),
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body.", "Refused", True),
        ("AWS Error NETWORK_CONNECTION during GetObject", "Again", False),
        ("AWS Error NO_SUCH_BUCKET during HeadObject", "UserError", False),
    ],
)
def test_what_amazon_s_errors_mean(message: str, kind: str, busy: bool) -> None:
    judged = s3.S3File("s3://bucket/x", "y")._judged(OSError(message))
    assert (type(judged).__name__, getattr(judged, "busy", False)) == (kind, busy)
