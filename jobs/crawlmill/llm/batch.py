"""The way without an endpoint: requests as files for a batch job, answers read back by the request's hash.

Files are those of OpenAI's batch API, which vLLM's `run-batch` reads and writes too: a JSON object a line, `custom_id` being the hash. The
order of answers and the way they are split into files does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crawlmill.errors import UserError
from crawlmill.llm.settings import Settings
from crawlmill.llm.wire import FINAL, read_completion
from crawlmill.text.hooks.chat import Response

LINES = 50_000  # of a file: the most that the batch API takes
REQUESTS, ANSWERS = "requests-*.jsonl", "answers*.jsonl"


def write(folder: Path, requests: Iterable[dict[str, Any]], lines: int = LINES) -> int:
    """Write requests (hash and body), each once, in files of so many lines; returns how many. Older request files are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(REQUESTS):
        old.unlink()
    seen: set[str] = set()
    part: list[str] = []
    number = 0

    def flush() -> None:
        nonlocal number
        if part:
            draft = folder / f".requests-{number:05d}.part"
            draft.write_text("".join(part), encoding="utf-8")
            draft.replace(folder / f"requests-{number:05d}.jsonl")
            number += 1
            part.clear()

    for request in requests:
        if request["hash"] in seen:
            continue
        seen.add(request["hash"])
        line = {"custom_id": request["hash"], "method": "POST", "url": "/v1/chat/completions", "body": request["body"]}
        part.append(json.dumps(line, ensure_ascii=False) + "\n")
        if len(part) == lines:
            flush()
    flush()
    return len(seen)


def read(folder: Path, settings: Settings) -> Iterator[Response]:
    """Answers of all `answers*.jsonl`. A line that failed for a reason of the request's own is a failure, others are left open.

    Raises:
        UserError: a line is no answer of a batch job; it is named.
    """
    for path in sorted(folder.glob(ANSWERS)):
        with path.open(encoding="utf-8", errors="replace") as handle:
            for number, line in enumerate(handle, 1):
                if line.strip() and (response := _answer(line, f"{path} line {number}", settings)):
                    yield response


def _answer(line: str, where: str, settings: Settings) -> Response | None:
    try:
        row = json.loads(line)
        key, response = row["custom_id"], row.get("response") or {}
        status, body = response.get("status_code", 200), response.get("body") or {}
        if row.get("error") or status != 200:
            return Response(key, failure=f"http_{status}") if status in FINAL else None
        return read_completion(key, body, 0, settings)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where} is no answer of a batch job ({type(error).__name__}): take it out, or write it as vLLM does"
        ) from None
