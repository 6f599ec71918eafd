"""How configs are checked: by models of pydantic, whose errors become one line each that says what to do. To
be imported when there is something to check: pydantic takes its time to load."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Sized
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError, ValidationError

from ..errors import ConfigError
from ..redaction import masked
from ..text import did_you_mean, shorten

T = TypeVar("T")

_MESSAGES = {
    "bool_type": "must be True or False, not {value}",
    "dict_type": "must be a dict, not {value}",
    "float_type": "must be a number, not {value}",
    "form": "must {must}, not {value}",
    "greater_than": "must be a number above {gt:g}, not {value}",
    "greater_than_equal": "must be a number from {ge:g}, not {value}",
    "int_type": "must be a whole number, not {value}",
    "list_type": "must be a list, not {value}",
    "literal_error": "must be {known}, not {value}{hint}",
    "missing": "is missing: add it",
    "model_attributes_type": "must be a dict, not {value}",
    "model_type": "must be a dict, not {value}",
    "string_too_long": "may have {max_length:,} characters at most, not {size:,}",
    "string_too_short": "must not be empty",
    "string_type": "must be text, not {value}",
    "string_unicode": "has half a character, which UTF-8 does not have: take it out",
    "too_long": "may have {max_length:,} entries at most, not {size:,}",
    "too_short": "must not be empty",
    "union_tag_invalid": "must be one of {known}, not {value}{hint}",
    "union_tag_not_found": "is missing: add it",
    "value_error": "{error}",
}
"""What is said about a value, by pydantic's type of the problem."""


def check(model: type[BaseModel], values: Mapping[str, Any], hidden: Collection[str] = ()) -> None:
    """Check the fields of a config. Raises ConfigError, one line about the first problem that names the field
    and what was written; of `hidden` fields, which may hold somebody's token, only its type."""
    try:
        model.model_validate(values)
        return
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    # Not while the other one is handled: it knows what was put in.
    raise ConfigError(_line(problem, values, hidden))


def _line(problem: Any, values: Mapping[str, Any], hidden: Collection[str]) -> str:
    kind, context, path = problem["type"], problem.get("ctx", {}), list(problem["loc"])
    value, whose = problem["input"], ""
    if kind.startswith("union_tag"):
        path.append("type")
        value = context.get("tag")
    if path[-1:] == ["[key]"]:
        path, whose = path[:-2], "a key of "
    where, name = _where(path, values, is_missing=kind == "missing" or kind.startswith("union_tag"))
    known = context.get("expected") or context.get("expected_tags") or ""
    hint = did_you_mean(value, re.findall(r"'([^']*)'", known))
    size = len(value) if isinstance(value, Sized) else 0
    message, shown = _MESSAGES.get(kind, "is wrong: {problem:.500}"), _shown(value, name)
    if path and path[0] in hidden:
        shown = type(value).__name__
        if isinstance(value, str) and not kind.endswith("_type"):
            message = message.replace(", not {value}", "")
    message = message.format(
        **context, problem=problem["msg"], known=known, size=size, value=shown, hint=hint
    )
    return f"{whose}{where} {message}".strip() + ("" if message.endswith("?") else ".")


def _where(path: Sequence[str | int], values: Any, is_missing: bool) -> tuple[str, str]:
    """The path as the user would write it, and the last name in it. What is not in the values is the name of
    a model, which nobody wrote."""
    where = name = ""
    for at, part in enumerate(path, 1):
        if isinstance(part, int):
            where, values = f"{where}[{part}]", values[part]
        elif isinstance(values, Mapping) and (part in values or (is_missing and at == len(path))):
            where, name = f"{where}.{shorten(part, 60)}", part
            values = values.get(part)
    return where.removeprefix("."), name


def _shown(value: Any, name: str) -> str:
    if isinstance(value, str):
        return repr(shorten(masked(value[:4000], name), 60))
    is_short = value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**30)
    return repr(value) if is_short else type(value).__name__


class Part(BaseModel):
    """An object as an API has it. It may have more fields than are known here, but none that is nearly the
    name of one that it lacks."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_slip(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for name in value:
                near = did_you_mean(name, [each for each in cls.model_fields if each not in value])
                if near and name not in cls.model_fields:
                    raise ValueError(f"has no {shorten(str(name), 60)!r}{near}")
        return value


def as_list(value: Any) -> Any:
    """A sequence as pydantic's lists have it, who would take a set or what is read once too."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise PydanticKnownError("list_type")
    return list(value)


def wrong_form(must: str) -> PydanticCustomError:
    """The error of a value that `must` be something else."""
    return PydanticCustomError("form", "{must}", {"must": must})


def written_as(pattern: str, must: str) -> AfterValidator:
    """What lets text pass that the pattern matches; `must` says what that is."""

    def match(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise wrong_form(must)
        return text

    return AfterValidator(match)


Items = Annotated[list[T], BeforeValidator(as_list)]
Text = Annotated[str, Field(strict=True)]
Filled = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[float, Field(strict=True, gt=0)]
Address = Annotated[Text, written_as("(https?://.+)?", "begin with http:// or https://")]
