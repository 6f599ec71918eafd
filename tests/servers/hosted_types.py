"""The SDK's own types, made strict: a field or a literal that they do not know is an error.

The SDK reads responses leniently, so that an old client lives with a new server. A test server must not:
what it sends is checked here, and what it is sent too.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import os
import types
import typing
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin

import pydantic
from aiohttp import web
from anthropic._models import BaseModel
from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict, get_type_hints, is_typeddict

T = TypeVar("T")
HEADERS = {"betas", "workspace_id"}
"""Keys of the SDK's parameter types that travel as headers."""


def check_response(sdk_type: Any, data: T) -> T:
    """Return the data as they are; raises `pydantic.ValidationError` where they are not of the type."""
    _adapter(sdk_type).validate_json(json.dumps(data))
    return data


def check_request(sdk_type: Any, data: Any) -> dict[str, Any]:
    """Return the request's body; answers 400 and names the field where it is not of the type."""
    try:
        _adapter(sdk_type).validate_json(json.dumps({} if data is None else data))
    except pydantic.ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise web.HTTPBadRequest(text=f"{where}: {first['msg']}") from None
    return data or {}


@cache
def _adapter(sdk_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_strict(sdk_type))


def _strict(hint: Any) -> Any:
    """The same type with nothing unknown allowed, made of TypedDicts all the way down."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated or origin in (Required, NotRequired):
        return _strict(args[0])
    if origin in (Union, types.UnionType):
        return _strict_union(args)
    if origin is dict:
        return dict[str, _strict(args[1])]  # type: ignore[misc]
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence):
        return list[_strict(args[0])]  # type: ignore[misc]
    if is_typeddict(hint) or (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return _strict_dict(hint)
    return Any if hint is object else hint


def _strict_union(members: tuple[Any, ...]) -> Any:
    # The SDK reads files itself: none is sent.
    members = tuple(each for each in members if get_origin(each) not in (typing.IO, os.PathLike))
    union = Union[tuple(_strict(member) for member in members)]  # noqa: UP007 - built at run time
    described = [member for member in members if member is not type(None)]
    if len(described) > 1 and all(_is_tagged(member) for member in described):
        return Annotated[union, Field(discriminator="type")]
    return union


def _is_tagged(member: Any) -> bool:
    tag = _fields(member).get("type")
    return tag is not None and get_origin(tag) is Required and get_origin(get_args(tag)[0]) is Literal


@cache
def _strict_dict(record: Any) -> Any:
    fields = {
        name: get_origin(hint)[_strict(get_args(hint)[0])]  # type: ignore[index]
        for name, hint in _fields(record).items()
        if name not in HEADERS
    }
    # The SDK says so where anything more may follow, as in a JSON schema.
    is_open = getattr(
        record, "__extra_items__", None
    ) is object or "__pydantic_extra__" in inspect.get_annotations(record)
    strict = TypedDict(record.__name__, fields)  # type: ignore[operator, misc]
    strict.__pydantic_config__ = ConfigDict(extra="allow" if is_open else "forbid", strict=True)
    return strict


@cache
def _fields(record: Any) -> dict[str, Any]:
    """The fields of one of the SDK's models or parameter types, each as Required[…] or NotRequired[…]."""
    if isinstance(record, type) and issubclass(record, BaseModel):
        return {
            field.alias or name: (Required if field.is_required() else NotRequired)[field.annotation]
            for name, field in record.model_fields.items()
        }
    if not is_typeddict(record):
        return {}
    named = get_type_hints(record, include_extras=True)
    return {
        name: hint
        if get_origin(hint) in (Required, NotRequired)
        else (Required if typing.cast(Any, record).__total__ else NotRequired)[hint]
        for name, hint in named.items()
    }
