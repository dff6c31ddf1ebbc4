"""What a lake holds, read without Spark."""

from __future__ import annotations

from crawlmill.contracts import contract
from crawlmill.errors import CrawlmillError
from crawlmill.lake import intact, ledger, table


def print_tables(lake: str) -> None:
    """A line per table: version, files, bytes, rows, snapshots; then what has passed, then what is damaged.

    Raises:
        UserError: there is no lake, or the ledger has lost its end.
        CrawlmillError: tables do not hold what the ledger says.
    """
    from deltalake import DeltaTable
    from rich.console import Console
    from rich.table import Table

    table.require(lake, "runs")
    console = Console()
    view = Table("table", box=None, pad_edge=False, title=f"lake {lake}", title_justify="left")
    for column in ("version", "rows", "files", "MB", "snapshots"):
        view.add_column(column, justify="right")
    for name in contract.all_tables():
        if not DeltaTable.is_deltatable(table.path(lake, name)):
            continue
        found = DeltaTable(table.path(lake, name))
        adds = found.get_add_actions(flatten=True)
        columns = set(adds.schema.names)
        rows = sum(n or 0 for n in adds["num_records"].to_pylist()) if "num_records" in columns else 0
        size = sum(adds["size_bytes"].to_pylist())
        snapshots = (
            len({part["snapshot"] for part in found.partitions()}) if "snapshot" in found.metadata().partition_columns else ""
        )
        view.add_row(name, str(found.version()), str(rows), str(len(adds["path"])), f"{size / 1e6:.2f}", str(snapshots))
    console.print(view)
    passed = Table("stage", "snapshot", "verdict", "seconds", "key", box=None, pad_edge=False)
    latest = {(run.stage, run.snapshot): run for run in ledger.runs(lake) if run.verdict != "committed"}
    for run in sorted(latest.values(), key=lambda run: (run.snapshot == "*", run.snapshot, run.fence)):
        passed.add_row(run.stage, run.snapshot.replace("*", "all"), run.verdict, f"{run.seconds:.1f}", run.stage_key[:12])
    console.print(passed)
    if damaged := intact.of_lake(lake):
        for damage in damaged:
            console.print(f"damaged: {damage}", markup=False, highlight=False, soft_wrap=True)
        raise CrawlmillError(f"{len(damaged)} tables of snapshots are damaged: mend what is named above")
