"""Asking a model: the client against an endpoint that misbehaves, the store, budgets, kills, batch files."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from crawlmill import layout
from crawlmill.errors import SourceUnavailable, UserError
from crawlmill.lake import table
from crawlmill.llm import ask as asking
from crawlmill.llm import batch, client, settings, store, wire
from crawlmill.llm.pace import Breaker, Bucket, Budget, budget
from crawlmill.llm.settings import Settings
from crawlmill.text.hooks.chat import Request, Response
from tests.fixtures import endpoint
from tests.fixtures.endpoint import Endpoint, running

S, T = "CC-MAIN-2026-43", "CC-MAIN-2026-38"
KEY = "sk-secret-key-0123456789"


def request(text: str, **more: Any) -> dict[str, Any]:
    found = Request("tiny", (("system", "You shout."), ("user", text)), **{"max_tokens": 50, **more})
    return {"hash": found.hash, "body": found.body()}


def usual(at: Endpoint | str, **more: Any) -> Settings:
    url = at if isinstance(at, str) else at.url
    return Settings(base_url=url, api_key=KEY, **{"concurrency": 4, "timeout": 5.0, "attempts": 3, "patience": 20.0, **more})


def answers(requests: Iterable[dict[str, Any]], using: Settings, spend: Budget | None = None) -> dict[str, Response]:
    found: dict[str, Response] = {}
    left = asyncio.run(
        client.answer_all(
            requests, using, spend or budget(using, 0, 0.0), lambda asked, response: found.update({asked["hash"]: response})
        )
    )
    assert left is None or spend is not None
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.02)


# The client


@pytest.mark.parametrize("stream", [False, True])
def test_answers_of_an_endpoint_that_works(stream: bool) -> None:
    with running() as at:
        asked = [request(f"page {n} with ünïcode 日本") for n in range(30)]
        found = answers(asked, usual(at, stream=stream, price_in=1.0, price_out=10.0))
    assert [found[one["hash"]].text for one in asked] == [f"PAGE {n} WITH ÜNÏCODE 日本" for n in range(30)]
    first = found[asked[0]["hash"]]
    assert (first.model, first.finish, first.prompt_tokens, first.completion_tokens, first.failure) == (
        "tiny-served",
        "stop",
        7,
        5,
        None,
    )
    assert first.cost == pytest.approx((7 + 50) / 1e6)
    assert set(at.got.values()) == {1} and at.most <= 4
    assert at.headers[0]["authorization"] == f"Bearer {KEY}" and at.headers[0]["idempotency-key"] in found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("action", "text", "failure", "times"),
    [
        ("429", "SAY", None, 2),
        ("flaky", "SAY", None, 3),
        ("500", "", "no_answer (http_500)", 3),
        ("400", "", "http_400", 1),
        ("garbage", "", "no_answer (garbage)", 3),
        ("truncated", "", "no_answer (connection)", 3),
        ("shape", "", "no_answer (garbage)", 3),
        ("drop", "", "no_answer", 3),
        ("hang", "", "no_answer (timeout)", 3),
        ("slow", "SAY", None, 1),
        ("empty", "", None, 1),
        ("refuse", endpoint.REFUSAL, None, 1),
    ],
)
def test_trouble(stream: bool, action: str, text: str, failure: str | None, times: int) -> None:
    if stream and action in ("garbage", "shape", "truncated"):
        pytest.skip("these are bodies of answers in one piece")
    with running() as at:
        asked = request(f"say [[{action}]]")
        found = answers(
            [asked, *(request(f"other {n}") for n in range(3))],
            usual(at, timeout=0.6 if action == "hang" else 5.0, stream=stream),
        )
    response = found[asked["hash"]]
    assert (response.failure or "").startswith(failure or "") and bool(response.failure) == bool(failure)
    assert at.got[asked["hash"]] == times
    assert response.text == (f"SAY [[{action}]]".upper() if text == "SAY" else text)
    assert len(found) == 4 and sum(one.failure is None for one in found.values()) >= 3


def test_an_answer_cut_at_its_limit_says_so() -> None:
    with running() as at:
        asked = request("say [[long]]")
        assert answers([asked], usual(at))[asked["hash"]].finish == "length"


def test_a_wrong_key_ends_the_work_and_is_not_shown() -> None:
    with (
        running(lambda body, seen: "401") as at,
        pytest.raises(UserError, match="http_401: check the address, the key") as caught,
    ):
        answers([request(f"page {n}") for n in range(50)], usual(at))
    assert KEY not in str(caught.value) and KEY not in repr(usual(at))
    assert at.got.total() <= 8


def test_an_endpoint_that_is_down_ends_the_work_with_its_name() -> None:
    with pytest.raises(SourceUnavailable, match="has answered nobody"):
        answers([request(f"page {n}") for n in range(20)], usual("http://127.0.0.1:1/v1", patience=0.5, timeout=1.0))
    with running(lambda body, seen: "500") as at, pytest.raises(SourceUnavailable, match="http_500"):
        answers([request("page")], usual(at, patience=0.0))


def test_the_breaker_spares_an_endpoint_in_trouble_and_recovers() -> None:
    until = time.monotonic() + 1.0

    def behave(body: dict[str, Any], seen: int) -> str:
        return "500" if time.monotonic() < until else "ok"

    with running(behave) as at:
        asked = [request(f"page {n}") for n in range(40)]
        found = answers(asked, usual(at, attempts=50))
    assert len(found) == 40 and not any(response.failure for response in found.values())
    assert at.got.total() <= 40 + 30  # without a breaker, four workers would have tried some hundred times


def test_many_in_flight_and_no_more() -> None:
    with running(delay=0.02) as at:
        found = answers([request(f"page {n}") for n in range(300)], usual(at, concurrency=32))
    assert len(found) == 300 and 16 <= at.most <= 32


def events(*given: dict[str, Any] | str) -> bytes:
    return b"".join(b"data: " + (one if isinstance(one, str) else json.dumps(one)).encode() + b"\n\n" for one in given)


def piece(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": {} if text is None else {"content": text}, "finish_reason": finish}]}


def test_a_stream_is_put_together_from_its_events() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    raw = b": keep-alive\r\n\r\n" + events(
        piece("a\u2028b "), piece(None), piece("ü"), piece(None, "length"), {"choices": [], "usage": usage}, "[DONE]"
    )
    for body in (raw, raw.replace(b"\n", b"\r\n")):
        found = wire.read_completion("k", wire.put_together(body), 0, Settings())
        assert (found.text, found.finish, found.prompt_tokens, found.completion_tokens) == ("a\u2028b ü", "length", 3, 2)


def test_a_stream_may_hold_comments_marks_of_events_and_halves_of_pairs() -> None:
    odd = b'event: x\ndata: {"choices": [{"delta": {"content": "\\ud83d data: {"}}]}\n\n: wait\n\n' + events(piece(" b", "stop"))
    assert wire.read_completion("k", wire.put_together(odd), 0, Settings()).text == "? data: { b"
    whole = events(piece("x\n\ndata: y"), piece(None, "stop"), "[DONE]").replace(b"data: ", b"data:", 1)
    assert wire.read_completion("k", wire.put_together(whole), 0, Settings()).text == "x\n\ndata: y"


@pytest.mark.parametrize("tokens", [-50, 0, None, 1e30, float("nan")])
def test_counts_that_are_none_do_not_fill_a_budget(tokens: Any) -> None:
    choice = {"message": {"content": "four words are here"}, "finish_reason": "stop"}
    found = wire.read_completion(
        "k", {"choices": [choice], "usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}, 7, Settings()
    )
    assert found.prompt_tokens == 7 and found.completion_tokens > 0


@pytest.mark.parametrize(
    "raw", [b"", events(piece("cut")), events(piece("a", "stop"), {"error": "overloaded"}), b"data: {cut\n\n"]
)
def test_a_stream_that_broke_off_is_no_answer(raw: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        wire.put_together(raw)


# Pace


def test_the_rate_limit() -> None:
    now = [100.0]
    bucket = Bucket(2.0, lambda: now[0])
    assert [bucket.wait(1) for _ in range(5)] == [0, 0, 0.5, 1.0, 1.5]
    now[0] += 2.5
    assert bucket.wait(1) == 0
    assert Bucket(0.0, lambda: now[0]).wait(10**9) == 0
    started = time.monotonic()
    with running() as at:
        answers([request(f"page {n}") for n in range(12)], usual(at, requests_per_minute=600))
    assert time.monotonic() - started >= 0.1


def test_the_breaker_opens_pauses_longer_and_closes() -> None:
    now = [0.0]
    breaker = Breaker(limit=3, clock=lambda: now[0])
    for _ in range(2):
        breaker.failed()
    assert breaker.until == 0.0
    breaker.failed()
    assert breaker.until == 1.0
    now[0] = 1.0
    breaker.failed()
    assert breaker.until == 3.0
    breaker.hold(10.0)
    assert breaker.until == 11.0
    breaker.answered()
    assert (breaker.failures, breaker.opened) == (0, 0)


def test_a_budget_is_never_passed() -> None:
    spend = Budget(max_tokens=100, max_cost=0.0)
    assert spend.reserve(60, 0.0) and not spend.reserve(60, 0.0)
    spend.settle(60, 0.0, 30, 0.0)
    assert spend.reserve(60, 0.0) and spend.tokens == 30
    assert not Budget(0, 1.0).reserve(1, 1.5)


# Settings


def test_settings_come_from_the_environment_or_a_connection() -> None:
    plain = settings.load(
        {
            "CRAWLMILL_LLM_BASE_URL": "http://h/v1",
            "CRAWLMILL_LLM_API_KEY": KEY,
            "CRAWLMILL_LLM_CONCURRENCY": "64",
            "CRAWLMILL_LLM_STREAM": "1",
        }
    )
    assert (plain.base_url, plain.api_key, plain.concurrency, plain.stream) == ("http://h/v1", KEY, 64, True)
    uri = f"http://:{KEY}@llm.example:8000/v1?model=big&scheme=http"
    found = settings.load({settings.CONNECTION: uri})
    assert (found.base_url, found.api_key) == ("http://llm.example:8000/v1", KEY)
    as_json = json.dumps({"host": "llm.example", "password": KEY, "extra": {"model": "big"}})
    assert settings.load({settings.CONNECTION: as_json}).base_url == "https://llm.example/v1"
    assert settings.model({settings.CONNECTION: as_json}) == settings.model({settings.CONNECTION: uri}) == "big"
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no endpoint is set"),
        ({"CRAWLMILL_LLM_BASE_URL": "host:80"}, "no HTTP address"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_CONCURRENCY": "many"}, "must be a number"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_CONCURRENCY": "0"}, "at least 1"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_PRICE_OUT": "-1"}, "PRICE_OUT is -1: give a number of at least 0"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_MAX_COST": "nan"}, "MAX_COST is nan"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_TIMEOUT": "inf"}, "TIMEOUT is inf"),
        ({"CRAWLMILL_LLM_BASE_URL": "http://h", "CRAWLMILL_LLM_STREAM": "maybe"}, "must be 1 or 0"),
        ({settings.CONNECTION: "{" + KEY}, "neither a connection's URI nor its JSON"),
    ],
)
def test_settings_that_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        settings.load(given)
    assert KEY not in str(caught.value)


# The store, and asking with it


@pytest.fixture
def made(lake: str) -> str:
    table.create_all(lake)
    return lake


def pending(texts: Iterable[str], shard: int = 0) -> list[tuple[int, str]]:
    return [(shard, json.dumps(request(text))) for text in texts]


def kept(lake: str, snapshot: str = S, shard: int = 0) -> dict[str, Response]:
    return dict(store.of_shard(lake, table.version(lake, store.TABLE), snapshot, shard))


def test_nothing_is_asked_twice(made: str) -> None:
    texts = [f"page {n}" for n in range(10)]
    with running() as at:
        first = asking.ask(made, S, pending(texts) + pending(texts[:3]) + pending(texts[:5], shard=1), usual(at))
        again = asking.ask(made, S, pending(texts), usual(at))
        other = asking.ask(made, T, pending(texts[:4]), usual(at, price_in=1.0))
    assert (first.sent, first.copied, again.any, other.sent, other.copied) == (10, 5, False, 0, 4)
    assert set(at.got.values()) == {1}
    assert len(kept(made)) == 10 and len(kept(made, S, 1)) == 5 and len(kept(made, T)) == 4
    assert store.spent(made, T) == (0, 0.0) and store.spent(made, S)[0] > 0
    read = asking.reader(made, S, [0, 1])
    one = Request("tiny", (("system", "You shout."), ("user", "page 3")), max_tokens=50)
    assert read(None, one).text == "PAGE 3" and read(None, Request("tiny", (("user", "other"),), max_tokens=50)) is None


def test_failures_are_kept_and_not_asked_again(made: str) -> None:
    with running() as at:
        for _ in range(2):
            asking.ask(made, S, pending(["bad [[400]]", "good"]), usual(at))
    assert set(at.got.values()) == {1}
    assert sorted(str(response.failure) for response in kept(made).values()) == ["None", "http_400"]


def test_a_budget_stops_cleanly_and_resumes(made: str) -> None:
    texts = [f"page {n}" for n in range(20)]
    with running() as at:
        with pytest.raises(asking.BudgetSpent, match="MAX_TOKENS or CRAWLMILL_LLM_MAX_COST"):
            asking.ask(made, S, pending(texts), usual(at, max_tokens=150))
        part = len(kept(made))
        assert 0 < part < 20 and store.spent(made, S)[0] <= 150
        with pytest.raises(asking.BudgetSpent):
            asking.ask(made, S, pending(texts), usual(at, max_tokens=150))
        asking.ask(
            made, S, pending([text for text in texts if request(text)["hash"] not in kept(made)]), usual(at, max_tokens=10_000)
        )
    assert len(kept(made)) == 20 and set(at.got.values()) == {1}


def test_a_budget_of_money(made: str) -> None:
    with running() as at, pytest.raises(asking.BudgetSpent):
        asking.ask(made, S, pending(f"page {n}" for n in range(20)), usual(at, max_cost=0.00055, price_out=10.0))
    assert 0 < store.spent(made, S)[1] <= 0.00055


PROGRAM = """
import json, sys
from crawlmill.llm import ask, settings
lake, snapshot, file = sys.argv[1:]
rows = [(0, line) for line in open(file)]
from crawlmill.llm import store
from crawlmill.lake import table
held = store.of_shard(lake, table.version(lake, store.TABLE), snapshot, 0)
ask.ask(lake, snapshot, [row for row in rows if json.loads(row[1])["hash"] not in held], settings.load(), print)
"""


def call(lake: str, at: Endpoint, file: Path, **more: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "CRAWLMILL_LLM_BASE_URL": at.url, "CRAWLMILL_LLM_CONCURRENCY": "1", "CRAWLMILL_HOME": str(layout.home()),
        "PYTHONPATH": str(Path(asking.__file__).parents[2]), **more,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, lake, S, str(file)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pending.jsonl"
    path.write_text("".join(text + "\n" for _, text in pending(f"page {n}" for n in range(40))))
    return path


def test_a_kill_in_the_middle_sends_nothing_twice(made: str, file: Path) -> None:
    with running() as at:
        killed = call(made, at, file, CRAWLMILL_FAILPOINT="llm:answered:17=kill")
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL and at.got.total() == 17 and not kept(made)
        again = call(made, at, file)
        out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert "17 answers of an attempt that died are kept" in out
    assert len(at.got) == 40 and set(at.got.values()) == {1} and len(kept(made)) == 40


@pytest.mark.parametrize("stream", ["0", "1"])
def test_no_answered_request_is_sent_twice_however_many_are_in_flight(made: str, file: Path, stream: str) -> None:
    """What a kill can cost: requests under way, whose answers nobody has. They come again with the same key, and work is done once."""
    flying = {"CRAWLMILL_LLM_CONCURRENCY": "8", "CRAWLMILL_LLM_STREAM": stream}
    with running(delay=0.02) as at:
        call(made, at, file, CRAWLMILL_FAILPOINT="llm:answered:17=kill", **flying).communicate(timeout=60)
        answered = {json.loads(line)["request"] for line in store.Journal(made, S).path.read_text().splitlines()}
        again = call(made, at, file, **flying)
        again.communicate(timeout=60)
    assert again.returncode == 0 and len(kept(made)) == 40 and len(answered) == 17
    repeated = {key for key, times in at.got.items() if times > 1}
    assert not repeated & answered and len(repeated) <= 8 and max(at.got.values()) <= 2
    assert all(at.keys[key] == {key} for key in at.got)
    assert set(at.worked.values()) == {1} and len(at.worked) == 40


def test_a_polite_stop_sends_nothing_twice(made: str, file: Path) -> None:
    with running(delay=0.1) as at:
        first = call(made, at, file, CRAWLMILL_LLM_CONCURRENCY="8")
        while at.done.total() < 5:
            time.sleep(0.01)
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=60)
        assert "was stopped; every answer is kept" in err and 5 <= len(kept(made)) < 40
        assert call(made, at, file, CRAWLMILL_LLM_CONCURRENCY="8").wait(60) == 0
    assert len(at.got) == 40 and set(at.got.values()) == {1}


def test_a_journal_that_was_cut_and_folded_before(made: str) -> None:
    journal = store.Journal(made, S)
    journal.add(0, Response("a", "first"))
    journal.add(0, Response("a", "second"))
    journal.add(0, Response("b", "x"))
    lines = journal.path.read_bytes()
    assert journal.fold() == 2
    journal.path.write_bytes(lines + lines[:20])  # the process died between the table's commit and the journal's end
    assert journal.fold() == 0
    assert {key: response.text for key, response in kept(made).items()} == {"a": "first", "b": "x"}


# Batch files


def test_requests_as_files_and_answers_from_files(made: str, tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    using = Settings(batch=str(folder))
    texts = [f"page {n}" for n in range(5)]
    with pytest.raises(UserError, match="5 requests of CC-MAIN-2026-43 are written"):
        asking.ask(made, S, pending(texts) + pending(texts), using)
    lines = [json.loads(line) for path in folder.glob("requests-*.jsonl") for line in path.read_text().splitlines()]
    assert [line["custom_id"] for line in lines] == [request(text)["hash"] for text in texts]
    assert lines[0]["method"] == "POST" and lines[0]["url"] == "/v1/chat/completions" and lines[0]["body"]["model"] == "tiny"
    rows = [answer(line["custom_id"], f"answer {n}") for n, line in enumerate(lines)]
    rows[3] = {"custom_id": lines[3]["custom_id"], "response": {"status_code": 400, "body": {}}, "error": None}
    rows[4] = {"custom_id": lines[4]["custom_id"], "response": {"status_code": 500, "body": {}}, "error": None}
    (folder / "answers-1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    with pytest.raises(UserError, match="1 requests"):
        asking.ask(made, S, pending(texts), using)
    assert {response.text or response.failure for response in kept(made).values()} == {
        "answer 0",
        "answer 1",
        "answer 2",
        "http_400",
    }


def answer(key: str, text: str) -> dict[str, Any]:
    body = {
        "model": "m",
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    return {"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}


def test_batch_files_are_cut_and_damaged_ones_named(tmp_path: Path) -> None:
    assert batch.write(tmp_path, [request(f"page {n}") for n in range(5)], lines=2) == 5
    assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.glob(batch.REQUESTS))] == [2, 2, 1]
    (tmp_path / "answers.jsonl").write_text('{"custom_id": "x", "response": {"status_code": 200, "body": {"choi')
    with pytest.raises(UserError, match=r"answers.jsonl line 1 is no answer of a batch job"):
        list(batch.read(tmp_path, Settings()))
