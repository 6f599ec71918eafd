"""What servers refuse of the schema that an answer is to follow, in their words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
_STRICT = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"),
        *("$ref", "$defs", "description", "title"),
        *("pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems"),
    )
)
_LIMITS = {
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength", "pattern"),
    "array": ("maxItems", "uniqueItems"),
}
_ANTHROPIC = frozenset(
    (
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf"),
        *("allOf", "$ref", "$defs", "description", "title", "default", "format", "minItems"),
    )
)


def openai_refusal(name: str, schema: Mapping[str, Any]) -> str | None:
    """Why OpenAI takes no such strict schema."""

    def wrong(part: Mapping[str, Any], path: Path) -> Iterator[str]:
        for word in part.keys() - _STRICT:
            yield f"{word!r} is not permitted."
        if "$ref" in part and len(part) > 1:
            yield f"$ref cannot have keywords {set(part) - {'$ref'}}."
        if not part.keys() & {"type", "anyOf", "$ref"}:
            yield "schema must have a 'type' key."
        if part.get("type") == "object":
            if part.get("additionalProperties") is not False:
                yield "'additionalProperties' is required to be supplied and to be false."
            if set(part.get("required", ())) != set(part.get("properties", {})):
                yield "'required' is required to be supplied and to be an array including every key."
        if part.get("type") == "array" and "items" not in part:
            yield "array schema missing items."

    if schema.get("type") != "object" or "anyOf" in schema:
        return f"Invalid schema for response_format {name!r}: schema must be a JSON Schema of 'type: object'."
    for path, problem in _problems(schema, wrong):
        return f"Invalid schema for response_format {name!r}: In context={path}, {problem}"
    return None


def anthropic_refusal(schema: Mapping[str, Any]) -> str | None:
    """Why Anthropic takes no such schema."""

    def wrong(part: Mapping[str, Any], path: Path) -> Iterator[str]:
        kind = part.get("type")
        limits = [word for word in _LIMITS.get(str(kind), ()) if word in part]
        if limits:
            yield f"For '{kind}' type, properties {', '.join(limits)} are not supported"
        for word in part.keys() - _ANTHROPIC:
            yield f"{word} is not supported"
        if kind == "object" and part.get("additionalProperties") is not False:
            yield "For 'object' type, 'additionalProperties' must be explicitly set to false"
        if not part.keys() & {"type", "anyOf", "allOf", "$ref"}:
            yield "Schema must have a 'type', 'anyOf', 'oneOf', or 'allOf' field"

    problems = [problem for _, problem in _problems(schema, wrong)]
    if not problems and _is_recursive(schema):
        problems = ["Circular reference detected in schema definitions"]
    return f"output_config.format.schema: {problems[0]}" if problems else None


def _problems(
    schema: Mapping[str, Any], wrong: Callable[[Mapping[str, Any], Path], Iterator[str]]
) -> Iterator[tuple[Path, str]]:
    def walk(part: Any, path: Path) -> Iterator[tuple[Path, str]]:
        if not isinstance(part, Mapping):
            yield path, "schema must be an object"
            return
        for problem in wrong(part, path):
            yield path, problem
        for word in ("properties", "$defs"):
            for name, each in part.get(word, {}).items():
                yield from walk(each, (*path, word, name))
        if "items" in part:
            yield from walk(part["items"], (*path, "items"))
        for place, each in enumerate(part.get("anyOf", ())):
            yield from walk(each, (*path, "anyOf", str(place)))
        target = str(part.get("$ref", "")).removeprefix("#/$defs/")
        if target and target not in schema.get("$defs", {}):
            yield path, f"reference {target!r} is not defined"

    yield from walk(schema, ())


def _is_recursive(schema: Mapping[str, Any]) -> bool:
    defs = schema.get("$defs", {})

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, Mapping):
            if isinstance(reference := part.get("$ref"), str):
                yield reference.removeprefix("#/$defs/")
            for name, each in part.items():
                yield from () if name == "$defs" else references(each)
        elif isinstance(part, list):
            for each in part:
                yield from references(each)

    def leads_back(name: str, above: tuple[str, ...]) -> bool:
        return name in above or any(leads_back(each, (*above, name)) for each in references(defs.get(name)))

    return any(leads_back(name, ()) for name in defs)
