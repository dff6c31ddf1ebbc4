"""What asking would take, before anything is asked: requests, tokens, money, time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from crawlmill.llm.settings import Settings
from crawlmill.llm.wire import estimate


@dataclass
class Estimate:
    """Requests that have no answer yet. Written tokens are the most that they may be; hooks that ask in rounds show their first."""

    documents: int = 0
    requests: int = 0
    read: int = 0
    written: int = 0

    def add(self, pending: Iterable[str]) -> None:
        """Count the requests (JSON) of a document."""
        bodies = [json.loads(text)["body"] for text in pending]
        self.documents += bool(bodies)
        self.requests += len(bodies)
        for body in bodies:
            read, written = estimate(body)
            self.read += read
            self.written += written

    def lines(self, settings: Settings) -> list[str]:
        """The estimate, a fact a line."""
        found = [
            f"requests          {self.requests} of {self.documents} documents",
            f"tokens read       {self.read} (estimated, a token for 4 bytes)",
            f"tokens written    {self.written} at most",
        ]
        if settings.price_in or settings.price_out:
            found.append(f"cost              {settings.cost(self.read, self.written):.4f} at most")
        minutes = max(
            self.requests / settings.requests_per_minute if settings.requests_per_minute else 0.0,
            (self.read + self.written) / settings.tokens_per_minute if settings.tokens_per_minute else 0.0,
        )
        return [*found, f"time              {minutes:.0f} minutes at least, by the rate limits"] if minutes else found
