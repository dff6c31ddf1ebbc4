"""What the client costs: CPU seconds of this process for 10,000 requests with 64 in flight, against an endpoint in another process.

    python -m tests.bench.llm_client [--requests 10000] [--in-flight 64] [--words 300] [--stream]

Two rows: the client alone, and with journal, table and budget, as the rewrite stage uses it. CPU seconds, not wall time: the endpoint and
other work share the machine. The bound is 2 ms a request on one core (the client is one thread).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from crawlmill.lake import table
from crawlmill.llm import ask, client
from crawlmill.llm.pace import budget
from crawlmill.llm.settings import Settings
from crawlmill.text.hooks.chat import Request

SNAPSHOT = "CC-MAIN-2026-43"


def requests(count: int, words: int) -> list[dict[str, Any]]:
    """Requests of so many words each, all different."""
    made = [
        Request("tiny", (("system", "Shout."), ("user", f"page {n} " + "word " * words)), max_tokens=400) for n in range(count)
    ]
    return [{"hash": one.hash, "body": one.body()} for one in made]


def measured(work: Callable[[], object], count: int) -> tuple[float, float]:
    """CPU and wall milliseconds a request."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return 1000 * (time.process_time() - cpu) / count, 1000 * (time.perf_counter() - wall) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    server = subprocess.Popen([sys.executable, "-m", "tests.fixtures.endpoint", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        using = Settings(base_url=url, concurrency=options.in_flight, stream=options.stream)
        made = requests(options.requests, options.words)
        seen: list[int] = []

        def alone() -> None:
            asyncio.run(
                client.answer_all(made, using, budget(using, 0, 0.0), lambda asked, response: seen.append(len(response.text)))
            )

        alone_cpu, alone_wall = measured(alone, len(made))
        assert len(seen) == len(made) and min(seen) > options.words
        with tempfile.TemporaryDirectory(prefix="crawlmill-bench-") as lake:
            table.create_all(lake)

            def kept() -> None:
                done = ask.ask(lake, SNAPSHOT, pending(made), using)
                assert done.sent == len(made) and not done.failed

            kept_cpu, kept_wall = measured(kept, len(made))
            again_cpu, again_wall = measured(lambda: ask.ask(lake, SNAPSHOT, pending(made), using), len(made))
    finally:
        server.terminate()
        server.wait()
    print(f"{options.requests} requests, {options.in_flight} in flight, stream {'on' if options.stream else 'off'}")
    print(f"{'':<34}{'CPU ms/request':>16}{'wall ms/request':>18}")
    for name, cpu, wall in (
        ("client alone", alone_cpu, alone_wall),
        ("with journal, table and budget", kept_cpu, kept_wall),
        ("again, everything answered", again_cpu, again_wall),
    ):
        print(f"{name:<34}{cpu:>16.3f}{wall:>18.3f}")
    return 0 if max(alone_cpu, kept_cpu) < 2 else 1


def pending(made: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Requests as the workers hand them over."""
    return ((0, json.dumps(request)) for request in made)


if __name__ == "__main__":
    sys.exit(main())
