"""Getting answers for what hooks ask: from the table, from a batch job's files, from the endpoint, in this order."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crawlmill.errors import UserError
from crawlmill.lake import failpoint, table
from crawlmill.llm import batch, client, store
from crawlmill.llm.pace import budget
from crawlmill.llm.settings import Settings
from crawlmill.text.hooks.chat import Response

FOLD = 5000  # answers after which the journal goes into the table
Pending = tuple[int, str]  # shard, and a request as JSON (hash and body)


@dataclass
class Asked:
    """What a call of `ask` did: requests by where their answers came from."""

    sent: int = 0
    copied: int = 0
    read: int = 0
    failed: int = 0

    @property
    def any(self) -> bool:
        return bool(self.sent or self.copied or self.read)


class BudgetSpent(UserError):
    """The snapshot's budget for models is used up; what was answered is kept (exit code 2)."""

    kind = "budget spent"


def ask(
    lake: str, snapshot: str, pending: Iterable[Pending], settings: Settings, say: Callable[[str], None] = lambda line: None
) -> Asked:
    """Answer every pending request and keep the answers; nothing is asked twice, in this run or a later one.

    Raises:
        BudgetSpent: a limit was reached before everything was asked.
        UserError: the endpoint refuses, a batch job is needed first, or somebody asked to stop.
        SourceUnavailable: the endpoint is down.
    """
    done = Asked()
    with store.lock(lake, snapshot):
        journal = store.Journal(lake, snapshot)
        if recovered := journal.fold():
            say(f"{recovered} answers of an attempt that died are kept")
        known = store.places(lake)
        waiting: dict[str, int] = {}
        again: dict[str, set[int]] = {}
        offline = _offline(settings)
        fresh = _fresh(lake, snapshot, pending, known, waiting, again, offline, journal, done)
        try:
            stopped = _send(lake, snapshot, fresh, settings, journal, waiting, known, done)
        finally:
            journal.fold()
        for key, response in store.fetch(lake, [(key, known[key]) for key in again if key in known]).items():
            for shard in sorted(again[key]):
                journal.add(shard, replace(response, cost=0.0), copied=True)
                done.copied += 1
        journal.fold()
    _tell(stopped, snapshot, settings, lake)
    return done


def _offline(settings: Settings) -> dict[str, Response]:
    return {response.request: response for response in batch.read(Path(settings.batch), settings)} if settings.batch else {}


def _fresh(
    lake: str, snapshot: str, pending: Iterable[Pending], known: dict[str, store.Place], waiting: dict[str, int],
    again: dict[str, set[int]], offline: dict[str, Response], journal: store.Journal, done: Asked,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The requests that have to be sent: not answered in another shard or snapshot, not in a batch job's files, not under way."""
    for shard, text in pending:
        request = json.loads(text)
        key = request["hash"]
        if key in known:
            if known[key] != (snapshot, shard):
                again.setdefault(key, set()).add(shard)
        elif key in offline:
            journal.add(shard, offline[key])
            done.read += 1
            done.failed += offline[key].failure is not None
            known[key] = (snapshot, shard)
        elif key in waiting:
            if waiting[key] != shard:
                again.setdefault(key, set()).add(shard)
        else:
            waiting[key] = shard
            yield request


def _send(
    lake: str, snapshot: str, fresh: Iterator[dict[str, Any]], settings: Settings, journal: store.Journal,
    waiting: dict[str, int], known: dict[str, store.Place], done: Asked,
) -> str | None:  # fmt: skip
    if settings.batch:
        count = batch.write(Path(settings.batch), fresh)
        return f"batch {count}" if count else None

    def answered(request: dict[str, Any], response: Response) -> None:
        shard = waiting[request["hash"]]
        journal.add(shard, response)
        known[request["hash"]] = (snapshot, shard)
        failpoint.hit("llm:answered")
        done.sent += 1
        failpoint.hit(f"llm:answered:{done.sent}")
        done.failed += response.failure is not None
        if len(journal.rows) >= FOLD:
            journal.fold()

    async def work() -> str | None:
        stop = asyncio.Event()
        with _stopping(stop):
            return await client.answer_all(fresh, settings, budget(settings, *store.spent(lake, snapshot)), answered, stop)

    return asyncio.run(work())


@contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[None]:
    """While this lasts, SIGTERM means: send nothing more and wait for what is under way. In the main thread only."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    except (ValueError, RuntimeError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _tell(stopped: str | None, snapshot: str, settings: Settings, lake: str) -> None:
    if stopped is None:
        return
    tokens, cost = store.spent(lake, snapshot)
    if stopped == "budget":
        raise BudgetSpent(
            f"the models' budget of {snapshot} is used up ({tokens} tokens, cost {cost:.2f}); every answer is kept: raise "
            "CRAWLMILL_LLM_MAX_TOKENS or CRAWLMILL_LLM_MAX_COST and run the same again"
        )
    if stopped.startswith("batch"):
        raise UserError(
            f"{stopped.split()[1]} requests of {snapshot} are written to {settings.batch}/{batch.REQUESTS}: let a batch job answer them "
            f"into {settings.batch}/{batch.ANSWERS} and run the same again"
        )
    raise UserError(f"asking for {snapshot} was stopped; every answer is kept: run the same again")


def reader(lake: str, snapshot: str, shards: Iterable[int]) -> Callable[[Any, Any], Response | None]:
    """Answers in a snapshot's shards at the table's present version, as hooks are given them; None for what is not answered."""
    return reader_at(lake, table.version(lake, store.TABLE), snapshot, shards)


def reader_at(lake: str, at: int, snapshot: str, shards: Iterable[int]) -> Callable[[Any, Any], Response | None]:
    """The same at a given version."""
    held = [store.of_shard(lake, at, snapshot, shard) for shard in sorted(set(shards))]

    def answer(_hook: Any, request: Any) -> Response | None:
        return next((answers[request.hash] for answers in held if request.hash in answers), None)

    return answer
