"""Hooks that a user's package adds, the rules of phases, and `try-hook`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawlmill import cli
from crawlmill.errors import UserError
from crawlmill.explain.try_hook import options_of, word_diff
from crawlmill.recipes import recipe
from crawlmill.text import hooks
from crawlmill.text.hooks import Document, Hook, Outcome, Response, progress, run_hooks
from crawlmill.text.hooks.interface import fault

PACKAGE = Path(__file__).resolve().parents[1] / "fixtures" / "hook_package"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, installed: its folder with entry points stands on the path."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    hooks.available.cache_clear()
    yield
    hooks.available.cache_clear()
    for name in [name for name in sys.modules if name.startswith("shouting_hooks")]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_a_package_adds_hooks_with_options_from_the_recipe() -> None:
    wanted = recipe.from_mapping(
        {"rewrite": {"hooks": [{"name": "calm_capitals", "options": {"min_chars": 5}}, {"name": "mask_pii"}]}}
    )
    assert [(spec.name, spec.version[:1]) for spec in wanted.rewrite.hooks] == [("calm_capitals", "1"), ("mask_pii", "2")]
    text, steps = run_hooks(Document("BUY IT NOW\nok", language_script="Latn"), hooks.chosen(wanted.rewrite.hooks))
    assert text == "Buy it now\nok"
    assert [(step.hook, step.outcome, step.edits) for step in steps] == [
        ("calm_capitals", "changed", 1),
        ("mask_pii", "unchanged", 0),
    ]


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"name": "add_title"}, "needs signals or verdicts, so it cannot run before dedup"),
        ({"name": "calm_capital"}, "did you mean 'calm_capital' -> 'calm_capitals'"),
        ({"name": "calm_capitals", "options": {"min_char": 3}}, "did you mean 'min_char' -> 'min_chars'"),
        ({"name": "calm_capitals", "options": {"min_chars": "3"}}, "must be a int"),
        ({"name": "calm_capitals", "version": "2"}, "installed is '1'"),
    ],
)
def test_the_loader_refuses(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        recipe.from_mapping({"rewrite": {"hooks": [spec]}})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"needs": ("signals",)}, "do not exist before dedup"),
        ({"needs": ("verdicts",)}, "do not exist before dedup"),
        ({"needs": ("gpu",)}, "needs 'gpu', which is none of"),
        ({"phase": "later"}, "neither before_dedup nor recycle"),
        ({"needs": ("signals", "llm"), "phase": "recycle"}, None),
    ],
)
def test_a_declaration_that_contradicts_itself(more: dict[str, Any], words: str | None) -> None:
    found = fault(Hook(name="x", version="1", apply=lambda document, responses, options: Outcome("unchanged"), **more))
    assert found is None if words is None else words in (found or "")


@pytest.mark.usefixtures("package")
def test_a_hook_that_asks_waits_for_its_answers() -> None:
    hook = hooks.available()["add_title"]
    document = Document("Some page.", signals={"quality_bucket": 12})
    waiting = progress(document, [(hook, hook.options)], lambda hook, request: None)
    assert not waiting.steps and len(waiting.pending) == 1
    answer = Response(waiting.pending[0].hash, "A title", model="tiny-1", prompt_tokens=9, completion_tokens=2, cost=0.5)
    text, (step,) = run_hooks(document, [(hook, hook.options)], lambda hook, request: answer)
    assert text == "A title\nSome page."
    assert (step.model, step.requests, step.prompt_tokens, step.completion_tokens, step.cost) == (
        "tiny-1",
        (answer.request,),
        9,
        2,
        0.5,
    )
    assert run_hooks(Document("Some page."), [(hook, hook.options)])[1][0].reason == "not applicable"
    failed = Response(answer.request, failure="http_400")
    assert run_hooks(document, [(hook, hook.options)], lambda hook, request: failed)[1][0].reason == "endpoint: http_400"


def test_rounds_of_asking() -> None:
    def follow(document: Document, responses: Any, options: Any) -> list[str]:
        return [f"{document.text}{len(responses)}"] if len(responses) < 3 else []

    asks = Hook("asks", "1", lambda d, r, o: Outcome("changed", " ".join(r)), prepare=lambda d, o: ["first"], follow=follow)
    assert run_hooks(Document("x"), [(asks, {})], lambda hook, request: request.upper())[0] == "FIRST X1 X2"
    seen = progress(Document("x"), [(asks, {})], lambda hook, request: "ok" if request == "first" else None)
    assert seen.pending == ["x1"]
    endless = Hook("endless", "1", asks.apply, prepare=asks.prepare, follow=lambda d, r, o: ["again"])
    assert run_hooks(Document("x"), [(endless, {})], lambda hook, request: "a")[1][0].outcome == "error"


@pytest.mark.usefixtures("package")
def test_a_page_that_could_not_be_masked_is_shown_to_no_model() -> None:
    def fail(document: Document, responses: Any, options: Any) -> Outcome:
        raise ValueError

    title = hooks.available()["add_title"]
    document = Document("secret", signals={"quality_bucket": 12})
    asked: list[Any] = []
    chain = [(Hook("mask", "1", fail, required=True), {}), (title, title.options)]
    _, steps = run_hooks(document, chain, lambda hook, request: asked.append(request))
    assert [(step.outcome, step.reason) for step in steps][1] == ("unchanged", "proposed to be dropped") and not asked


def test_word_diff() -> None:
    assert word_diff("the old house stands", "the new house stands") == "the [-old-]{+new+} house stands"
    long = " ".join(f"w{n}" for n in range(100))
    assert word_diff(long, f"{long} end").startswith("w0 w1") and " … " in word_diff(long, f"{long} end")
    assert word_diff("a b", "a") == "a[- b-]"


def test_try_hook_shows_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pages.jsonl"
    rows = [{"text": f"Write to a{n}@example.org today.", "url": f"https://{n}.example.org/"} for n in range(4)] + [
        {"text": "Nothing."}
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    monkeypatch.setattr(sys, "argv", ["crawlmill", "try-hook", "mask_pii", "--sample", "5", "--show", "1", "--input", str(file)])
    with pytest.raises(SystemExit):
        cli.main()
    out = capsys.readouterr().out
    assert "Write to [-a0@example.org-]{+<EMAIL_1>+} today." in out and "a1@example.org" not in out
    assert "4 of 5 documents hit (80.0 %)" in out and "nothing was written" in out
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_try_hook_takes_a_file_and_counts_what_it_would_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pages.jsonl"
    file.write_text(json.dumps({"text": "Some page.", "signals": {"quality_bucket": 19}}) + "\n")
    monkeypatch.setattr(
        sys,
        "argv",
        ["crawlmill", "try-hook", str(PACKAGE / "shouting_hooks" / "ask.py"), "--input", str(file), "--option", "model=big"],
    )
    with pytest.raises(SystemExit):
        cli.main()
    assert "it would ask       1 requests" in capsys.readouterr().out


def test_what_try_hook_refuses(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    for name, words in (("none.py", "declares no HOOK"), ("broken.py", "cannot be loaded"), ("absent.py", "is no Python file")):
        with pytest.raises(UserError, match=words):
            hooks.from_file(tmp_path / name)
    hook = Hook("x", "1", lambda d, r, o: Outcome("unchanged"), options={"n": 3})
    assert options_of(hook, ["n=5"])["n"] == 5
    for given in (["m=5"], ["n=five"], ["n"]):
        with pytest.raises(UserError):
            options_of(hook, given)
