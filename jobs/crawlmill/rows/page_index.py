"""Table `page_index`: from a URL or an id to where the page is, through sorted rows whose file statistics leave a file or two to read.

`rows` makes it (the gate's last output), `find` and `beside` read it without Spark. Spark and Python agree on the host by one regular
expression and on the hash by SHA-256, so nothing has to be parsed twice.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from crawlmill.rows.lookup import Reader, part

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TABLE = "page_index"
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)"
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
DIGITS = 16
COLUMNS = ["snapshot", "shard", "id", "url", "outcome"]
MOST_BESIDE = 20_000  # rows of a host that are compared with an unknown URL


@dataclass(frozen=True)
class Place:
    """A row of the index: a page of a snapshot."""

    snapshot: str
    shard: int
    id: str | None
    url: str | None
    outcome: str


def host(url: str) -> str:
    """The host with its labels turned around (`org.example.www`), empty where there is none; ASCII letters in lower case."""
    found = re.match(HOST, url)
    lower = found[1].translate(str.maketrans(_UPPER, _LOWER)) if found else ""
    return ".".join(reversed(lower.split(".")))


def digest(name: str) -> str:
    """The hash of a URL or an id."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:DIGITS]


def rows(documents: DataFrame, verdicts: DataFrame, rejects: DataFrame) -> DataFrame:
    """Rows of the index: two a document (by URL, by id), as many a reject as it has of these. No text is read.

    Args:
        documents: snapshot, shard, id, url.
        verdicts: shard, id, eligible of the same documents; broadcast, as every join by id is.
        rejects: snapshot, shard, id, url; either may be null.
    """
    from pyspark.sql import functions as F

    from crawlmill.contracts import contract
    from crawlmill.rows.final_text import KEYS

    failed = F.broadcast(verdicts.where("NOT eligible").select(*KEYS, F.lit("failed").alias("outcome")))
    judged = documents.select("snapshot", *KEYS, "url").join(failed, KEYS, "left").fillna("eligible", ["outcome"])
    pages = judged.unionByName(rejects.select("snapshot", *KEYS, "url", F.lit("rejected").alias("outcome")))
    nothing = F.lit(None).cast("string")
    ways = F.array(_way("url", _host(F.col("url")), F.col("url")), _way("id", F.lit(""), nothing))
    both = pages.select("snapshot", *KEYS, "outcome", F.explode(ways).alias("way")).where("way IS NOT NULL")
    found = both.select("snapshot", "shard", "id", "outcome", "way.*")
    ordered = found.repartitionByRange("url_host_name_reversed", "hash").sortWithinPartitions("url_host_name_reversed", "hash")
    return ordered.select(*contract.load(TABLE).columns)


def _way(column: str, host_reversed: Column, url: Column) -> Column:
    from pyspark.sql import functions as F

    hashed = F.substring(F.sha2(F.col(column).cast("binary"), 256), 1, DIGITS)
    way = F.struct(host_reversed.alias("url_host_name_reversed"), hashed.alias("hash"), url.alias("url"))
    return F.when(F.col(column).isNotNull(), way)


def _host(url: Column) -> Column:
    from pyspark.sql import functions as F

    lower = F.translate(F.regexp_extract(url, HOST, 1), _UPPER, _LOWER)
    return F.array_join(F.reverse(F.split(lower, r"\.")), ".")


def find(reader: Reader, pins: Mapping[str, int], name: str) -> list[Place]:
    """Where a URL, or an id in its brackets or without, was captured: oldest snapshot first.

    Args:
        reader: of the lake.
        pins: the version of the index for each snapshot to look at.
        name: the URL or id, as captured.
    """
    import pyarrow.dataset as ds

    identity = as_id(name)
    name = identity or name
    where = "" if identity else host(name)
    key = (ds.field("url_host_name_reversed") == where) & (ds.field("hash") == digest(name))
    places = []
    for snapshot, at in sorted(pins.items()):
        found = reader.rows(TABLE, at, part(snapshot) & key, COLUMNS)
        places += [Place(**row) for row in found if name in (row["url"], row["id"])]
    return list(dict.fromkeys(places))


def beside(reader: Reader, pins: Mapping[str, int], url: str, most: int) -> list[str]:
    """URLs of the same host that look most like an unknown one, best first; none where the host is unknown."""
    import pyarrow.dataset as ds

    of = host(url if "://" in url else f"https://{url}")
    known: dict[str, None] = {}
    for snapshot, at in sorted(pins.items(), reverse=True):
        if of and len(known) < MOST_BESIDE:
            found = reader.rows(TABLE, at, part(snapshot) & (ds.field("url_host_name_reversed") == of), ["url"])
            known |= dict.fromkeys(row["url"] for row in found[:MOST_BESIDE])
    return alike(url, list(known), most)


def alike(url: str, known: list[str], most: int) -> list[str]:
    """The addresses that look most like one, best first."""
    plain = {other: unquote(other).partition("://")[2].lower().rstrip("/") for other in known}
    wanted = unquote(url).partition("://")[2].lower().rstrip("/") or url.lower()
    matcher = difflib.SequenceMatcher(b=wanted, autojunk=False)

    def likeness(other: str) -> float:
        matcher.set_seq1(plain[other])
        return matcher.ratio()

    close = sorted(known, key=lambda other: (-_common(plain[other], wanted), other))[:500]
    return sorted(close, key=lambda other: (-likeness(other), other))[:most]


def _common(left: str, right: str) -> int:
    """Length of the common beginning: cheap, to leave few for the exact comparison."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def as_id(name: str) -> str | None:
    """A record id in FineWeb's form, `<urn:uuid:…>`, also for one without brackets or prefix; None for what is none."""
    found = re.fullmatch(r"<?(?:urn:uuid:)?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})>?", name.strip())
    if found:
        return f"<urn:uuid:{found[1].lower()}>"
    return name.strip() if re.fullmatch(r"<[^<>\s]+>", name.strip()) else None
