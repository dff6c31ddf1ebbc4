"""The contracts, `schemas/<table>.yaml`, and the tables that are made from them.

Columns, types and comments of a Delta table, its CHECK constraints, its expectations and the data dictionary come from its
contract and from nowhere else. Nothing here imports Spark or Great Expectations, so that Airflow and the shell can use
contracts too.

Tables are created and brought up to date by writing Delta's own commits. The `deltalake` package reads the result but cannot
make it: its `create` refuses CHECK constraints, and its `add_constraint` does not understand Spark's functions. A commit of
protocol and metadata is two lines of JSON (Delta protocol, "Change Metadata" and "Protocol Evolution"), and it appears whole or
not at all, for one of several processes that race (`lake_files.create`).
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawlmill import layout
from crawlmill.contracts import spark_types
from crawlmill.contracts.contract_file import Column, Contract, parse
from crawlmill.errors import UserError
from crawlmill.storage import lake_files

if TYPE_CHECKING:
    from deltalake import DeltaTable

__all__ = ["Column", "Contract", "all_tables", "breaking_changes", "create", "facts", "forget", "load", "migrate"]

VERSION = "crawlmill.contract"  # the table property that names the contract's version
ATTEMPTS = 10

Facts = Mapping[str, Mapping[str, Any]]  # column name -> its type and whether it is required


def all_tables() -> tuple[str, ...]:
    """Names of all tables that have a contract, sorted."""
    return tuple(sorted(path.stem for path in layout.schemas_dir().glob("*.yaml")))


def load(table: str) -> Contract:
    """The contract of a table; raises UserError where there is none or it is malformed, naming file and field."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", table):  # names reach paths, and nothing else may
        raise UserError(f"there is no table {table[:100]!r}: the tables are {', '.join(all_tables())}")
    return _load(layout.schemas_dir() / f"{table}.yaml")


@cache
def _load(path: Path) -> Contract:
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"table {path.stem!r} has no contract {path}; tables with one: {known}")
    return parse(path.read_text(encoding="utf-8"), path.stem, str(path))


def forget() -> None:
    """Read contracts anew from now on: for tests and tools that change them."""
    _load.cache_clear()


def create(lake: str, table: str) -> bool:
    """Create a table as its contract says; False where it exists already. Any number of processes may try at once."""
    contract, folder = load(table), f"{lake}/{table}"
    if lake_files.holds(folder, "_delta_log", ".json"):
        return False
    metadata = _metadata(contract, str(uuid.uuid4()), _configuration(contract))
    return _commit(folder, 0, [_info("CREATE TABLE", contract), {"protocol": _protocol(contract)}, metadata])


def migrate(lake: str, table: str) -> bool:
    """Bring an existing table up to its contract; True where something changed. Call it under the table's lock.

    New nullable columns, comments, constraints and properties are metadata alone; constraints bind writes from then on. A change
    that breaks readers needs a greater major version: the table is then emptied and given its new schema (its old versions can
    still be read by their numbers), and its stages fill it again.

    Raises:
        UserError: the table is somebody else's, it comes from a later contract, or the contract breaks readers without a new major version.
    """
    contract, folder = load(table), f"{lake}/{table}"
    for _ in range(ATTEMPTS):
        state = _open(folder)
        refuse(lake, table, _held(state))
        broken = _held(state).broken(contract)
        if broken and state.file_uris():
            _empty(state, table)
        elif not (actions := _upgrade(state, contract)):
            return False
        elif _commit(folder, state.version() + 1, actions):
            return True
    raise UserError(f"table {table} changes faster than it can be migrated: stop its writers and try again")


@dataclass(frozen=True)
class Held:
    """What a table that is there follows: the contract's version (empty: none of ours), columns, CHECKs, partition columns."""

    version: str
    facts: Facts
    checks: dict[str, str]
    partitions: tuple[str, ...]

    def broken(self, contract: Contract) -> list[str]:
        """What a contract changes in a way that breaks readers."""
        moved = self.partitions != contract.partition_columns
        repartitioned = (
            [f"partition columns were {list(self.partitions)} and are {list(contract.partition_columns)}"] if moved else []
        )
        return breaking_changes(self.facts, facts(contract)) + repartitioned


def held(lake: str, table: str) -> Held | None:
    """What a table of a lake follows; None where there is no such table."""
    folder = f"{lake}/{table}"
    return _held(_open(folder)) if lake_files.holds(folder, "_delta_log", ".json") else None


def refuse(lake: str, table: str, state: Held) -> None:
    """Raise UserError where a table may not be brought up to its contract; `migrate` says in which cases."""
    contract = load(table)
    if not state.version:
        raise UserError(f"{lake}/{table} is a Delta table that crawlmill did not make: give another folder with --lake")
    if _numbers(state.version) > _numbers(contract.version):
        raise UserError(
            f"table {table} follows contract {state.version}, this code has {contract.version}: use the code that made the lake"
        )
    broken = state.broken(contract)
    if broken and contract.major <= _numbers(state.version)[0]:
        raise UserError(f"table {table}: {'; '.join(broken)}; give schemas/{table}.yaml version {contract.major + 1}.0.0")


def follows(lake: str, table: str) -> bool:
    """Whether a table is as its contract says."""
    return not _upgrade(_open(f"{lake}/{table}"), load(table))


def _held(state: DeltaTable) -> Held:
    found = state.metadata()
    prefix = "delta.constraints."
    checks = {name.removeprefix(prefix): value for name, value in found.configuration.items() if name.startswith(prefix)}
    return Held(found.configuration.get(VERSION, ""), _table_facts(state), checks, tuple(found.partition_columns))


def facts(contract: Contract) -> dict[str, dict[str, Any]]:
    """What readers and writers of a table rely on: name -> type and required."""
    return {
        column.name: {"type": spark_types.name(spark_types.parse(column.type)), "required": column.required}
        for column in contract.fields
    }


def breaking_changes(before: Facts, after: Facts) -> list[str]:
    """What changed between two sets of columns in a way that breaks readers, or rows already written."""
    found = [f"column {name} is gone" for name in before if name not in after]
    for name, now in after.items():
        if name not in before:
            if now["required"]:
                found.append(f"new column {name} is required, which no row already written can satisfy")
        elif before[name]["type"] != now["type"]:
            found.append(f"column {name} was {before[name]['type']} and is {now['type']}")
        elif now["required"] and not before[name]["required"]:
            found.append(f"column {name} became required")
    return found


def _open(folder: str) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    try:
        return DeltaTable(folder)
    except TableNotFoundError:
        lake, _, name = folder.rpartition("/")
        raise UserError(f"there is no table {name} in {lake}: create it first") from None


def _table_facts(state: DeltaTable) -> dict[str, dict[str, Any]]:
    fields = json.loads(state.schema().to_json())["fields"]
    return {field["name"]: {"type": spark_types.name(field["type"]), "required": not field["nullable"]} for field in fields}


def _empty(state: DeltaTable, table: str) -> None:
    """Delete every row: files of the old schema cannot be read under the new one."""
    if state.metadata().configuration.get("delta.appendOnly") == "true":
        raise UserError(f"table {table} is a ledger that only grows: change its contract without breaking readers")
    state.delete()


def _upgrade(state: DeltaTable, contract: Contract) -> list[dict[str, Any]]:
    """The commit that makes a table's metadata equal to its contract; no actions where it is. Settings made by hand stay."""
    found, schema = state.metadata(), contract.schema_json()
    by_hand = {name: value for name, value in found.configuration.items() if not name.startswith("delta.constraints.")}
    wanted = {**by_hand, **_configuration(contract)}
    if json.loads(state.schema().to_json()) == schema and wanted == found.configuration and found.description == contract.purpose:
        return []
    actions = [_info("CHANGE CONTRACT", contract), _metadata(contract, str(found.id), wanted)]
    protocol = _protocol(contract)
    if state.protocol().min_writer_version < protocol["minWriterVersion"]:
        actions.insert(1, {"protocol": protocol})
    return actions


def _metadata(contract: Contract, identity: str, configuration: Mapping[str, str]) -> dict[str, Any]:
    return {
        "metaData": {
            "id": identity,
            "name": contract.table,
            "description": contract.purpose,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps(contract.schema_json(), ensure_ascii=False),
            "partitionColumns": list(contract.partition_columns),
            "configuration": dict(configuration),
        }
    }


def _info(operation: str, contract: Contract) -> dict[str, Any]:
    parameters = {"contract": contract.version}
    return {"commitInfo": {"timestamp": time.time_ns() // 1_000_000, "operation": operation, "operationParameters": parameters}}


def _configuration(contract: Contract) -> dict[str, str]:
    constraints = {f"delta.constraints.{name}": expression for name, expression in contract.checks.items()}
    return {**contract.properties, **constraints, VERSION: contract.version}


def _protocol(contract: Contract) -> dict[str, int]:
    """The least writer version that knows the features in use: 2 append-only and NOT NULL, 3 CHECK, 4 change data feed."""
    change_feed = contract.properties.get("delta.enableChangeDataFeed") == "true"
    return {"minReaderVersion": 1, "minWriterVersion": 4 if change_feed else 3 if contract.checks else 2}


def _commit(folder: Path | str, version: int, actions: list[dict[str, Any]]) -> bool:
    """Write a commit, whole or not at all; False where another process wrote that version first."""
    content = "".join(json.dumps(action, ensure_ascii=False) + "\n" for action in actions)
    try:
        return lake_files.create(str(folder), f"_delta_log/{version:020d}.json", content.encode())
    except OSError as error:
        raise UserError(f"table {folder} cannot be written ({error.strerror}): give a writable folder with hard links") from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
