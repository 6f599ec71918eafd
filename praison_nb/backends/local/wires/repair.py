"""The history as every server takes it: calls and results in pairs, ids that fit, nothing that another model
wrote for itself. Pure; the stored history stays as it was said."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from string import ascii_letters, digits
from typing import TypeVar

from ....history import Call, Item, Opaque, Result, Text, User, results_by_call
from ....text import replace_surrogates, replace_surrogates_in_fields

T = TypeVar("T", User, Text, Result)

STOPPED = "The user stopped the turn."
"""The result of a call that was never told its own."""


def repaired(history: Sequence[Item], *, wire: str, origin: str, ids: str) -> list[Item]:
    """`history` with exactly one Result behind each group of Calls for each of them, in the calls' order, ids
    unique in the whole history and matching `ids` (a regular expression, fully), names and arguments that a
    server takes, and only the opaque items of `wire` and `origin`. What is added behind `history` changes
    nothing of what is before it, so that caches survive. Raises ValueError where no id matches `ids`.

    >>> history = [Call(id="call_1", name="add"), User(text="Go on")]
    >>> repaired(history, wire="chat", origin="/m", ids="[a-z]+_1")[1]
    Result(call_id='call_1', text='The user stopped the turn.', is_error=True)
    """
    found = results_by_call(history)
    made: list[Item] = []
    results: list[Result] = []
    """Of the calls that have none behind them yet."""
    used: set[str] = set()
    for place, item in enumerate(history):
        match item:
            case Call():
                key = _unique(item.id, used, ids)
                made.append(_sendable(item, key))
                result = found.get(place)
                results.append(_result(result, key))
            case Result():
                made += results
                results.clear()
            case Opaque():
                if item.wire == wire and item.model == origin:
                    made.append(item)
            case Text():
                if item.text:
                    made.append(_clean(item))
            case User():
                made += results
                results.clear()
                made.append(_clean(item))
    return made + results


def _result(result: Result | None, key: str) -> Result:
    if result is None:
        return Result(call_id=key, text=STOPPED, is_error=True)
    if result.call_id != key:
        result = Result(call_id=key, text=result.text, is_error=result.is_error)
    return _clean(result)


def _sendable(call: Call, key: str) -> Call:
    # What a model calls is not always what it may: a history that is refused would end the conversation.
    name, arguments = call.name, call.arguments
    if not _NAME.fullmatch(name):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "unnamed"
    if arguments != "{}":
        arguments = _object(arguments)
    if (key, name, arguments) == (call.id, call.name, call.arguments):
        return call
    return Call(id=key, name=name, arguments=arguments)


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@functools.lru_cache(maxsize=2000)
def _object(arguments: str) -> str:
    """The text of a JSON object that has these arguments."""
    if not arguments.strip():
        return "{}"
    try:
        values = json.loads(arguments, parse_constant=_refuse)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, dict):
        return replace_surrogates(arguments)
    return json.dumps({"not_an_object": replace_surrogates(arguments)})


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _clean(item: T) -> T:
    return item if item.text.isascii() else replace_surrogates_in_fields(item)


# Ids


def _unique(key: str, used: set[str], ids: str) -> str:
    """`key`, if it has the form and is new, else one that is always the same for this key and its place
    among those that are the same."""
    made, number, matches = key, 0, _compiled(ids).fullmatch
    while made in used or not matches(made):
        made = make_id(f"{number} {key}", ids)
        number += 1
    used.add(made)
    return made


@functools.lru_cache(maxsize=20_000)
def make_id(seed: str, ids: str) -> str:
    """An id of the form `ids` (a regular expression), the same for the same `seed`. Raises ValueError for a
    form of which it knows none.

    >>> make_id("toolu_01", r"[A-Za-z0-9]{9}")
    'unF7IFNa3'
    """
    number = int.from_bytes(hashlib.sha256(replace_surrogates(seed).encode()).digest())
    return _of_form(number, *_form(ids))


_DIGITS = digits + ascii_letters
_PREFIXES = ("call_", "", "toolu_", "fc_")


@functools.cache
def _form(ids: str) -> tuple[str, int, int]:
    """Prefix, length behind it and base (how many of _DIGITS) of ids that match the form."""
    number = int("9" * 77)
    for base in (62, 36, 16, 10):
        for prefix in _PREFIXES:
            for length in (24, 9, *range(40, 3, -1)):
                form = (prefix, length, base)
                # Several, so that one is not a match by chance.
                if all(_compiled(ids).fullmatch(_of_form(number // each, *form)) for each in range(1, 20)):
                    return form
    raise ValueError(f"no id of ours has the form {ids!r}")


def _of_form(number: int, prefix: str, length: int, base: int) -> str:
    made = []
    for _ in range(length):
        number, digit = divmod(number, base)
        made.append(_DIGITS[digit])
    return prefix + "".join(made)


@functools.cache
def _compiled(ids: str) -> re.Pattern[str]:
    return re.compile(ids)
