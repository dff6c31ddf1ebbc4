"""The generated pages: the data dictionary of `schemas/`, the page of `dags/`, those of rules, sizes, faults and promises; the record of released contracts.

`python -m crawlmill.docs` writes the pages, `--check` fails where they differ from what they are made from, `--release` records
the present contracts as those that readers rely on.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crawlmill import fault_page, layout, rule_page
from crawlmill.contracts import contract
from crawlmill.contracts.contract import Contract
from crawlmill.errors import UserError
from crawlmill.explain import sizing

MADE = "<!-- Written by `python -m crawlmill.docs`; edit {source} instead. -->"
RELEASED = Path("tests/fixtures/released_contracts.json")


def pages() -> dict[Path, str]:
    """Path -> text of every generated page; an installed copy, which has no tests, has no pages on them."""
    found = {
        layout.schemas_dir() / "README.md": dictionary(),
        layout.home() / "dags" / "README.md": dag_page(layout.home() / "dags"),
        layout.recipes_dir() / "README.md": f"{MADE.format(source='jobs/recipes/*')}\n{rule_page.page()}",
        layout.home() / "infra" / "SIZING.md": f"{MADE.format(source='jobs/crawlmill/explain/measured.yaml')}\n{sizing.page()}",
    }
    if (layout.home() / fault_page.MATRIX).is_file():
        made = MADE.format(source=fault_page.MATRIX)
        found |= {layout.home() / "infra" / "FAULTS.md": fault_page.faults(made)}
        found |= {layout.home() / "infra" / "PROMISES.md": fault_page.promises(made)}
    return found


def dictionary() -> str:
    """The data dictionary: every table with its columns, invariants and expectations."""
    contracts = [contract.load(table) for table in contract.all_tables()]
    lines = [
        MADE.format(source="schemas/*.yaml"),
        "# Data dictionary",
        "",
        "Every table has a contract in the [Open Data Contract Standard](https://bitol.io) v3. Delta refuses rows that break a check;",
        "expectations are judged once a table and snapshot, after all shards are written.",
        "",
        "| table | a row is | written by | version |",
        "|---|---|---|---|",
        *(f"| [{found.table}](#{found.table}) | {found.row} | {found.written_by} | {found.version} |" for found in contracts),
    ]
    return "\n".join(lines + [line for found in contracts for line in _section(found)]) + "\n"


def _section(found: Contract) -> list[str]:
    partitions = ", ".join(f"`{name}`" for name in found.partition_columns)
    lines = [
        *("", f"## {found.table}", "", found.purpose, ""),
        f"A row is {found.row}. Written by {found.written_by}. "
        + (f"Partitioned by {partitions}." if partitions else "Not partitioned."),
        *("", "| column | type | required | description | example |", "|---|---|---|---|---|"),
    ]
    for column in found.fields:
        values = "".join(f"<br>`{value}`: {meaning}" for value, meaning in column.enum.items())
        example = f"`{_example(column.examples[0])}`" if column.examples else ""
        required = "yes" if column.required else ""
        lines.append(_row(f"`{column.name}`", f"`{column.type}`", required, column.description + values, example))
    if found.invariants:
        lines += ["", "| check | expression | meaning |", "|---|---|---|"]
        lines += [_row(f"`{name}`", f"`{check.expression}`", check.description) for name, check in found.invariants.items()]
    if judged := found.expectations + found.comparisons:
        lines += ["", "| expectation | severity | meaning | without an answer |", "|---|---|---|---|"]
        lines += [_row(f"`{e['name']}`", e["severity"], e["description"], e["answer_on_timeout"] or "") for e in judged]
    return lines


def _example(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def dag_page(folder: Path) -> str:
    """The docstrings of all DAG files, which are their pages in the UI, with their schedules. Imports none of them."""
    lines = [MADE.format(source="the docstrings of dags/*.py"), "# DAGs"]
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        title, _, body = (ast.get_docstring(tree) or "").partition("\n")
        if not title:
            raise UserError(f"{path} has no docstring: it is the DAG's page in the UI")
        lines += [
            "",
            f"## {title.lstrip('# ')}",
            "",
            f"`dags/{path.name}`, schedule `{_schedule(tree) or 'none'}`",
            "",
            _deeper(body.strip()),
        ]
    return "\n".join(lines) + "\n"


def _schedule(tree: ast.Module) -> str | None:
    """The source of the `schedule` argument of the file's `dag(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("dag", "DAG"):
            for argument in node.keywords:
                if argument.arg == "schedule" and not (isinstance(argument.value, ast.Constant) and argument.value.value is None):
                    return ast.unparse(argument.value)
    return None


def _deeper(markdown: str) -> str:
    """Headings one level down, since each docstring is a section here."""
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in markdown.splitlines())


def released() -> dict[str, Any]:
    """Table -> version and columns, as a release records them."""
    contracts = [contract.load(table) for table in contract.all_tables()]
    return {found.table: {"version": found.version, "columns": contract.facts(found)} for found in contracts}


def broken_promises(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What breaks readers since the last release without a new major version, a sentence each with the remedy."""
    found = []
    for table, old in before.items():
        if table not in now:
            found.append(f"table {table} was released and has no contract any more: restore schemas/{table}.yaml")
            continue
        changes = contract.breaking_changes(old["columns"], now[table]["columns"])
        major = int(old["version"].split(".")[0])
        if changes and int(now[table]["version"].split(".")[0]) <= major:
            found.append(f"table {table}: {'; '.join(changes)}: give schemas/{table}.yaml version {major + 1}.0.0, or undo it")
        elif old["columns"] != now[table]["columns"] and old["version"] == now[table]["version"]:
            found.append(f"table {table}: columns changed and version {old['version']} did not: raise it in schemas/{table}.yaml")
    return found


def release(path: Path) -> None:
    """Record the present contracts as released; raises UserError where that would break a promise."""
    now = released()
    if path.is_file() and (broken := broken_promises(json.loads(path.read_text(encoding="utf-8")), now)):
        raise UserError("; ".join(broken))
    rows = [
        f' {json.dumps(table)}: {{"version": {json.dumps(entry["version"])}, "columns": {{\n'
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in entry["columns"].items())
        + "}}"
        for table, entry in now.items()
    ]
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where --check found drift, 2 where something cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m crawlmill.docs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and the names of pages that differ")
    parser.add_argument("--release", action="store_true", help="record the present contracts as released")
    options = parser.parse_args(arguments)
    try:
        if options.release:
            release(layout.home() / RELEASED)
            return 0
        drifted = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
        if options.check:
            for path in drifted:
                print(
                    f"{path.relative_to(layout.home())} differs from its sources: run `make docs` and commit it", file=sys.stderr
                )
            return 1 if drifted else 0
        for path in drifted:
            path.write_text(pages()[path], encoding="utf-8")
        return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
