"""What a JSON schema of answers says of a frame's columns: their names and dtypes.

>>> columns_of({"properties": {"n": {"type": "integer"}, "at": {"type": "string", "format": "date"}}}, {})
{'n': 'Int64', 'at': ''}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DTYPES = {"integer": "Int64", "number": "Float64", "boolean": "boolean", "string": "string"}


def resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """`part`, or the definition that it refers to."""
    seen = set[str]()
    while isinstance(part, Mapping) and isinstance(reference := part.get("$ref"), str):
        if reference in seen:
            return {}
        seen.add(reference)
        part = schema.get("$defs", {}).get(reference.rpartition("/")[2], {})
    return part if isinstance(part, Mapping) else {}


def columns_of(rows: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    """The dtypes, "" where pandas' own will do, by the names of the columns of `rows`, a part of `schema`."""
    if properties := rows.get("properties"):
        return {name: _dtype(each, schema) for name, each in properties.items()}
    # Fields that only the answers know are columns of their own.
    return {} if _may_have_fields(rows, schema) else {"value": _dtype(rows, schema)}


def _may_have_fields(part: Any, schema: Mapping[str, Any]) -> bool:
    part = resolved(part, schema)
    if variants := part.get("anyOf", part.get("oneOf")):
        return any(_may_have_fields(each, schema) for each in variants)
    return part.get("type", "object") == "object" and not {"enum", "const"} & set(part)


def _dtype(part: Any, schema: Mapping[str, Any]) -> str:
    """The dtype of a column of such values, "" where pandas' own will do."""
    part = resolved(part, schema)
    variants = [resolved(each, schema) for each in part.get("anyOf", [])]
    if others := [each for each in variants if each.get("type") != "null"]:
        kinds = {_dtype(each, schema) for each in others}
        return kinds.pop() if len(kinds) == 1 else "Float64" if kinds == {"Int64", "Float64"} else ""
    values = part.get("enum", [part["const"]] if "const" in part else None)
    if values is not None:
        if all(isinstance(each, str) for each in values):
            return "category"
        return "boolean" if all(isinstance(each, bool) for each in values) else ""
    is_plain = part.get("type") != "string" or "format" not in part
    return _DTYPES.get(str(part.get("type")), "") if is_plain else ""
