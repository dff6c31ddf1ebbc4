"""Files in an S3 bucket, changed by conditional PUTs: If-None-Match to create, If-Match to change.

Keys, region and endpoint come from where AWS tools look for them (environment, shared file, role): AWS_ACCESS_KEY_ID, AWS_REGION,
AWS_ENDPOINT_URL and so on. Nothing here imports boto3 before a lake in a bucket is used.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from crawlmill.errors import CrawlmillError, UserError

ABSENT = "*"  # the tag of an object that is not there
ATTEMPTS = 200  # of one change; a lost race costs some milliseconds
LEASE = 60.0  # seconds without a sign of its holder after which a lease has run out
HTTP_CONFLICT = (409, 412)  # 409: another conditional PUT of the key is under way, which asks for another attempt


def settings() -> dict[str, str]:
    """The environment that every process with a lake in a bucket needs, without keys: endpoint, region, whether plain HTTP will do."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    found = {"AWS_REGION": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"}
    if endpoint:
        found["AWS_ENDPOINT_URL"] = endpoint
    if endpoint.startswith("http://"):
        found["AWS_ALLOW_HTTP"] = "true"  # asked for by deltalake
    return found


def spark_settings() -> dict[str, str]:
    """The same for Spark: its S3 client, the log store, and the environment of the executors' Python."""
    found = settings()
    endpoint = found.get("AWS_ENDPOINT_URL", "")
    conf = {
        "spark.delta.logStore.s3a.impl": "crawlmill.ConditionalPutLogStore",
        "spark.hadoop.fs.s3a.endpoint.region": found["AWS_REGION"],
        "spark.hadoop.fs.s3a.create.conditional.enabled": "true",
        **{f"spark.executorEnv.{name}": value for name, value in found.items()},
    }
    if endpoint:
        conf |= {
            "spark.hadoop.fs.s3a.endpoint": endpoint,
            "spark.hadoop.fs.s3a.path.style.access": "true",
            "spark.hadoop.fs.s3a.connection.ssl.enabled": str(endpoint.startswith("https://")).lower(),
        }
    return conf


def read(root: str, name: str) -> tuple[bytes | None, str]:
    """An object's content and tag; None and ABSENT where it is not there."""
    place, key = _place(root, name)
    with _told(root):
        try:
            found = _client().get_object(Bucket=place, Key=key)
        except _error() as error:
            if _status(error) == 404 and _code(error) != "NoSuchBucket":
                return None, ABSENT
            raise
        return found["Body"].read(), found["ETag"]


def put(root: str, name: str, content: bytes, tag: str | None = None) -> bool:
    """Write an object; with a tag only where it is the one of that tag (ABSENT: where there is none), else False.

    False may also mean that the answer to this very PUT was lost and its repetition met its own object: callers look again.
    """
    place, key = _place(root, name)
    condition = {} if tag is None else {"IfNoneMatch": "*"} if tag == ABSENT else {"IfMatch": tag}
    with _told(root):
        try:
            _client().put_object(Bucket=place, Key=key, Body=content, **condition)
        except _error() as error:
            if condition and (_status(error) in HTTP_CONFLICT or (tag != ABSENT and _status(error) == 404)):
                return False
            raise
    return True


def upload(root: str, name: str, path: Path) -> None:
    """Write a file of any size as an object, in parts where it is large."""
    from boto3.exceptions import S3UploadFailedError

    place, key = _place(root, name)
    with _told(root):
        try:
            _client().upload_file(str(path), place, key)
        except S3UploadFailedError as error:
            raise UserError(
                f"{root}/{name} cannot be written ({error}): check the bucket's name, the region and the keys"
            ) from None


def update(root: str, name: str, change: Callable[[bytes | None], bytes]) -> bytes:
    """Change an object as one step among all processes; `change` is called again where another was faster."""
    for attempt in range(ATTEMPTS):
        before, tag = read(root, name)
        content = change(before)
        if put(root, name, content, tag):
            return content
        time.sleep(random.uniform(0, min(0.5, 0.01 * 2 ** min(attempt, 6))))  # noqa: S311  # decides when, not what
    raise CrawlmillError(f"{root}/{name} changes faster than it can be written: run it again with fewer jobs side by side")


def names(root: str, folder: str, most: int | None = None) -> list[str]:
    """Objects below a folder, as paths from the root, sorted; the first `most` of them."""
    return [name for name, _ in dated(root, folder, most)]


def dated(root: str, folder: str, most: int | None = None) -> list[tuple[str, datetime]]:
    """The same, and when each was written."""
    return sorted((name, entry["LastModified"]) for name, entry in _listed(root, folder, most))


def sizes(root: str, folder: str) -> dict[str, int]:
    """Objects below a folder, as paths from the root, and their bytes."""
    return {name: entry["Size"] for name, entry in _listed(root, folder, None)}


def _listed(root: str, folder: str, most: int | None) -> list[tuple[str, Any]]:
    place, key = _place(root, f"{folder.rstrip('/')}/" if folder else "")
    cut = len(_place(root, "")[1])
    with _told(root):
        limit = {"MaxItems": most}
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=place, Prefix=key, PaginationConfig=limit)
        return [(entry["Key"][cut:], entry) for page in pages for entry in page.get("Contents", ())]


def remove(root: str, name: str) -> None:
    """Delete an object, and every object below a folder of its name."""
    place, cut = _place(root, "")
    found = [name, *names(root, name)]
    with _told(root):
        for start in range(0, len(found), 1000):
            gone = [{"Key": cut + name} for name in found[start : start + 1000]]
            _client().delete_objects(Bucket=place, Delete={"Objects": gone, "Quiet": True})


@contextmanager
def lease(root: str, name: str, seconds: float = LEASE) -> Iterator[None]:
    """Hold an object as a lock, renewed while the block runs.

    Who waits takes it over when it has not changed for `seconds` by his own clock. A holder that was cut off may go on, so what must not
    happen twice needs a condition of its own.
    """
    held, done = [_acquire(root, name, seconds)], threading.Event()

    def renew() -> None:
        while not done.wait(seconds / 6):
            if not put(root, name, uuid.uuid4().bytes, held[0]):
                held.clear()
                return  # taken over
            held[0] = read(root, name)[1]

    keeper = threading.Thread(target=renew, name=f"lease {name}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        if held:
            put(root, name, b"", held[0])  # an empty object is a lease that nobody holds


def _acquire(root: str, name: str, seconds: float) -> str:
    mine, seen, since = uuid.uuid4().bytes, "", time.monotonic()
    while True:
        content, tag = read(root, name)
        if content == mine:
            return tag
        if tag != seen:
            seen, since = tag, time.monotonic()
        if not content or time.monotonic() - since >= seconds:
            put(root, name, mine, tag)
        else:
            time.sleep(random.uniform(0.05, 0.3))  # noqa: S311  # decides when, not what


def make(root: str) -> None:
    """Make the bucket of a lake; nothing happens where it is there already."""
    place, _ = _place(root, "")
    with _told(root):
        try:
            _client().create_bucket(Bucket=place)
        except _error() as error:
            if _code(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise


@cache
def probe(root: str) -> None:
    """Make sure that the bucket refuses a PUT whose condition does not hold. Raises UserError; asked once a process."""
    name = f"_control/probe/{uuid.uuid4()}/object"
    try:
        first, second = (put(root, name, word, ABSENT) for word in (b"1", b"2"))
        third = put(root, name, b"3", '"another"')
        if not first or second or third or read(root, name)[0] != b"1":
            raise UserError(
                f"{root} is on a server that ignores conditions of a PUT (If-None-Match, If-Match), so commits would be lost: use another one"
            )
    finally:
        remove(root, name.rpartition("/")[0])


def _place(root: str, name: str) -> tuple[str, str]:
    place, _, prefix = root.removeprefix("s3a://").partition("/")
    return place, f"{prefix}/{name}" if prefix else name


@cache
def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise UserError("a lake in a bucket needs boto3: pip install crawlmill[cluster]") from None
    found = settings()
    style = {"addressing_style": "path"} if "AWS_ENDPOINT_URL" in found else {}
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, s3=style, connect_timeout=10, read_timeout=60)
    return boto3.client("s3", region_name=found["AWS_REGION"], endpoint_url=found.get("AWS_ENDPOINT_URL"), config=config)


def _error() -> Any:
    from botocore.exceptions import ClientError

    return ClientError


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _code(error: Any) -> str:
    return str(error.response["Error"].get("Code"))


@contextmanager
def _told(root: str) -> Iterator[None]:
    """One sentence for what the bucket refuses."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise UserError(f"lake {root}: the bucket refuses ({_code(error)}): check its name, the region and the keys") from None
    except BotoCoreError as error:
        raise UserError(f"lake {root} cannot be reached ({error}): check AWS_ENDPOINT_URL, AWS_REGION and the keys") from None
