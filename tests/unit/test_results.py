"""The page of a run of all tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import results

XML = """<testsuites><testsuite name="pytest" tests="4">
<testcase classname="tests.unit.test_a" name="test_one" time="1.25"/>
<testcase classname="tests.unit.test_a" name="test_two[x]" time="0.5"><skipped message="the shared test data is not on this machine"/></testcase>
<testcase classname="tests.spark.test_b" name="test_three" time="2"><failure message="assert 1 == 2&#10;more">long</failure></testcase>
<testcase classname="tests.spark.test_b" name="test_four" time="0"><error message="fixture"/></testcase>
</testsuite></testsuites>"""


def test_every_state_is_counted_and_what_did_not_pass_is_named(tmp_path: Path) -> None:
    file = tmp_path / "r.xml"
    file.write_text(XML)
    text = results.page(file, "abc")
    assert "Commit abc: 1 passed, 1 skipped, 2 failed; 4 seconds" in text
    assert "| tests/unit/test_a.py | 1 | 1 | 0 | 1.8 |" in text and "| tests/spark/test_b.py | 0 | 0 | 2 | 2.0 |" in text
    assert "* failed: `tests/spark/test_b.py::test_three`: assert 1 == 2\n" in text and "not on this machine" in text


def test_a_run_without_tests_is_no_result(tmp_path: Path) -> None:
    file = tmp_path / "r.xml"
    file.write_text("<testsuites/>")
    with pytest.raises(ValueError, match="no test"):
        results.page(file, "abc")


def test_a_changed_tree_is_not_the_commit(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words], cwd=tmp_path, check=True, capture_output=True
        )

    git("init", "-q")
    (tmp_path / "infra").mkdir()
    for name in ("file", "infra/TEST-FULL.md"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-qm", "one")
    assert len(results.commit(tmp_path)) == 12
    (tmp_path / "infra/TEST-FULL.md").write_text("2")
    assert len(results.commit(tmp_path)) == 12, "its own page does not count"
    (tmp_path / "file").write_text("2")
    assert results.commit(tmp_path).endswith(" with changes")
