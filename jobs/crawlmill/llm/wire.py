"""One request on the wire: asked once, its answer read, its failure told by a word and by whether asking again may help."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from crawlmill.llm.settings import Settings
from crawlmill.text.hooks.chat import Response
from crawlmill.text.hooks.prox import estimate_tokens

FINAL = (400, 409, 413, 415, 422)  # the request itself is refused
HOPELESS = (401, 403, 404, 405)  # so will be every other
MESSAGE = 8  # tokens that a message costs besides its text
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}

Asked = dict[str, Any]  # {"hash": ..., "body": ...}


class Trouble(Exception):
    """A request that failed: by which word, whether that is final, and after how many seconds the endpoint wants to be asked again."""

    def __init__(self, word: str, final: bool = False, hopeless: bool = False, after: float | None = None):
        super().__init__(word)
        self.word, self.final, self.hopeless, self.after = word, final, hopeless, after


def estimate(body: dict[str, Any]) -> tuple[int, int]:
    """The tokens that a request reads (estimated by bytes) and the most that it may write."""
    read = sum(estimate_tokens(message["content"]) + MESSAGE for message in body["messages"])
    return read, int(body.get("max_tokens", 0))


def connected(settings: Settings) -> Any:
    """The openai package's client on aiohttp, a third of the cost of its default transport; without retries, which are ours."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
    return AsyncOpenAI(
        base_url=settings.base_url,
        api_key=settings.api_key or "none",
        max_retries=0,
        timeout=settings.timeout,
        http_client=DefaultAioHttpClient(timeout=settings.timeout, limits=limits),
    )


async def healthy(client: Any) -> bool:
    """Whether the endpoint answers at all: then a request without an answer is at fault itself."""
    with suppress(Exception):
        await client.models.list()
        return True
    return False


async def once(settings: Settings, client: Any, asked: Asked) -> Response:
    """One attempt. The request's hash goes along as Idempotency-Key, for endpoints that honour it."""
    import httpx2
    import openai

    options = {"headers": {"Idempotency-Key": asked["hash"]}, "timeout": settings.timeout}
    try:
        body = {**asked["body"], **STREAMED} if settings.stream else asked["body"]
        raw = await asyncio.wait_for(
            client.post("/chat/completions", body=body, cast_to=httpx2.Response, options=options), settings.timeout
        )
        found = put_together(raw.content) if settings.stream else json.loads(raw.content)
        return read_completion(asked["hash"], found, estimate(asked["body"])[0], settings)
    except openai.APIStatusError as error:
        status = error.status_code
        after = retry_after(error.response.headers.get("retry-after")) if status in (429, 503) else None
        raise Trouble(
            f"http_{status}",
            final=status in FINAL,
            hopeless=status in HOPELESS,
            after=1.0 if status == 429 and after is None else after,
        ) from None
    except (openai.APITimeoutError, TimeoutError):
        raise Trouble("timeout") from None
    except (openai.OpenAIError, httpx2.HTTPError, OSError):
        raise Trouble("connection") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise Trouble("garbage") from None


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    """What is read of an event of a streamed chat completion; the rest of it is skipped, which is a third of the cost of reading it."""

    choices: list[_Choice]
    model: str | None = None
    usage: dict[str, Any] | None = None


_EVENTS = msgspec.json.Decoder(list[_Event])


def put_together(raw: bytes) -> dict[str, Any]:
    """The chat completion in a whole stream of server-sent events.

    Nobody reads an answer before it is complete, so the stream is taken as one body and its events as plain JSON: an object of the openai
    package for each of some hundred events costs more than everything else that is done for a request.

    Raises:
        ValueError: the stream broke off, or an event is none of a chat completion.
    """
    parts: list[str] = []
    finish, model, usage = None, None, None
    for event in _events(raw):
        model, usage = event.model or model, event.usage or usage
        for choice in event.choices[:1]:
            parts.append(choice.delta.content or "")
            finish = choice.finish_reason or finish
    if finish is None:
        raise ValueError("the stream broke off")
    return {"model": model, "usage": usage, "choices": [{"message": {"content": "".join(parts)}, "finish_reason": finish}]}


def _events(raw: bytes) -> list[_Event]:
    """The events of a stream: at once where nothing but data lines is in it, as endpoints send them, else line by line."""
    bare = raw.strip().removeprefix(b"data:").removesuffix(b"[DONE]").rstrip().removesuffix(b"data:").rstrip()
    with suppress(msgspec.DecodeError):
        return _EVENTS.decode(b"[" + bare.replace(b"\n\ndata:", b",") + b"]")
    lines = [line[5:] for line in raw.splitlines() if line.startswith(b"data:") and not line.endswith(b"[DONE]")]
    return msgspec.convert(json.loads(b"[" + b",".join(lines) + b"]"), list[_Event])  # `json` bears halves of surrogate pairs


def read_completion(key: str, found: dict[str, Any], read: int, settings: Settings) -> Response:
    """The Response in the JSON of a chat completion; tokens are estimated where it counts none.

    Raises:
        KeyError, IndexError, TypeError, ValueError: it is no chat completion.
    """
    choice = found["choices"][0]
    text = choice["message"].get("content") or ""
    if not isinstance(text, str):
        raise TypeError("content is no text")
    text = text.encode("utf-8", "replace").decode("utf-8")
    usage = found.get("usage") or {}
    prompt = _counted(usage.get("prompt_tokens")) or read
    written = _counted(usage.get("completion_tokens")) or estimate_tokens(text)
    finish = str(choice.get("finish_reason") or "stop")
    return Response(key, text, finish, None, str(found.get("model") or ""), prompt, written, settings.cost(prompt, written))


def _counted(tokens: Any) -> int:
    """What an endpoint counted; 0 for what is no count: less than nothing would give a budget back."""
    return int(tokens) if tokens and 0 < float(tokens) < 1e12 else 0


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, as a number or a date; at most ten minutes; None where it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(600.0, max(0.0, seconds))
