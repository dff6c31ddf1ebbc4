"""The client: many requests in flight over one connection pool, retried where that helps, given up where it does not.

Three kinds of trouble are kept apart. A request that the endpoint refuses (400, 404 of a model aside, 413, 422) or never answers while it
answers others has a failure of its own, which is final. An endpoint that fails everybody is down: the work stops, and whatever was
answered stays. Wrong credentials, a wrong address or an unknown model stop at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.llm.pace import Breaker, Bucket, Budget
from crawlmill.llm.settings import Settings
from crawlmill.llm.wire import Asked, Trouble, connected, estimate, healthy, once
from crawlmill.text.hooks.chat import Response

BACKOFF = 0.5  # seconds before the second attempt; doubled each time, up to LONGEST
LONGEST = 30.0
AHEAD = 32  # requests taken from the source at once


@dataclass
class Work:
    """The state of one call of `answer_all`."""

    settings: Settings
    budget: Budget
    answered: Callable[[Asked, Response], None]
    breaker: Breaker
    requests: Bucket
    tokens: Bucket
    stop: asyncio.Event
    answers: int = 0
    stopped: str | None = None
    error: Exception | None = None
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0


async def answer_all(
    requests: Iterable[Asked],
    settings: Settings,
    budget: Budget,
    answered: Callable[[Asked, Response], None],
    stop: asyncio.Event | None = None,
) -> str | None:
    """Ask everything; each answer is handed to `answered` the moment it is there, in the order in which answers come.

    Args:
        requests: hash and body each; taken a few at a time in a thread, so that the source may be slow.
        settings: endpoint, pace, patience.
        budget: what may still be spent; no request is sent whose greatest use would pass it.
        answered: told of every answer and every final failure; must not block for long.
        stop: when set, nothing more is sent, and what is in flight is waited for.

    Returns:
        None where everything was asked, else `budget` or `stopped`.

    Raises:
        UserError: the endpoint refuses the key, the address or the model.
        SourceUnavailable: it gave no answer to anybody for `settings.patience` seconds.
    """
    clock = time.monotonic
    breaker = Breaker(max(5, settings.concurrency), clock, pause=min(1.0, settings.patience / 10), silent_since=clock())
    work = Work(
        settings, budget, answered, breaker,
        Bucket(settings.requests_per_minute / 60, clock), Bucket(settings.tokens_per_minute / 60, clock),
        stop or asyncio.Event(),
    )  # fmt: skip
    queue: asyncio.Queue[Asked | None] = asyncio.Queue(maxsize=2 * settings.concurrency)
    async with connected(settings) as client:
        workers = [asyncio.create_task(_worker(work, client, queue)) for _ in range(settings.concurrency)]
        try:
            await _feed(work, iter(requests), queue)
        finally:
            for _ in workers:
                await queue.put(None)
            await asyncio.gather(*workers)
    if work.error:
        raise work.error
    return work.stopped


async def _feed(work: Work, requests: Any, queue: asyncio.Queue[Asked | None]) -> None:
    """Put requests into the queue as they come, until they end, the budget does, or the work stops."""
    while taken := await asyncio.to_thread(list, islice(requests, AHEAD)):
        for asked in taken:
            if work.error:
                return
            if work.stop.is_set() or not await _reserved(work, asked):
                work.stopped = "stopped" if work.stop.is_set() else "budget"
                return
            await queue.put(asked)


async def _reserved(work: Work, asked: Asked) -> bool:
    """Reserve what the request may take, waiting for those in flight to give back what they did not use; False: the budget ends."""
    read, write = estimate(asked["body"])
    while not work.budget.reserve(read + write, work.settings.cost(read, write)):
        if not work.in_flight or work.error or work.stop.is_set():
            return False
        work.freed.clear()
        await work.freed.wait()
    work.in_flight += 1
    return True


async def _worker(work: Work, client: Any, queue: asyncio.Queue[Asked | None]) -> None:
    while (asked := await queue.get()) is not None:
        read, write = estimate(asked["body"])
        response = None
        try:
            if not work.error:
                response = await _answer(work, client, asked, read + write)
        except Exception as error:  # the work stops with it; the other workers only empty the queue
            work.error = work.error or error
        finally:
            used = (response.prompt_tokens + response.completion_tokens, response.cost) if response else (0, 0.0)
            work.budget.settle(read + write, work.settings.cost(read, write), *used)
            work.in_flight -= 1
            work.freed.set()
        if response:
            work.answers += 1
            work.answered(asked, response)


async def _answer(work: Work, client: Any, asked: Asked, tokens: int) -> Response | None:
    """The answer to one request, after as many attempts as it takes; None where the work ends first."""
    attempts, seen = 0, work.answers
    while not work.error:
        if attempts and work.stop.is_set():
            work.stopped = "stopped"
            return None
        await work.breaker.passable()
        await asyncio.sleep(max(work.requests.wait(1), work.tokens.wait(tokens)))
        try:
            response = await once(work.settings, client, asked)
        except Trouble as trouble:
            _refuse_hopeless(work, trouble)
            if trouble.final:
                work.breaker.answered()
                return Response(asked["hash"], failure=trouble.word, model=str(asked["body"]["model"]))
            if trouble.after is not None:
                work.breaker.hold(trouble.after)
            else:
                attempts += 1
                work.breaker.failed()
            if attempts >= work.settings.attempts and (work.answers > seen or await healthy(client)):
                return Response(asked["hash"], failure=f"no_answer ({trouble.word})", model=str(asked["body"]["model"]))
            _lose_patience(work, trouble)
            await asyncio.sleep(_pause(asked["hash"], attempts) if trouble.after is None else 0)
        else:
            work.breaker.answered()
            return response
    return None


def _refuse_hopeless(work: Work, trouble: Trouble) -> None:
    if trouble.hopeless:
        raise UserError(
            f"the endpoint {work.settings.base_url} says {trouble.word}: check the address, the key and the hooks' option `model`"
        )


def _lose_patience(work: Work, trouble: Trouble) -> None:
    silent = work.breaker.clock() - work.breaker.silent_since
    if silent >= work.settings.patience:
        raise SourceUnavailable(
            f"the endpoint {work.settings.base_url} has answered nobody for {silent:.0f} s ({trouble.word}); "
            "what was answered is kept: run the same again when it is up"
        )


def _pause(key: str, attempts: int) -> float:
    """Seconds before the next attempt: doubled each time, spread by the request's hash so that not all come back at once."""
    spread = 0.5 + int(key[:8], 16) / 0xFFFFFFFF
    return float(min(LONGEST, BACKOFF * 2 ** max(0, attempts - 1)) * spread)
