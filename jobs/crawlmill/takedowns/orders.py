"""Takedown orders of a lake: pages that must not be in it, now or after whatever is ingested later.

An order names domains (with everything below them), addresses or record ids. It lies beside the lake's locks, `_control/takedowns.jsonl`, a line an
order, and holds from the moment that it is written there: extract turns every record that it names into a reject with the reason `taken_down`, whatever
the recipe says. `crawlmill.takedowns.takedown` deletes what is there already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from crawlmill.errors import UserError
from crawlmill.lake import fence
from crawlmill.rows.page_index import as_id
from crawlmill.sources import lists
from crawlmill.storage import lake_files
from crawlmill.text.url import domain as registered
from crawlmill.text.url import host

FILE = "_control/takedowns.jsonl"
REASON = "taken_down"


@dataclass(frozen=True)
class Order:
    """What is to go, and who said so.

    Attributes:
        domains: hosts in lower case, ASCII; everything below them is meant, too.
        urls: addresses; scheme, `www.`, fragment and a last slash do not count.
        ids: record ids, `<urn:uuid:…>`.
        by: who asked for it.
        because: the reason.
        at: when, ISO 8601.
    """

    domains: tuple[str, ...]
    urls: tuple[str, ...]
    ids: tuple[str, ...]
    by: str
    because: str
    at: str = ""

    @property
    def key(self) -> str:
        """The same pages, the same order: a hash of what it names."""
        return hashlib.sha256(json.dumps([self.domains, self.urls, self.ids]).encode()).hexdigest()

    @property
    def name(self) -> str:
        """How the order is called in tables and messages."""
        return f"takedown-{self.key[:12]}"

    def __str__(self) -> str:
        kinds = (("domain", self.domains), ("address", self.urls), ("id", self.ids))
        parts = [
            f"{kind} {found[0]}" if len(found) == 1 else f"{len(found)} {kind}{'e' * (kind == 'address')}s"
            for kind, found in kinds
            if found
        ]
        return ", ".join(parts)


def make(names: Iterable[str], by: str, because: str, at: str = "") -> Order:
    """An order of names as people write them: `example.org` is a domain, what has a scheme or a path an address, a UUID a record id.

    Raises UserError for no name, and for one that is none of these or as wide as a public suffix (`co.uk`).
    """
    domains, urls, ids = set[str](), set[str](), set[str]()
    for name in names:
        given = name.strip()
        if not given or given.startswith("#"):
            continue
        identity = as_id(given)
        if identity:
            ids.add(identity)
        elif "://" in given or "/" in given:
            if not host(given if "://" in given else f"https://{given}"):
                raise UserError(f"{given!r} is no address: give one like https://example.org/page")
            urls.add(given)
        else:
            domain = lists.as_domain(given)
            if registered(domain) is None or any(char in given for char in " @:?"):
                raise UserError(
                    f"{given!r} is no domain, address or record id: give example.org, https://example.org/page or <urn:uuid:…>"
                )
            domains.add(domain)
    if not (domains or urls or ids):
        raise UserError("nothing to take down is named: give domains, addresses or record ids, or a file of them with --file")
    return Order(tuple(sorted(domains)), tuple(sorted(urls)), tuple(sorted(ids)), by, because, at)


def add(lake: str, order: Order) -> bool:
    """Write an order down; from then on it holds. False where it is there already."""
    with fence.lock(lake, "takedowns"):
        if any(known.name == order.name for known in held(lake)):
            return False
        line = f"{json.dumps(asdict(order), ensure_ascii=False)}\n".encode()
        # The list as a whole: half an order, on a full disk, would keep everything out until somebody mends the file.
        lake_files.update(lake, FILE, lambda before: (before.rstrip(b"\n") + b"\n" if before else b"") + line)
    return True


def held(lake: str) -> list[Order]:
    """The orders of a lake, oldest first. Raises UserError where the list cannot be read: no page may come in by that."""
    return _orders(lake, lake_files.read(lake, FILE) or b"")


def _orders(lake: str, content: bytes) -> list[Order]:
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values = json.loads(line)
            given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
            found.append(Order(**given))
        except (ValueError, TypeError):
            raise UserError(f"{lake}/{FILE} line {number} is no takedown order: put the file back as it was") from None
    return found


class Orders:
    """Orders ready to be asked about millions of pages."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self.names: list[str] = []
        self.ids, self.urls, self.domains = dict[str, int](), dict[str, int](), dict[str, int]()
        for number, order in enumerate(orders):
            self.names.append(order.name)
            for known, keys in (
                (self.ids, order.ids),
                (self.urls, map(lists.as_page, order.urls)),
                (self.domains, order.domains),
            ):
                for key in keys:
                    known.setdefault(key, number)

    def find(self, url: str | None, record_id: str | None) -> str | None:
        """The first order that names a record; None where none does."""
        numbers = list(self._numbers(url, record_id))
        return self.names[min(numbers)] if numbers else None

    def _numbers(self, url: str | None, record_id: str | None) -> Iterator[int]:
        if record_id is not None and (number := self.ids.get(as_id(record_id) or record_id)) is not None:
            yield number
        if url is None:
            return
        if self.urls and (number := self.urls.get(lists.as_page(url))) is not None:
            yield number
        if self.domains:
            for name in lists.parents(host(url)):
                if (number := self.domains.get(name)) is not None:
                    yield number


def ready(lake: str) -> Orders:
    """The orders of a lake as they are now; read again only where the list has changed."""
    return _ready(lake, lake_files.read(lake, FILE) or b"")


@lru_cache(maxsize=4)
def _ready(lake: str, content: bytes) -> Orders:
    return Orders(_orders(lake, content))


def message(name: str) -> str:
    """What the reject of a record says."""
    return f"taken down by order {name}"
