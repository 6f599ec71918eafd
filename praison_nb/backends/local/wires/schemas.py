"""Tools' schemas in the part of JSON schema that every server knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_ANYTHING = [{"type": kind} for kind in ("string", "number", "boolean")]


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` with `$defs` put in where they are used, and only with `type`, `properties`, `required`,
    `items`, `enum` of texts, `anyOf` and `description`. The descriptions tell the model what else it says.

    >>> plain_schema({"type": "object", "properties": {"a": {"type": "integer", "default": 1, "minimum": 0}}})
    {'type': 'object', 'properties': {'a': {'type': 'integer', 'description': '(default: 1, minimum: 0)'}}}
    """
    defs = schema.get("$defs", {})
    return {"type": "object", "properties": {}, **_plain({**schema, "type": "object"}, defs)}


def _plain(schema: Any, defs: Mapping[str, Any], inside: tuple[str, ...] = ()) -> dict[str, Any]:
    """`inside` are the references that led here."""
    if not isinstance(schema, Mapping):
        # `true`: whatever there is.
        return {"anyOf": _ANYTHING}
    while isinstance(reference := schema.get("$ref"), str):
        there = defs.get(reference.rpartition("/")[2], {})
        if reference in inside:
            # A type that holds itself.
            return {"type": str(there.get("type", "object")), "description": str(there.get("title", ""))}
        inside = (*inside, reference)
        schema = {**there, **{word: value for word, value in schema.items() if word != "$ref"}}
    made: dict[str, Any] = {}
    notes: list[str] = []
    for word, value in schema.items():
        match word:
            case "type" if isinstance(value, str):
                made["type"] = value
            case "properties" if isinstance(value, Mapping):
                made["properties"] = {name: _plain(each, defs, inside) for name, each in value.items()}
            case "required" if value:
                made["required"] = list(value)
            case "items":
                made["items"] = _plain(value, defs, inside)
            case "anyOf" | "oneOf" | "allOf":
                made |= _choice([_plain(each, defs, inside) for each in value if not _is_null(each)])
            case "enum" | "const":
                made |= _enum(value if word == "enum" else [value], notes)
            case "additionalProperties" if isinstance(value, Mapping):
                notes.append(f"each value: {_short(_plain(value, defs, inside))}")
            case "$defs" | "additionalProperties" | "title" | "description" | "discriminator":
                pass
            case "default" if value is None:
                pass
            case _:
                notes.append(f"{word}: {_short(value)}")
    if made.get("type") == "array":
        made.setdefault("items", {"anyOf": _ANYTHING})
    if "type" not in made and "anyOf" not in made:
        made["anyOf"] = _ANYTHING
    told = " ".join(filter(None, [str(schema.get("description") or ""), _note(notes)]))
    return _described(made, told)


_STRICT = ("type", "description", "enum", "const", "$ref")


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """`schema` in the part of JSON schema that servers hold a model to: all properties are required, and
    there are no others. What else it says, the descriptions tell the model. None where it has what cannot be
    said so: a dict of any names, a tuple, a value of any kind.

    >>> strict_schema({"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}})
    {'type': 'object', 'properties': {'a': {...}}, 'required': ['a'], 'additionalProperties': False}
    """
    try:
        made = _strict(schema)
        if defs := schema.get("$defs"):
            made["$defs"] = {name: _strict(each) for name, each in defs.items()}
    except _NotStrict:
        return None
    return made


class _NotStrict(Exception):
    pass


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _NotStrict
    made: dict[str, Any] = {name: schema[name] for name in _STRICT if name in schema}
    notes: list[str] = []
    for word, value in schema.items():
        match word:
            case "properties":
                made["properties"] = {name: _strict(each) for name, each in value.items()}
                made |= {"required": list(value), "additionalProperties": False}
            case "items":
                made["items"] = _strict(value)
            case "anyOf" | "oneOf":
                made["anyOf"] = [_strict(each) for each in value]
            case "allOf" if len(value) == 1:
                made |= _strict(value[0])
            case "additionalProperties" if value is False:
                pass
            case "additionalProperties" | "patternProperties" | "prefixItems" | "allOf":
                raise _NotStrict
            case "$defs" | "title" | "discriminator" | "required":
                pass
            case "default" if value is None:
                pass
            case _ if word in _STRICT:
                pass
            case _:
                notes.append(f"{word}: {_short(value)}")
    if "type" not in made and (values := made.pop("enum", None)):
        # Each kind of values has its type: some servers want one everywhere.
        kinds: dict[str, list[Any]] = {}
        for each in values:
            kinds.setdefault(_KINDS.get(type(each), ""), []).append(each)
        if "" in kinds:
            raise _NotStrict
        made["anyOf"] = [
            {"type": kind} if kind == "null" else {"type": kind, "enum": same} for kind, same in kinds.items()
        ]
    if "$ref" in made:
        # Nothing may stand beside it.
        return {"$ref": made["$ref"]}
    kind = made.get("type")
    is_known = kind in ("string", "integer", "number", "boolean", "null") or "anyOf" in made
    if not (is_known or "properties" in made or (kind == "array" and "items" in made)):
        raise _NotStrict
    return _described(made, _note(notes)) if notes else made


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _choice(variants: list[dict[str, Any]]) -> dict[str, Any]:
    return variants[0] if len(variants) == 1 else {"anyOf": variants or _ANYTHING}


def _enum(values: list[Any], notes: list[str]) -> dict[str, Any]:
    if all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": values}
    notes.append(f"one of: {', '.join(map(_short, values))}")
    kinds = {_KINDS.get(type(value), "") for value in values if value is not None}
    return {"type": kinds.pop()} if len(kinds) == 1 and "" not in kinds else {}


_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    if not text:
        return schema
    if "anyOf" in schema:
        # Some want nothing beside it, nor beside a reference.
        variants = list(schema["anyOf"])
        place = next((place for place, each in enumerate(variants) if "$ref" not in each), None)
        if place is not None:
            variants[place] = _described(variants[place], text)
        return {**schema, "anyOf": variants}
    told = " ".join(filter(None, [text, str(schema.get("description") or "")]))
    return {**schema, "description": told}


def _note(notes: list[str]) -> str:
    return f"({', '.join(notes)})" if notes else ""


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:500]
