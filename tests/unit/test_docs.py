"""Generated pages equal what they are made from, and say what there is to say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crawlmill import docs
from crawlmill.contracts import contract
from crawlmill.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
DAG = '''"""
# Do a thing

Words about it.

## Details
"""
from airflow.sdk import dag

@dag(schedule=Weekly(day="mon"), tags=["x"])
def do_a_thing(): ...
'''


def test_pages_are_up_to_date() -> None:
    for path, text in docs.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.relative_to(ROOT)} differs from its sources: run `make docs`"


def test_the_dictionary_names_everything() -> None:
    text = docs.dictionary()
    for table in contract.all_tables():
        found = contract.load(table)
        section = text.split(f"\n## {table}\n")[1].split("\n## ")[0]
        for word in (*found.columns, *found.checks, *(rule["name"] for rule in found.expectations), found.purpose):
            assert word in section
    assert "| `languages_told` | warning |" in text
    assert "<br>`near`: A verified near duplicate of a survivor." in text


def test_dag_pages_come_from_docstrings_without_airflow(tmp_path: Path) -> None:
    (tmp_path / "do_a_thing.py").write_text(DAG)
    text = docs.dag_page(tmp_path)
    assert "## Do a thing" in text
    assert "`dags/do_a_thing.py`, schedule `Weekly(day='mon')`" in text
    assert "\n### Details" in text
    (tmp_path / "mute.py").write_text("x = 1\n")
    with pytest.raises(UserError, match=r"mute.py has no docstring"):
        docs.dag_page(tmp_path)


def test_check_names_what_drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("schemas", "dags", "jobs/recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("README.md", "__pycache__"))
    (tmp_path / "infra").mkdir()
    monkeypatch.setenv("CRAWLMILL_HOME", str(tmp_path))
    assert docs.main(["--check"]) == 1
    assert "schemas/README.md differs" in capsys.readouterr().err
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    path = tmp_path / "schemas" / "languages.yaml"
    path.write_text(path.read_text().replace("Second most probable language", "Runner-up"))
    contract.forget()
    assert docs.main(["--check"]) == 1
    assert capsys.readouterr().err == "schemas/README.md differs from its sources: run `make docs` and commit it\n"
    (tmp_path / "schemas" / "broken.yaml").write_text("nonsense: [")
    assert docs.main(["--check"]) == 2
    assert "broken.yaml is not YAML" in capsys.readouterr().err
    contract.forget()
