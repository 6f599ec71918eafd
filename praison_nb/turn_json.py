"""A Turn as JSON: all that is shown of it, exactly, in a form that later versions still read.

>>> turn = Turn(prompt="Hi", items=(Message("", ("Hello",)),), priced=Decimal("0.30"))
>>> import json
>>> again = from_json(json.loads(json.dumps(to_json(turn))))
>>> again.text, again.cost, again.started == turn.started
('Hello', Decimal('0.30'), True)
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .answer_type import Answer
from .errors import PraisonError
from .text import strip_control_chars
from .turn import Message, ToolCall, Turn

VERSION = "1.4"
"""The first number changes where an older praison_nb would read something wrong, the second where it may
leave out what it does not know."""

_ITEMS: dict[str, type] = {"message": Message, "tool": ToolCall}


def to_json(turn: Turn) -> dict[str, Any]:
    """The turn as what JSON holds: dicts, lists, texts, numbers. Money is decimal text, an error its type and
    message; the rest has mostly the names of the dataclasses' fields."""
    return {"version": VERSION, **_dumped(turn)}


def from_json(data: Mapping[str, Any]) -> Turn:
    """The turn of which `to_json` made `data`. Raises ValueError, one line, for a damaged or newer one."""
    version = data.get("version") if isinstance(data, Mapping) else None
    major, dot, _ = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (dot and major.isdecimal()):
        raise ValueError("this is no Turn, or a damaged one")
    if int(major) > int(VERSION.partition(".")[0]):
        raise ValueError(
            f"the Turn was written by a newer praison_nb (its format is {version}, this one reads "
            f"{VERSION}): update this one to see it"
        )
    turn: Turn = _loaded(Turn, data)
    if turn.error:
        turn.error.turn = turn
    return turn


def _dumped(value: Any) -> Any:
    match value:
        case Decimal():
            # That nothing bounds what a request may cost, of one that has begun already.
            return str(value) if value.is_finite() else None
        case PraisonError():
            return {"type": type(value).__name__, "message": str(value)}
        case Message():
            return {"type": "message", "id": value.id, "text": value.text}
        case Answer():
            return {"type": value.type, "data": value.data, "columns": dict(value.columns)}
        case ToolCall():
            return {"type": "tool", **_fields(value)}
        case tuple():
            return [_dumped(each) for each in value]
    return _fields(value) if is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    return {_key(field): _dumped(getattr(value, field.name)) for field in fields(value)}


def _key(field: Field[Any]) -> str:
    """The name of the dataclass's field in JSON, which stays where the field gets another."""
    name: str = field.metadata.get("json", field.name)
    return name


def _loaded(kind: Any, data: Any) -> Any:
    """`data` as a value of the type `kind`, one of those that the fields of a Turn have."""
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        if set(arguments) == set(_ITEMS.values()):
            return _item(data)
        return None if data is None else _loaded(arguments[0], data)
    if get_origin(kind) is tuple:
        known = (each for each in _checked(list, data) if arguments[0] != Message | ToolCall or _known(each))
        return tuple(_loaded(arguments[0], each) for each in known)
    if get_origin(kind) is Literal:
        return _checked(str, data)
    if kind in _SIMPLE:
        return _SIMPLE[kind](data)
    return _made(kind, data)


def _made(kind: Any, data: Any) -> Any:
    """A dataclass; what a newer version has more is left out."""
    _checked(dict, data)
    hints = _hints(kind)
    names = {_key(field): field.name for field in fields(kind)}
    required = (_key(f) for f in fields(kind) if f.default is f.default_factory is MISSING)
    if missing := [name for name in required if name not in data]:
        raise ValueError(f"this is a damaged Turn: {missing[0]} is missing")
    return kind(**{name: _loaded(hints[name], data[key]) for key, name in names.items() if key in data})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _known(item: Any) -> bool:
    return _checked(dict, item).get("type") in _ITEMS


def _item(data: Any) -> Message | ToolCall:
    if data["type"] == "tool":
        call: ToolCall = _made(ToolCall, data)
        return call
    text = _checked(str, data.get("text", ""))
    return Message(_checked(str, data.get("id", "")), (text,) if text else ())


def _answer(data: Any) -> Answer:
    kind, columns = _checked(str, _checked(dict, data).get("type", "")), data.get("columns", {})
    dtypes = {str(name): str(dtype) for name, dtype in _checked(dict, columns).items()}
    return Answer(kind, data.get("data"), data.get("data"), dtypes)


def _error(data: Any) -> PraisonError:
    """An error of the same name and words; its own class where there is one."""
    name, message = (_checked(str, _checked(dict, data).get(key, "")) for key in ("type", "message"))
    known = (each for each in _kinds(PraisonError) if each.__module__.startswith(f"{__package__}."))
    kind = next((each for each in known if each.__name__ == name), None)
    if kind is None:
        kind = type(name, (PraisonError,), {}) if name.isidentifier() else PraisonError
    error = kind(message)
    # A second cleaning might change a word.
    error.args = (strip_control_chars(message),)
    return error


def _kinds(kind: type[PraisonError]) -> list[type[PraisonError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in _kinds(below))]


def _decimal(data: Any) -> Decimal:
    try:
        amount = Decimal(_checked(str, data))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ValueError(f"this is a damaged Turn: {data!r:.40} is no amount")
    return amount


def _number(data: Any) -> float:
    number: float = data if type(data) is int else _checked(float, data)
    if not math.isfinite(number):
        raise ValueError(f"this is a damaged Turn: {data!r} is no time")
    return number


def _checked(kind: type, data: Any) -> Any:
    # By its exact type: True is no number here.
    if type(data) is not kind:
        raise ValueError(f"this is a damaged Turn: {data!r:.40} stands where a {kind.__name__} should")
    return data


_SIMPLE: dict[Any, Callable[[Any], Any]] = {
    **{kind: functools.partial(_checked, kind) for kind in (str, int, bool)},
    float: _number,
    Decimal: _decimal,
    PraisonError: _error,
    Answer: _answer,
}
