"""Hooks: the protocol, the repair of text, the masking of personal data."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawlmill.errors import UserError
from crawlmill.recipes import recipe
from crawlmill.text import hooks
from crawlmill.text.hooks import Document, Hook, Options, Outcome, run_hooks
from crawlmill.text.hooks.mask_pii import mask
from crawlmill.text.hooks.unicode_repair import repair

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=150)


def hook(answer: Outcome | Exception, **more: Any) -> hooks.Chosen:
    def apply(document: Document, responses: Sequence[Any], options: Options) -> Outcome:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Hook(name="probe", version="3", apply=apply, **more), {}


# The protocol


def test_hooks_see_what_the_one_before_made() -> None:
    def louder(document: Document, responses: Sequence[Any], options: Options) -> Outcome:
        return Outcome("changed", document.text + options["mark"], edits=1)

    one = Hook(name="louder", version="1", apply=louder, options={"mark": "!"})
    text, steps = run_hooks(Document("hey"), [(one, {"mark": "!"}), (one, {"mark": "?"})])
    assert text == "hey!?"
    assert [(step.hook, step.position, step.outcome, step.edits) for step in steps] == [
        ("louder", 0, "changed", 1),
        ("louder", 1, "changed", 1),
    ]


def test_an_exception_is_a_step_and_the_text_stays() -> None:
    text, steps = run_hooks(Document("my secret"), [hook(ValueError("my secret")), hook(Outcome("changed", "new", edits=1))])
    assert text == "new"
    assert [step.outcome for step in steps] == ["error", "changed"]
    assert steps[0].reason is not None
    assert steps[0].reason.startswith("ValueError at test_hooks.py:")
    assert "secret" not in steps[0].reason


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome("unchanged"), "unchanged"),
        (Outcome("changed", "hey", edits=4), "unchanged"),  # says so, but is the same
        (Outcome("changed", None), "unchanged"),
        (Outcome("changed", " \n"), "rejected"),
        (Outcome("changed", "a\ud800"), "error"),
        (Outcome("rejected", "other", reason="worse"), "rejected"),
        (Outcome("dropped_proposal", "other", reason="too far"), "dropped_proposal"),
    ],
)
def test_what_does_not_change_the_text(outcome: Outcome, expected: str) -> None:
    text, (step,) = run_hooks(Document("hey"), [hook(outcome)])
    assert text is None
    assert step.outcome == expected
    assert step.outcome in hooks.OUTCOMES


def test_a_hook_for_some_documents() -> None:
    only = hook(Outcome("changed", "x"), applies=lambda document, options: document.language == "tha")
    assert run_hooks(Document("hey", language="eng"), [only])[1][0].reason == "not applicable"
    assert run_hooks(Document("hey", language="tha"), [only])[0] == "x"


def test_requests_and_responses() -> None:
    def apply(document: Document, responses: Sequence[Any], options: Options) -> Outcome:
        return Outcome("changed", " ".join(responses))

    asks = Hook(name="asks", version="1", apply=apply, prepare=lambda document, options: document.text.split())
    assert run_hooks(Document("a b"), [(asks, {})], answer=lambda hook, request: request.upper())[0] == "A B"
    text, (step,) = run_hooks(Document("a b"), [(asks, {})])
    assert (text, step.outcome) == (None, "error")


def test_no_hooks() -> None:
    assert run_hooks(Document("hey"), []) == (None, [])


def test_installed_hooks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def __init__(self, value: str, found: Any) -> None:
            self.name, self.value, self.found = "theirs", value, found

        def load(self) -> Any:
            if isinstance(self.found, Exception):
                raise self.found
            return self.found

    def install(found: Any) -> None:
        hooks.available.cache_clear()
        monkeypatch.setattr(metadata, "entry_points", lambda group: [Entry("theirs:HOOK", found)] if group == hooks.GROUP else [])

    theirs = hook(Outcome("unchanged"))[0]
    install(theirs)
    assert hooks.available()["probe"] is theirs
    assert recipe.from_mapping({"rewrite": {"hooks": [{"name": "probe"}]}}).rewrite.hooks[0].version == "3"
    for found, message in (
        (ImportError("gone"), "cannot be loaded"),
        (42, "is no crawlmill"),
        (Hook(name="mask_pii", version="9", apply=theirs.apply), "two installed hooks are named 'mask_pii'"),
    ):
        install(found)
        with pytest.raises(UserError, match=message):
            hooks.available()
    install(Hook(name="probe", version="1", apply=theirs.apply, phase="recycle"))
    with pytest.raises(UserError, match="cannot run before dedup"):
        recipe.from_mapping({"rewrite": {"hooks": [{"name": "probe"}]}})
    monkeypatch.undo()
    hooks.available.cache_clear()


def test_batches() -> None:
    texts = ["Nothing to do.", "Write to a.b@example.org &amp; wait", "", None]
    rows = [
        {"snapshot": "s", "shard": 0, "id": str(n), "url": None, "text": text, "language": "eng", "language_script": "Latn"}
        for n, text in enumerate(texts)
    ]
    wanted = recipe.load().rewrite
    found = hooks.rewrite_batch(pa.RecordBatch.from_pylist(rows), wanted).to_pylist()
    assert [row["text"] for row in found] == [None, "Write to <EMAIL_1> & wait", None, None]
    assert [len(row["hooks"]) for row in found] == [0, 2, 0, 0]
    assert found[1]["hooks"][1] == f"mask_pii@{wanted.hooks[1].version}"
    assert all(len(row["steps"]) == 2 for row in found)
    assert set(found[0]["steps"][0]) == set(hooks.Step.__dataclass_fields__)
    assert not any(row["pending"] for row in found)


# unicode_repair


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text", "plain text"),
        ("doesnâ€™t", "doesn’t"),
        ("schÃ¶n", "schön"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("fish &amp; chips", "fish & chips"),
        ("a < b &amp; c", "a < b &amp; c"),  # with a `<`, it may be source code
        ("bell\x07 and null\x00", "bell and null"),
        ("ﬁne “quotes” Ｗｉｄｅ\r\nnext", "ﬁne “quotes” Ｗｉｄｅ\r\nnext"),  # ligatures, quotes, widths and line ends stay
        ("cafe\u0301", "cafe\u0301"),
        ("naïve déjà vu — 日本語", "naïve déjà vu — 日本語"),
    ],
)
def test_repair(text: str, expected: str) -> None:
    assert repair(text) == expected


def test_repair_composes_on_request_and_counts_lines() -> None:
    assert repair("cafe\u0301", nfc=True) == "café"
    text, (step,) = run_hooks(Document("ok\nschÃ¶n\nok"), hooks.chosen(recipe.load().rewrite.hooks)[:1])
    assert (text, step.edits) == ("ok\nschön\nok", 1)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.booleans())
@example("&amp;amp;lt;", False)
@example("Ã\xa0\x80", False)
def test_repairing_twice_is_repairing_once(text: str, nfc: bool) -> None:
    once = repair(text, nfc)
    assert repair(once, nfc) == once
    once.encode("utf-8")


# mask_pii


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail Jo.Doe+news@example.co.uk.", "Mail <EMAIL_1>."),
        ("JO@example.org, jo@example.org, al@example.org", "<EMAIL_1>, <EMAIL_1>, <EMAIL_2>"),
        ("почта: иван@пример.рф", "почта: <EMAIL_1>"),
        (
            "邮箱li@example.cn谢谢，服务器8.8.8.8很快，电话+86 10 6552 9988。",
            "邮箱<EMAIL_1>谢谢，服务器<IP_1>很快，电话<PHONE_1>。",
        ),
        ("메일은 kim@example.kr로 보내세요", "메일은 <EMAIL_1>로 보내세요"),
        ("a@example.org_x a@example.123 ...a@example.org", "a@example.org_x a@example.123 ...<EMAIL_1>"),
        ("see @handle, a@b, user@host, x @ y.com", "see @handle, a@b, user@host, x @ y.com"),
        ("server 8.8.8.8, router 192.168.0.1, mask 255.255.255.0", "server <IP_1>, router 192.168.0.1, mask 255.255.255.0"),
        ("version 1.2.3, 8.8.8.8.8 and 300.1.2.3 and v8.8.8.8", "version 1.2.3, 8.8.8.8.8 and 300.1.2.3 and v8.8.8.8"),
        ("2001:4860:4860::8888 at 12:30:45, fe80::1, ::1", "<IP_1> at 12:30:45, fe80::1, ::1"),
        ("std::vector a::b 2:1", "std::vector a::b 2:1"),
        ("call +49 30 901820 or +1 (650) 253-0000 or 555-1234", "call <PHONE_1> or <PHONE_2> or 555-1234"),
        ("+49 30 901820 and +4930901820", "<PHONE_1> and <PHONE_1>"),
        ("1 + 2345678 = x, C++ 20, +999 12345678", "1 + 2345678 = x, C++ 20, +999 12345678"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC COBADEFF", "IBAN <IBAN_1> BIC COBADEFF"),
        ("GB82WEST12345698765432 / DE89370400440532013001", "<IBAN_1> / DE89370400440532013001"),
        ("Visa 4111 1111 1111 1111, not 4111 1111 1111 1112", "Visa <CARD_1>, not 4111 1111 1111 1112"),
        ("5555-5555-5555-4444 378282246310005", "<CARD_1> <CARD_2>"),
        ("ISBN 978-3-16-148410-0, id 1234567812345670", "ISBN 978-3-16-148410-0, id 1234567812345670"),
        ("<EMAIL_3> wrote to a@example.org", "<EMAIL_3> wrote to <EMAIL_4>"),
    ],
)
def test_mask(text: str, expected: str) -> None:
    assert mask(text)[0] == expected
    assert mask(expected) == (expected, 0)


def test_kinds_can_be_switched_off() -> None:
    off = recipe.from_mapping({"rewrite": {"hooks": [{"name": "mask_pii", "options": {"ip": False}}]}})
    text, (step,) = run_hooks(Document("8.8.8.8 a@example.org"), hooks.chosen(off.rewrite.hooks))
    assert (text, step.edits) == ("8.8.8.8 <EMAIL_1>", 1)


def test_nothing_is_remembered_between_documents() -> None:
    assert mask("b@example.org")[0] == mask("b@example.org")[0] == "<EMAIL_1>"
    mask("a@example.org")
    assert mask("b@example.org")[0] == "<EMAIL_1>"


def test_long_hostile_texts_take_no_time() -> None:
    for text in (
        "a." * 50_000 + "@",
        "1 " * 100_000,
        "+1 " * 50_000,
        "DE12" * 50_000,
        "2001:" * 50_000,
        "@a." * 50_000,
        "1.1." * 50_000,
    ):
        assert mask(text)[1] >= 0


PIECES = st.sampled_from(
    ["a@example.org", "8.8.8.8", "+49 30 901820", "DE89 3704 0044 0532 0130 00", "4111 1111 1111 1111", "2001:4860:4860::8888"]
    + ["<EMAIL_1>", " ", ".", "-", "1", "x", "@", "+", ":", "\n", "é", "日", "<", ">", "_", "%"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join) | TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    masked, edits = mask(text)
    assert mask(masked) == (masked, 0)
    assert (edits == 0) == (masked == text)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_the_shipped_hooks_never_raise(text: str) -> None:
    changed, steps = run_hooks(Document(text), SHIPPED)
    assert not [step for step in steps if step.outcome == "error"]
    again, _ = run_hooks(Document(changed if changed is not None else text), SHIPPED)
    assert again is None


SHIPPED = hooks.chosen(recipe.load().rewrite.hooks)
