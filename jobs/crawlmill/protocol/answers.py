"""Quality warnings and a person's answers to them: a warning never blocks ingestion, only publishing waits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from crawlmill.contracts import contract
from crawlmill.errors import AnswerNeeded, UserError
from crawlmill.lake import ledger, pins

ALL = "all"  # how people name the snapshot of stages that work across snapshots


def require(lake: str) -> None:
    """Raise AnswerNeeded while a warning of a run in force has no answer."""
    if open_ := ledger.open_warnings(lake):
        first = open_[0]
        name = _shown(first["snapshot"])
        more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
        raise AnswerNeeded(
            f"{first['stage']} of {name}: {first['description']} (observed {first['observed']}){more}; nothing is published until "
            f"somebody answers: `crawlmill answer {name} --because REASON`"
        )


def give(lake: str, snapshot: str, because: str) -> int:
    """Answer every open warning of a snapshot; returns how many there were. Raises UserError where there are none."""
    rows = [row for row in ledger.open_warnings(lake) if row["snapshot"] == snapshot]
    if not rows:
        raise UserError(f"no warning of {_shown(snapshot)} waits for an answer")
    record(lake, rows, True, "the shell", because)
    return len(rows)


def waiting(lake: str) -> list[dict[str, Any]]:
    """The warnings of runs in force that nobody has answered with `publish`, oldest first."""
    return ledger.open_warnings(lake)


def record(lake: str, rows: Sequence[Mapping[str, Any]], publish: bool, who: str, because: str) -> None:
    """Keep an answer to warnings as further rows of `quality`: `publish by NAME: REASON`, or `hold …`, which leaves them open."""
    ledger.answer(lake, rows, f"{ledger.PUBLISH if publish else 'hold'} by {who}: {because}")


def key(row: Mapping[str, Any]) -> str:
    """What tells a warning from all others: run, table, expectation, column."""
    return json.dumps([row["run_id"], row["table"], row["expectation"], row["column"]])


def on_timeout(rows: Sequence[Mapping[str, Any]]) -> str:
    """What holds where nobody answers in time: `publish` if the contracts of all these warnings say so, else `hold`."""
    declared = {_declared(row) for row in rows}
    return "publish" if declared == {"publish"} else "hold"


def _declared(row: Mapping[str, Any]) -> str | None:
    judged = contract.load(row["table"])
    rules = {rule["name"]: rule["answer_on_timeout"] for rule in (*judged.expectations, *judged.comparisons)}
    return rules.get(row["expectation"])


def question(lake: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The warnings as Markdown: expectation, observed value and limit, the values of the last five other snapshots, samples."""
    history = ledger.quality(lake)
    return "\n\n".join(_paragraph(row, history) for row in rows)


def _paragraph(row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    same = ("stage", "table", "expectation", "column")
    latest = {
        old["snapshot"]: old["observed"]
        for old in history  # oldest first: the last judgement of a snapshot counts
        if old["snapshot"] != row["snapshot"] and not old["answer"] and all(old[name] == row[name] for name in same)
    }
    last = "; ".join(f"{snapshot} {_code(seen)}" for snapshot, seen in sorted(latest.items(), reverse=True)[:5])
    lines = [
        f"**{_shown(row['snapshot'])}, {row['stage']}, table {row['table']}: {row['description']}**",
        f"observed {_code(row['observed'])}" + (f", limit {_code(row['limit'])}" if row["limit"] not in (None, "null") else ""),
        f"other snapshots: {last or 'none has this value yet'}",
    ]
    if row["error"]:
        lines.append(f"error: {_code(row['error'])}")
    if row["samples"] not in (None, "null", "[]"):
        lines.append(f"samples: {_code(row['samples'])}")
    return "\n\n".join([lines[0], "\n".join(f"* {line}" for line in lines[1:])])


def _code(text: Any, length: int = 600) -> str:
    """Page content is data: shown as code, without the marks that would end it, cut to `length` code points."""
    plain = " ".join(str(text).replace("`", "'").split())
    return f"`{plain[:length]}{'…' if len(plain) > length else ''}`"


def _shown(snapshot: str) -> str:
    return ALL if snapshot == pins.EVERY else snapshot
