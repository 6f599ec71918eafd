"""Random types of answers, each with random values of it: `kind, value = made(random.Random(seed))`."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import random
import string
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Union
from uuid import UUID

import pydantic
import typing_extensions

Made = tuple[Any, Callable[[random.Random], Any]]
"""A type, and what makes values of it."""
LETTERS = string.printable + "äß€😀\u2028\x00\x1b`{}[]\"'\\"


class Leaf(NamedTuple):
    name: str
    size: int


def _text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.randrange(12)))


def _name(chance: random.Random) -> str:
    return "f_" + "".join(chance.choices(string.ascii_lowercase, k=6))


def _date(chance: random.Random) -> datetime.date:
    return datetime.date.fromordinal(chance.randrange(1, 3_000_000))


PLAIN: list[Made] = [
    (int, lambda chance: chance.choice([0, -1, 7, 2**53, 10**30])),
    (float, lambda chance: chance.choice([0.0, -1.5, 1e300, 5e-324, 0.1])),
    (bool, lambda chance: chance.random() < 0.5),
    (str, _text),
    (type(None), lambda chance: None),
    (datetime.date, _date),
    (datetime.datetime, lambda chance: datetime.datetime(2026, 1, 2, 3, 4, chance.randrange(60), 7)),
    (datetime.timedelta, lambda chance: datetime.timedelta(seconds=chance.randrange(10**6))),
    (Decimal, lambda chance: Decimal(chance.randrange(10**20)).scaleb(-chance.randrange(9))),
    (bytes, lambda chance: _text(chance).encode()),
    (UUID, lambda chance: UUID(int=chance.getrandbits(128))),
    (Leaf, lambda chance: Leaf(_text(chance), chance.randrange(9))),
    (Annotated[int, pydantic.Field(ge=0, le=10, multiple_of=2)], lambda chance: 2 * chance.randrange(6)),
    (Annotated[str, pydantic.Field(min_length=1, pattern="^[a-z]+$")], lambda chance: _name(chance)[2:]),
    (Annotated[float, pydantic.Field(gt=0, description='Of "it".')], lambda chance: chance.random() + 1),
]


def made(chance: random.Random, depth: int = 3) -> Made:
    """A type, and what makes values of it."""
    makers = [_literal, _enum] if depth <= 0 else [_literal, _enum, *_NESTED]
    return chance.choice(PLAIN) if chance.random() < 0.4 else chance.choice(makers)(chance, depth - 1)


def _literal(chance: random.Random, depth: int) -> Made:
    values = chance.sample(["a", "b c", 'say "x"', 1, 2, True, None, ""], k=chance.randrange(1, 5))
    return Literal[tuple(values)], lambda chance: chance.choice(values)


def _enum(chance: random.Random, depth: int) -> Made:
    values = chance.sample(["red", "blue", 3, 4.5], k=chance.randrange(1, 4))
    kind = enum.Enum(_name(chance), {f"n{place}": value for place, value in enumerate(values)})
    return kind, lambda chance: chance.choice(list(kind))


def _list(chance: random.Random, depth: int) -> Made:
    kind, value = made(chance, depth)
    return list[kind], lambda chance: [value(chance) for _ in range(chance.randrange(4))]


def _tuple(chance: random.Random, depth: int) -> Made:
    parts = [made(chance, depth) for _ in range(chance.randrange(1, 4))]
    return tuple[tuple(kind for kind, _ in parts)], lambda chance: tuple(v(chance) for _, v in parts)


def _set(chance: random.Random, depth: int) -> Made:
    return set[int], lambda chance: {chance.randrange(9) for _ in range(chance.randrange(4))}


def _dict(chance: random.Random, depth: int) -> Made:
    kind, value = made(chance, depth)
    key, keys = chance.choice([(str, _text), (int, lambda chance: chance.randrange(99))])
    return dict[key, kind], lambda chance: {keys(chance): value(chance) for _ in range(chance.randrange(4))}


def _optional(chance: random.Random, depth: int) -> Made:
    kind, value = made(chance, depth)
    return kind | None if isinstance(kind, type) else _union_of(kind, None), (
        lambda chance: None if chance.random() < 0.3 else value(chance)
    )


def _union_of(*kinds: Any) -> Any:
    return Union[kinds]  # noqa: UP007


def _union(chance: random.Random, depth: int) -> Made:
    model, value = _model(chance, depth)
    other = chance.choice([(int, lambda chance: 5), (str, _text), (list[int], lambda chance: [1, 2])])
    return _union_of(model, other[0]), lambda chance: (value if chance.random() < 0.5 else other[1])(chance)


def _fields(chance: random.Random, depth: int) -> dict[str, Made]:
    return {_name(chance): made(chance, depth) for _ in range(chance.randrange(1, 5))}


def _model(chance: random.Random, depth: int) -> Made:
    fields = _fields(chance, depth)
    defaults = {name: value(chance) for name, (_, value) in fields.items() if chance.random() < 0.3}
    given: dict[str, Any] = {name: (kind, defaults.get(name, ...)) for name, (kind, _) in fields.items()}
    model = pydantic.create_model(f"M{chance.randrange(10**9)}", **given)
    return model, lambda chance: model(**{name: value(chance) for name, (_, value) in fields.items()})


def _recursive(chance: random.Random, depth: int) -> Made:
    name, fields = f"R{chance.randrange(10**9)}", _fields(chance, depth)
    given: dict[str, Any] = {each: (kind, ...) for each, (kind, _) in fields.items()}
    model = pydantic.create_model(name, children=(list[name], []), **given)  # type: ignore[valid-type]

    def value(chance: random.Random, levels: int = 2) -> Any:
        children = [value(chance, levels - 1) for _ in range(chance.randrange(3) if levels else 0)]
        return model(children=children, **{each: v(chance) for each, (_, v) in fields.items()})

    return model, value


def _dataclass(chance: random.Random, depth: int) -> Made:
    fields = _fields(chance, depth)
    kind = dataclasses.make_dataclass(
        f"D{chance.randrange(10**9)}", [(name, kind) for name, (kind, _) in fields.items()]
    )
    return kind, lambda chance: kind(**{name: value(chance) for name, (_, value) in fields.items()})


def _typed_dict(chance: random.Random, depth: int) -> Made:
    fields = _fields(chance, depth)
    kinds = {name: kind for name, (kind, _) in fields.items()}
    kind = typing_extensions.TypedDict(f"T{chance.randrange(10**9)}", kinds)  # type: ignore[operator]
    return kind, lambda chance: {name: value(chance) for name, (_, value) in fields.items()}


_NESTED = [
    *(_list, _tuple, _set, _dict, _optional, _union, _model, _model, _recursive, _dataclass, _typed_dict)
]
