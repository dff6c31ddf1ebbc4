"""`crawlmill recover`: a ledger that has lost commits of its log, put together again from its data files. Without Spark.

`runs` and `quality` only grow, and a commit that is lost leaves its data file behind: a file that no commit names. What a commit took out of
the table (maintenance, a takedown) is named by it and stays out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

from crawlmill import layout
from crawlmill.cli import LAKE
from crawlmill.contracts import contract
from crawlmill.errors import UserError
from crawlmill.lake import fence, ledger, ledger_length, table
from crawlmill.storage import lake_files

LEDGERS = ("runs", "quality")
Row = dict[str, Any]


def put_back(lake: str, name: str, accept: bool) -> tuple[int, int]:
    """Put a ledger's lost rows back; returns how many came back and how many are lost for good.

    Args:
        lake: a folder. Raises UserError for a bucket, which keeps old versions of its objects itself.
        name: of the table.
        accept: take the table for whole although rows are lost.
    """
    if lake_files.is_bucket(lake):
        if accept:
            return 0, _accept(lake, name)
        raise UserError(
            f"{lake} is in a bucket: put the last versions of {name}/_delta_log back there (object versioning), or --accept what is left"
        )
    with fence.commits(lake, name):
        live, lost = _files(Path(lake) / name)
        try:
            held = ledger.raw(lake, name)
        except Exception as error:  # a log with a hole: whatever deltalake makes of it
            if isinstance(error, UserError):
                raise
            _set_aside(lake, name)
            held, lost = [], live + lost
        back = _beyond(held, [row for file in lost for row in _read(file, lake, name)])
    ledger.append_rows(lake, name, back)
    return len(back), _accept(lake, name) if accept else _gap(lake, name)


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The data files that the commits that can be read leave in the table, and those that no commit names."""
    live: dict[str, None] = {}
    named: set[str] = set()
    for commit in sorted((folder / "_delta_log").glob("*.json")):
        for action in _actions(commit):
            for kind in ("add", "remove"):
                if path := unquote(action.get(kind, {}).get("path", "")):
                    named.add(path)
                    live.pop(path, None)
                    if kind == "add":
                        live[path] = None
    lost = sorted(path.name for path in folder.glob("*.parquet") if path.name not in named)
    return [folder / path for path in live], [folder / path for path in lost]


def _actions(commit: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in commit.read_text(encoding="utf-8").splitlines()]
    except ValueError:  # cut or garbage: nothing of it counts
        return []


def _read(file: Path, lake: str, name: str) -> list[Row]:
    """The rows of a data file, with the columns of the contract; none where the file is gone or damaged too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(file).to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    return [{column: row.get(column) for column in contract.load(name).columns} for row in rows]


def _beyond(held: list[Row], found: list[Row]) -> list[Row]:
    """The rows that are not held, each once: a file that maintenance wrote holds what others hold."""
    known = {repr(row) for row in held}
    fresh = {repr(row): row for row in found}
    return [row for key, row in fresh.items() if key not in known]


def _set_aside(lake: str, name: str) -> None:
    """Begin the table anew; the damaged log stays beside the new one under another name."""
    log = Path(lake) / name / "_delta_log"
    number = next(number for number in range(1, 1000) if not log.with_name(f"_delta_log.damaged-{number}").exists())
    log.rename(log.with_name(f"_delta_log.damaged-{number}"))
    contract.create(lake, name)
    ledger_length.forget(lake, name, 0, ledger_length.known(lake, name)[1])


def _gap(lake: str, name: str) -> int:
    """How many rows are still missing; where none is, the table's length is what it is now."""
    rows = len(ledger.raw(lake, name))
    missing = max(0, ledger_length.known(lake, name)[1] - rows)
    if not missing:
        ledger_length.forget(lake, name, table.version(lake, name), rows)
    return missing


def _accept(lake: str, name: str) -> int:
    rows = len(ledger.raw(lake, name))
    missing = max(0, ledger_length.known(lake, name)[1] - rows)
    ledger_length.forget(lake, name, table.version(lake, name), rows)
    return missing


@click.command("recover")
@LAKE
@click.option(
    "--accept",
    is_flag=True,
    help="Go on with what is left although rows are lost: stages that the ledger has forgotten run again.",
)
def recover(lake: str | None, accept: bool) -> None:
    """Put the ledger together again after commits of its log were lost.

    Rows of `runs` and `quality` whose commits are gone come back from their data files. Tables of stages need no such verb: what is damaged there
    is written again when the snapshot is run again.

    \b
    Example: crawlmill recover --lake /tmp/lake
    """
    root = layout.lake_root(lake)
    gone = 0
    for name in LEDGERS:
        table.require(root, name)
        back, missing = put_back(root, name, accept)
        gone += missing
        click.echo(f"{name:<8} {back} rows put back, {missing} lost")
    if gone and not accept:
        raise UserError(
            f"{gone} rows of the ledger are nowhere: put a copy of the lake's runs and quality back, or --accept what is left"
        )
