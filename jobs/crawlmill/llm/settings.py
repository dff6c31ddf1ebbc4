"""Where the endpoint is and how it may be used: from the environment, never from a recipe, since none of it decides bytes.

`CRAWLMILL_LLM_BASE_URL`, `CRAWLMILL_LLM_API_KEY` and `CRAWLMILL_LLM_MODEL`, or an Airflow connection `crawlmill_llm` in the
environment (`AIRFLOW_CONN_CRAWLMILL_LLM`, as URI or JSON). The other fields of `Settings` are `CRAWLMILL_LLM_<FIELD>` in capitals. The
model does decide bytes: a hook's option `model` names it, and an empty one takes the environment's when the recipe is loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from crawlmill.errors import UserError

PREFIX = "CRAWLMILL_LLM_"
LEAST = {"concurrency": 1, "attempts": 1, "timeout": 0.01}  # of all other numbers: 0
CONNECTION = "AIRFLOW_CONN_CRAWLMILL_LLM"


@dataclass(frozen=True)
class Settings:
    """How to use an endpoint.

    Attributes:
        base_url: up to and including `/v1`.
        api_key: never shown: neither in messages nor in this object's text.
        concurrency: requests in flight at once.
        requests_per_minute: 0 for no limit.
        tokens_per_minute: estimated tokens, read and written; 0 for no limit.
        timeout: seconds for one request.
        attempts: of one request, before it counts as one that cannot be answered.
        patience: seconds without any answer, after which the endpoint counts as down.
        stream: ask for answers piece by piece, for gateways that cut long silences.
        max_tokens: budget of a snapshot, read and written, over all runs; 0 for none.
        max_cost: budget of a snapshot in the currency of the prices; 0 for none.
        price_in: of a million tokens read.
        price_out: of a million tokens written.
        batch: a folder: requests are written there for an offline job, and its answers are read from there; nothing is sent.
    """

    base_url: str = ""
    api_key: str = field(default="", repr=False)
    concurrency: int = 16
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    timeout: float = 120.0
    attempts: int = 5
    patience: float = 300.0
    stream: bool = False
    max_tokens: int = 0
    max_cost: float = 0.0
    price_in: float = 0.0
    price_out: float = 0.0
    batch: str = ""

    def cost(self, read: int, written: int) -> float:
        """What tokens cost, to a billionth."""
        return round((read * self.price_in + written * self.price_out) / 1e6, 9)


def model(environment: Mapping[str, str] | None = None) -> str:
    """The model that hooks with an empty option `model` take; empty where the environment names none."""
    given = os.environ if environment is None else environment
    return given.get(f"{PREFIX}MODEL") or str(_connection(given).get("model") or "")


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings of the environment (by default, of this process).

    Raises:
        UserError: there is neither an address nor a batch folder, or a value is none of its kind.
    """
    given = os.environ if environment is None else environment
    found = _connection(given)
    values: dict[str, Any] = {name: found[name] for name in ("base_url", "api_key") if found.get(name)}
    for part in fields(Settings):
        if text := given.get(f"{PREFIX}{part.name.upper()}"):
            values[part.name] = _value(part.name, text, type(part.default))
    settings = Settings(**values)
    if not settings.base_url and not settings.batch:
        raise UserError(
            f"a hook of the recipe asks a language model, and no endpoint is set: give {PREFIX}BASE_URL (and {PREFIX}API_KEY), an "
            f"Airflow connection crawlmill_llm, or {PREFIX}BATCH=FOLDER for an offline job"
        )
    if settings.base_url and urlsplit(settings.base_url).scheme not in ("http", "https"):
        raise UserError(f"{PREFIX}BASE_URL is no HTTP address: give one such as https://host/v1")
    for part in fields(Settings):
        value = getattr(settings, part.name)
        if type(value) in (int, float) and not LEAST.get(part.name, 0) <= value < float("inf"):
            raise UserError(f"{PREFIX}{part.name.upper()} is {value:g}: give a number of at least {LEAST.get(part.name, 0):g}")
    return settings


def _value(name: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no"):
            raise UserError(f"{PREFIX}{name.upper()} must be 1 or 0, not {text!r}")
        return text.lower() in ("1", "true", "yes")
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{PREFIX}{name.upper()} must be a number, not {text!r}") from None


def _connection(given: Mapping[str, str]) -> dict[str, Any]:
    """Address, key and model of the Airflow connection in the environment; its text is never quoted, it holds the key."""
    text = given.get(CONNECTION, "")
    if not text:
        return {}
    try:
        if text.lstrip().startswith("{"):
            raw = json.loads(text)
            extra = raw.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            scheme, host, port = raw.get("schema") or "https", raw.get("host") or "", raw.get("port")
            key, path = raw.get("password") or "", extra.get("path", "v1")
        else:
            parts = urlsplit(text)
            extra = {name: values[0] for name, values in parse_qs(parts.query).items()}
            scheme, host, port = extra.get("scheme", "https"), parts.hostname or "", parts.port
            key, path = unquote(parts.password or ""), parts.path.strip("/") or "v1"
    except (ValueError, AttributeError):
        raise UserError(f"{CONNECTION} is neither a connection's URI nor its JSON: write it as Airflow does") from None
    address = host if "://" in host else f"{scheme}://{host}{f':{port}' if port else ''}/{path}"
    return {"base_url": address, "api_key": key, "model": extra.get("model", "")}
