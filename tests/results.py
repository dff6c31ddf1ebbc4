"""What a run of all tests gave, as a page: `python tests/results.py RESULTS.xml` writes infra/TEST-FULL.md from pytest's JUnit file.

Named by the commit that was tested; a tree with changes says so. `make test-full` calls it, whether tests failed or not.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "infra" / "TEST-FULL.md"
STATES = ("passed", "skipped", "failed")


def page(results: Path, commit: str) -> str:
    """The page; raises ValueError where the file has no test."""
    cases = list(ET.parse(results).iter("testcase"))
    if not cases:
        raise ValueError(f"{results} has no test: run `make test-full` again")
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    told: list[str] = []
    for case in cases:
        file, state = case.get("classname", "").replace(".", "/"), _state(case)
        by_file[file][state] += 1
        seconds[file] += float(case.get("time") or 0)
        if state != "passed":
            told.append(f"* {state}: `{file}.py::{case.get('name')}`: {_why(case)}")
    total: Counter[str] = sum(by_file.values(), Counter())
    lines = [
        "<!-- Written by `make test-full`. -->",
        "# All tests", "",
        f"Commit {commit}: {total['passed']} passed, {total['skipped']} skipped, {total['failed']} failed; {sum(seconds.values()):,.0f} seconds of tests.",
        "", "| file | passed | skipped | failed | seconds |", "|---|--:|--:|--:|--:|",
    ]  # fmt: skip
    for file, counted in sorted(by_file.items()):
        lines.append(f"| {file}.py | " + " | ".join(str(counted[state]) for state in STATES) + f" | {seconds[file]:.1f} |")
    return "\n".join([*lines, *(["", "Not passed:", "", *sorted(told)] if told else [])]) + "\n"


def _state(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _why(case: ET.Element) -> str:
    found = next((part for kind in ("failure", "error", "skipped") if (part := case.find(kind)) is not None), None)
    said = "" if found is None else found.get("message") or found.text or ""
    return said.strip().partition("\n")[0][:200]


def commit(folder: Path = ROOT) -> str:
    """The commit of a checkout, and whether it was changed."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!infra/TEST-FULL.md")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")


if __name__ == "__main__":
    PAGE.write_text(page(Path(sys.argv[1]), commit()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} written")
