"""Spark SQL type names, as contracts write them, into Delta's JSON form of a type.

`pyspark.sql.types.StructType.fromJson` and `deltalake.Schema.from_json` both read that form; Spark's own parser of type names
needs a running JVM, which a task of Airflow or a shell command does not have.
"""

from __future__ import annotations

import re
from typing import Any

# Spark SQL name -> (name in Delta's JSON, logical type of the Open Data Contract Standard)
SIMPLE = {
    "string": ("string", "string"),
    "int": ("integer", "integer"),
    "bigint": ("long", "integer"),
    "double": ("double", "number"),
    "boolean": ("boolean", "boolean"),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp"),
    "binary": ("binary", "string"),  # the standard has no type for bytes
}
LOGICAL = {"array": "array", "map": "map", "struct": "object"}
TOKEN = re.compile(r"\s*([a-z_0-9]+|[<>,:])")


def parse(name: str) -> Any:
    """`array<int>` as `{"type": "array", "elementType": "integer", "containsNull": True}`; raises ValueError on others."""
    tokens = TOKEN.findall(name)
    if "".join(tokens) != re.sub(r"\s", "", name):
        raise ValueError(f"{name!r} is no Spark SQL type")
    tokens.append("")
    parsed, rest = _type(tokens, 0)
    if tokens[rest]:
        raise ValueError(f"{name!r} goes on after its end, at {tokens[rest]!r}")
    return parsed


def name(parsed: Any) -> str:
    """The reverse of parse: the Spark SQL name of a type in Delta's JSON form."""
    if isinstance(parsed, str):
        return next((sql for sql, (delta, _) in SIMPLE.items() if delta == parsed), parsed)
    if parsed["type"] == "array":
        return f"array<{name(parsed['elementType'])}>"
    if parsed["type"] == "map":
        return f"map<{name(parsed['keyType'])},{name(parsed['valueType'])}>"
    fields = [f"{field['name']}:{name(field['type'])}" for field in parsed["fields"]]
    return f"struct<{','.join(fields)}>"


def logical(name: str) -> str:
    """The standard's logical type that goes with a Spark SQL type."""
    outer = name.split("<", maxsplit=1)[0].strip()
    return SIMPLE[outer][1] if outer in SIMPLE else LOGICAL[outer]


def _type(tokens: list[str], at: int) -> tuple[Any, int]:
    outer = tokens[at]
    if outer in SIMPLE:
        return SIMPLE[outer][0], at + 1
    if outer not in LOGICAL:
        raise ValueError(f"unknown type {outer!r}; known are {', '.join([*SIMPLE, *LOGICAL])}")
    if outer == "struct":
        return _struct(tokens, at + 1)
    first, at = _type(tokens, _expect(tokens, at + 1, "<"))
    if outer == "array":
        return {"type": "array", "elementType": first, "containsNull": True}, _expect(tokens, at, ">")
    second, at = _type(tokens, _expect(tokens, at, ","))
    return {"type": "map", "keyType": first, "valueType": second, "valueContainsNull": True}, _expect(tokens, at, ">")


def _struct(tokens: list[str], at: int) -> tuple[Any, int]:
    fields: list[dict[str, Any]] = []
    separator = "<"
    while not fields or tokens[at] == ",":
        at = _expect(tokens, at, separator)
        field = tokens[at]
        kind, at = _type(tokens, _expect(tokens, at + 1, ":"))
        fields.append({"name": field, "type": kind, "nullable": True, "metadata": {}})
        separator = ","
    return {"type": "struct", "fields": fields}, _expect(tokens, at, ">")


def _expect(tokens: list[str], at: int, token: str) -> int:
    if tokens[at] != token:
        raise ValueError(f"{token!r} expected, found {tokens[at] or 'the end'!r}")
    return at + 1
