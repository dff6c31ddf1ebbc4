"""What a contract says: `schemas/<table>.yaml`, a document of the Open Data Contract Standard v3, checked and typed."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from crawlmill import layout
from crawlmill.contracts import spark_types
from crawlmill.errors import UserError

if TYPE_CHECKING:
    from open_data_contract_standard.model import CustomProperty, DataQuality, OpenDataContractStandard, SchemaProperty
    from pyspark.sql.types import StructType

SEVERITIES = ("critical", "warning", "info")
ANSWERS = ("publish", "hold")
ENGINES = ("deltaCheck", "greatExpectations", "crawlmill")
IN_SET = "expect_column_values_to_be_in_set"


@dataclass(frozen=True)
class Column:
    """A column: `type` is a Spark SQL type, `enum` its vocabulary (value -> meaning), empty where it is open."""

    name: str
    type: str
    required: bool
    description: str
    examples: tuple[Any, ...]
    enum: dict[str, str]


@dataclass(frozen=True)
class Check:
    """A row invariant, enforced by Delta on every write: a Spark SQL expression and what it says."""

    expression: str
    description: str


@dataclass(frozen=True)
class Contract:
    """A table's contract, checked and ready to use."""

    table: str
    version: str
    purpose: str
    row: str
    written_by: str
    fields: tuple[Column, ...]
    partition_columns: tuple[str, ...]
    invariants: dict[str, Check]
    expectations: tuple[dict[str, Any], ...]
    comparisons: tuple[dict[str, Any], ...]
    properties: dict[str, str]
    compact: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.fields)

    @property
    def checks(self) -> dict[str, str]:
        """Name -> Spark SQL expression of every CHECK constraint."""
        return {name: check.expression for name, check in self.invariants.items()}

    @property
    def major(self) -> int:
        """The part of the version that grows when readers break."""
        return int(self.version.split(".")[0])

    def schema_json(self, nullable: bool = False) -> dict[str, Any]:
        """The schema in Delta's JSON form, comments included; `nullable` makes every column optional."""
        return {
            "type": "struct",
            "fields": [
                {
                    "name": column.name,
                    "type": spark_types.parse(column.type),
                    "nullable": nullable or not column.required,
                    "metadata": {"comment": column.description},
                }
                for column in self.fields
            ],
        }

    def struct(self) -> StructType:
        """The columns for Spark, every one nullable.

        A transform that declares NOT NULL and yields a null anyway makes Spark write a zero or crash; declared nullable,
        the row reaches the table, and the table's own NOT NULL refuses it by name.
        """
        from pyspark.sql.types import StructType

        return StructType.fromJson(self.schema_json(nullable=True))


def parse(text: str, table: str, source: str) -> Contract:
    """A contract from YAML; `source` names the file in messages. Raises UserError naming it and the field."""
    document = _document(text, source)
    if not document.schema_ or not document.name == document.schema_[0].name == table:
        raise UserError(f"{source}: name and schema[0].name must be {table!r}, as the file is called")
    schema = document.schema_[0]
    if not re.fullmatch(r"\d+\.\d+\.\d+", document.version or ""):
        raise UserError(f"{source}: version {document.version!r} is not of the form 1.0.0")
    fields = tuple(_column(found, f"{source}: schema.properties[{found.name}]") for found in schema.properties or [])
    custom = _custom(schema.customProperties)
    expectations = tuple(
        _expectation(rule, fields, f"{source}: quality[{rule.name}]")
        for rule in schema.quality or []
        if rule.engine == "greatExpectations"
    )
    judged = {rule["kwargs"]["column"] for rule in expectations if rule["fills_value_set"]}
    return Contract(
        table=table,
        version=document.version or "",
        purpose=_text(document.description and document.description.purpose, f"{source}: description.purpose"),
        row=_text(schema.dataGranularityDescription, f"{source}: schema.dataGranularityDescription"),
        written_by=_text(custom.get("writtenBy"), f"{source}: schema.customProperties[writtenBy]"),
        fields=fields,
        partition_columns=_partitions(schema.properties or []),
        invariants=_vocabularies(fields, judged) | _checks(schema.quality or [], source),
        expectations=expectations,
        comparisons=tuple(
            _comparison(rule, f"{source}: quality[{rule.name}]") for rule in schema.quality or [] if rule.engine == "crawlmill"
        ),
        properties={str(name): str(value) for name, value in (custom.get("tableProperties") or {}).items()},
        compact=custom.get("compact") is True,
    )


def _document(text: str, source: str) -> OpenDataContractStandard:
    """Parse by the standard's own package, after its JSON schema: the package's model drops misspelt fields in silence.

    A text that was found valid is an empty file in the cache, and is not held against the schema again.
    """
    import yaml
    from open_data_contract_standard.model import OpenDataContractStandard

    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times as fast, and not in every build
    try:
        raw = safe(text).get_single_data()
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(raw, dict) and raw.get("kind") != "DataContract":
        raise UserError(f"{source}: kind must be DataContract")
    known = layout.cache_dir() / "contracts" / hashlib.sha256(_standard() + text.encode()).hexdigest()
    if not known.exists():
        import jsonschema  # type: ignore[import-untyped]

        validator = jsonschema.Draft201909Validator(json.loads(_standard()))
        if wrong := jsonschema.exceptions.best_match(validator.iter_errors(raw)):
            raise UserError(f"{source}: {wrong.json_path.removeprefix('$.')}: {wrong.message[:200]}")
        with suppress(OSError):  # next time it is known: validating all of them takes half a second of every process
            known.parent.mkdir(exist_ok=True)
            known.touch()
    return OpenDataContractStandard(**raw)


@cache
def _standard() -> bytes:
    return (files("open_data_contract_standard") / "schema.json").read_bytes()


def _column(found: SchemaProperty, where: str) -> Column:
    kind = found.physicalType or ""
    try:
        spark_types.parse(kind)
    except ValueError as error:
        raise UserError(f"{where}.physicalType: {error}") from None
    if found.logicalType != spark_types.logical(kind):
        raise UserError(f"{where}.logicalType: {spark_types.logical(kind)!r} goes with {kind}, not {found.logicalType!r}")
    return Column(
        name=found.name or "",
        type=kind,
        required=bool(found.required),
        description=_text(found.description, f"{where}.description"),
        examples=tuple(found.examples or ()),
        enum={str(entry.value): _text(entry.description, f"{where}.enum") for entry in found.enum or []},
    )


def _partitions(properties: list[SchemaProperty]) -> tuple[str, ...]:
    keys = [(found.partitionKeyPosition or 0, found.name or "") for found in properties if found.partitioned]
    return tuple(name for _, name in sorted(keys))


def _vocabularies(fields: tuple[Column, ...], judged: set[str]) -> dict[str, Check]:
    """A CHECK for each column with an enum, save those whose labels an expectation judges (they may grow without a migration)."""
    return {
        f"{column.name}_vocabulary": Check(
            f"{column.name} IN ({', '.join(_literal(value) for value in column.enum)})",
            f"{column.name} is one of its values above.",
        )
        for column in fields
        if column.enum and column.name not in judged
    }


def _checks(rules: list[DataQuality], source: str) -> dict[str, Check]:
    checks = {}
    for rule in rules:
        where = f"{source}: quality[{rule.name}]"
        if rule.engine not in ENGINES:
            raise UserError(f"{where}.engine: {rule.engine!r} is none of {', '.join(ENGINES)}")
        if rule.engine == "deltaCheck":
            if not re.fullmatch(r"[a-z][a-z0-9_]*", rule.name or "") or not isinstance(rule.implementation, str):
                raise UserError(f"{where}: a check has a name in lower case and a Spark SQL expression as its implementation")
            checks[rule.name or ""] = Check(rule.implementation, _text(rule.description, f"{where}.description"))
    return checks


def _expectation(rule: DataQuality, fields: tuple[Column, ...], where: str) -> dict[str, Any]:
    """An expectation as a plain dict: name, type, kwargs, severity, description, answer_on_timeout, when_absent.

    A set of values that the rule leaves out is the column's vocabulary.
    """
    if not isinstance(rule.implementation, dict) or not str(rule.implementation.get("type", "")).startswith(
        ("expect_", "unexpected_")
    ):
        raise UserError(f"{where}.implementation: a type of Great Expectations and its kwargs are needed")
    judged = _judged(rule, where)
    kwargs = dict(rule.implementation.get("kwargs") or {})
    column = next((found for found in fields if found.name == kwargs.get("column")), None)
    if "column" in kwargs and column is None:
        raise UserError(f"{where}.implementation: the table has no column {kwargs['column']!r}")
    fills = rule.implementation["type"] == IN_SET and column is not None and "value_set" not in kwargs
    if fills and column is not None:
        kwargs["value_set"] = list(column.enum)
    absent = _custom(rule.customProperties).get("whenAbsent")
    return judged | {"kwargs": kwargs, "when_absent": absent, "fills_value_set": fills}


def _comparison(rule: DataQuality, where: str) -> dict[str, Any]:
    """A comparison of `crawlmill.protocol.drift` as a plain dict: name, type, kwargs, severity, description, answer_on_timeout."""
    if not isinstance(rule.implementation, dict) or not isinstance(rule.implementation.get("type"), str):
        raise UserError(f"{where}.implementation: a type of crawlmill/protocol/drift.py and its kwargs are needed")
    return _judged(rule, where) | {"kwargs": dict(rule.implementation.get("kwargs") or {})}


def _judged(rule: DataQuality, where: str) -> dict[str, Any]:
    """What expectations and comparisons share."""
    if rule.severity not in SEVERITIES:
        raise UserError(f"{where}.severity: {rule.severity!r} is none of {', '.join(SEVERITIES)}")
    answer = _custom(rule.customProperties).get("answerOnTimeout")
    if rule.severity == "warning" and answer not in ANSWERS:
        raise UserError(f"{where}.customProperties: a warning declares answerOnTimeout, publish or hold")
    return {
        "name": _text(rule.name, f"{where}.name"),
        "type": rule.implementation["type"] if isinstance(rule.implementation, dict) else "",
        "severity": rule.severity,
        "description": _text(rule.description, f"{where}.description"),
        "answer_on_timeout": answer,
    }


def _custom(properties: list[CustomProperty] | None) -> dict[str, Any]:
    return {entry.property or "": entry.value for entry in properties or []}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where}: a text is needed here")
    return value


def _literal(value: str) -> str:
    """A Spark SQL string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
