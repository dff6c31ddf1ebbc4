"""The declaration of a hook and what it deals in: documents, outcomes, steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

OUTCOMES = ("unchanged", "changed", "dropped_proposal", "rejected", "error")
NEEDS = ("llm", "signals", "verdicts")
"""What a hook may need besides the document: an endpoint, or annotations that exist only after dedup's inputs are made."""
AFTER_DEDUP = ("signals", "verdicts")

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Document:
    """What a hook may see of a document. Before dedup that is columns of `documents` and `languages` alone.

    Attributes:
        text: after the hooks before this one.
        duplicates: spans of the extracted text that stand earlier elsewhere, or in it; for hooks that read them.
        signals: only in phase `recycle`: quality signals by name; `quality_bucket` among them, 0 to 19.
        failed: only in phase `recycle`: the rules of the gate that the document failed.
        label: gives language and script of another text, by the recipe's model; None where no run provides it.
    """

    text: str
    id: str = ""
    url: str = ""
    title: str = ""
    language: str = "und"
    language_script: str = "Zyyy"
    language_score: float = 0.0
    duplicates: tuple[tuple[int, int], ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    label: Callable[[str], tuple[str, str]] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Outcome:
    """What a hook made of a document. `text` counts for `changed` only; the others keep the document as it was.

    `derived` are texts of further documents (phase `recycle` only), `labels` annotations for a scorer to learn from.
    """

    outcome: Literal["unchanged", "changed", "dropped_proposal", "rejected", "error"]
    text: str | None = None
    reason: str | None = None
    edits: int = 0
    labels: Mapping[str, str] | None = None
    derived: tuple[str, ...] = ()


UNCHANGED = Outcome("unchanged")


def _nothing(document: Document, options: Options) -> Sequence[Any]:
    return ()


def _always(document: Document, options: Options) -> bool:
    return True


def _sound(options: Options) -> str | None:
    return None


@dataclass(frozen=True)
class Hook:
    """A hook's declaration. The functions are pure: the same document, options and responses give the same outcome everywhere.

    Attributes:
        name: as the recipe writes it.
        version: raised whenever the same document may come out otherwise; names the versions of libraries that decide that.
        phase: `before_dedup`, or `recycle` for hooks that need signals or verdicts or make further documents.
        needs: of `NEEDS`; `signals` and `verdicts` bind a hook to phase `recycle`.
        required: a document on which it fails is proposed to be dropped, and the gate drops it.
        apply: the outcome for a document, given the responses to its requests, in their order.
        prepare: what is to be asked of a model about the document; nothing for hooks that are plain functions.
        follow: what is to be asked once the responses so far are there; nothing ends the asking.
        applies: whether the document is the hook's business, by its annotations.
        options: every option with its default; a recipe's value must have the default's type.
        check: what is wrong with a recipe's options, None where nothing is; asked once, when the recipe is loaded, and may look at files.
        reads_duplicates: it uses `Document.duplicates`, so the recipe must look for them and put it first.
    """

    name: str
    version: str
    apply: Callable[[Document, Sequence[Any], Options], Outcome]
    prepare: Callable[[Document, Options], Sequence[Any]] = _nothing
    follow: Callable[[Document, Sequence[Any], Options], Sequence[Any]] | None = None
    applies: Callable[[Document, Options], bool] = _always
    phase: Literal["before_dedup", "recycle"] = "before_dedup"
    needs: tuple[str, ...] = ()
    required: bool = False
    options: Options = field(default_factory=dict)
    reads_duplicates: bool = False
    check: Callable[[Options], str | None] = _sound

    @property
    def asks(self) -> bool:
        """Whether it needs an endpoint."""
        return "llm" in self.needs


def fault(hook: Hook) -> str | None:
    """What is wrong with a declaration, None where nothing is."""
    if strange := sorted(set(hook.needs) - set(NEEDS)):
        return f"needs {strange[0]!r}, which is none of {', '.join(NEEDS)}"
    if hook.phase not in ("before_dedup", "recycle"):
        return f"is of phase {hook.phase!r}, which is neither before_dedup nor recycle"
    if hook.phase == "before_dedup" and (late := sorted(set(hook.needs) & set(AFTER_DEDUP))):
        return f"needs {late[0]}, which do not exist before dedup: give it phase='recycle'"
    if hook.phase == "before_dedup" and (routes := sorted({"min_bucket", "max_bucket"} & set(hook.options))):
        return f"has an option {routes[0]!r}, and there are no quality buckets before dedup: give it phase='recycle'"
    return None


def option(hook: Hook, key: str, value: Any) -> Any:
    """A value for an option as the hook takes it: of the default's type, whole numbers also for fractions.

    Raises:
        ValueError: of another type; the message says of which it must be.
    """
    wanted = type(hook.options[key])
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ValueError(f"option {key!r} of hook {hook.name!r} must be a {wanted.__name__}, not {value!r}")
    return value


@dataclass(frozen=True)
class Step:
    """One hook's outcome on one document; the fields of `rewrite_steps`."""

    hook: str
    version: str
    position: int
    outcome: str
    reason: str | None
    edits: int
    model: str | None = None
    requests: tuple[str, ...] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    labels: Mapping[str, str] | None = None
