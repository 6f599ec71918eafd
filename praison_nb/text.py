"""Text as every file, socket, page and terminal takes it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")

DISPLAY_CHARACTERS = 200_000
"""So much of one text is shown; far more would make the page and the saved file unusable."""


def replace_surrogates(value: T) -> T:
    """`value`, text or what JSON holds, without halves of characters (lone surrogates, from a name on the
    disk or an emoji that was cut in two), which UTF-8 does not have: two that belong together are joined,
    others replaced.

    >>> replace_surrogates("caf\\udce9"), replace_surrogates({"say": ["\\ud83d\\ude00"]})
    ('caf�', {'say': ['😀']})
    """
    if isinstance(value, str):
        return _joined(value)  # type: ignore[return-value]
    try:
        # A long conversation is looked through at the speed of C; next to none has any.
        json.dumps(value, ensure_ascii=False, check_circular=False, default=str).encode()
    except (TypeError, ValueError):
        return _without_surrogates(value)  # type: ignore[no-any-return]
    return value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _joined(value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(inner) for key, inner in value.items()}
    return [_without_surrogates(inner) for inner in value] if isinstance(value, list) else value


def replace_surrogates_in_fields(value: T) -> T:
    """`value`, a dataclass, with texts that can be shown and stored anywhere."""
    changed: dict[str, Any] = {}
    kind: Any = type(value)
    for name in _texts(kind):
        text = getattr(value, name)
        if not text.isascii() and (made := replace_surrogates(text)) is not text:
            changed[name] = made
    return replace(value, **changed) if changed else value  # type: ignore[type-var]


@functools.cache
def _texts(kind: Any) -> tuple[str, ...]:
    # Annotations may be left as text.
    return tuple(f.name for f in fields(kind) if f.type in (str, "str"))


def split_surrogate(text: str) -> tuple[str, str]:
    """`text` in two: what can be shown, and half a character at its end whose other half may follow."""
    return (text[:-1], text[-1]) if text and "\ud800" <= text[-1] <= "\udbff" else (text, "")


def _joined(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def shorten(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a line about a name that there is not: the nearest that there is, "" without one.

    >>> did_you_mean("modle", ["model", "name"]), did_you_mean("CRM", ["crm"]), did_you_mean(5, ["model"])
    (": did you mean 'model'?", ": did you mean 'crm'?", '')
    """
    by_letters = {each.casefold(): each for each in known}
    near = get_close_matches(str(name)[:100].casefold(), by_letters, 1, 0.7)
    return f": did you mean {by_letters[near[0]]!r}?" if near else ""


def describe_exception(error: BaseException) -> str:
    """An exception's type and message, whatever its own `__str__` does.

    >>> describe_exception(KeyError("a"))
    "KeyError: 'a'"
    """
    try:
        message = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        message = f"(its message cannot be had: {type(failure).__name__})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


# Control characters but tab and newline, and what turns the reading direction.
_DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def strip_control_chars(text: str) -> str:
    """`text` as every page takes it, without what could drive a terminal or turn its reading direction."""
    return _DANGEROUS.sub("", replace_surrogates(text))


def truncate_for_display(text: str, where: str = "the Turn's text") -> str:
    """`text`, or its first DISPLAY_CHARACTERS and a line that says where the rest is.

    >>> truncate_for_display("short")
    'short'
    """
    if len(text) <= DISPLAY_CHARACTERS:
        return text
    return (
        f"{text[:DISPLAY_CHARACTERS]}\n\n… {len(text) - DISPLAY_CHARACTERS:,} more characters are in {where}."
    )
