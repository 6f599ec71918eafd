"""Texts, and what dicts and lists hold, without secrets."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from .key_values import SEARCHES
from .known import is_secret_entry, is_sent, known_texts, pairs_of, secrets_within
from .names import Level, fits, is_plain, level_of, level_of_items
from .patterns import HIDDEN

_collector: ContextVar[dict[str, None] | None] = ContextVar("praison_nb.redaction", default=None)


@contextlib.contextmanager
def collecting(names: dict[str, None]) -> Iterator[None]:
    """The names of what is hidden meanwhile, by what is called from here, become keys of `names`."""
    token = _collector.set(names)
    try:
        yield
    finally:
        _collector.reset(token)


def redact(text: str) -> str:
    """`text` with HIDDEN in place of each secret."""
    text, names = redact_and_name(text)
    if names and (collector := _collector.get()) is not None:
        collector |= dict.fromkeys(names)
    return text


def redact_and_name(text: str) -> tuple[str, list[str]]:
    """`redact(text)`, and what was hidden in words that may be shown: a variable's name, or a kind.

    >>> redact_and_name("Authorization: Basic YWRhOmxvdmVsYWNl")
    ('Authorization: Basic [key]', ['a Basic header'])
    """
    names: dict[str, None] = {}
    if len(text) < 4:
        return text, []
    search = _search if len(text) > _SHORT else _search_once
    for known, name, pattern in known_texts():
        if known in text:
            without = text.replace(known, HIDDEN) if pattern is None else pattern.sub(HIDDEN, text)
            if without != text:
                text, names[name] = without, None
    text, found = search(text)
    return text, list(names | found)


def _search(text: str) -> tuple[str, dict[str, None]]:
    """The text without what is a secret by its form or its name, and the names of that."""
    names: dict[str, None] = {}
    for search in SEARCHES:
        pieces, at = [], 0
        for begin, end, name in search(text):
            pieces += [text[at:begin], HIDDEN]
            at, names[name] = end, None
        if pieces:
            text = "".join([*pieces, text[at:]])
    return text, names


_SHORT = 200
# The keys and values of events and rows are the same ones again and again.
_search_once = functools.lru_cache(maxsize=1_000)(_search)


_CIPHER = re.compile(r"[A-Za-z0-9+/=_-]{40,}")


def has_secret(value: Any) -> bool:
    """Whether there is a secret in what dicts, lists and texts hold. Of texts that are encrypted or signed,
    which look like keys of all forms, only a key that is known is one.

    >>> has_secret({"signature": "Er3" * 40}), has_secret({"thinking": ["Bearer a1b2c3d4e5f6"]})
    (False, True)
    """
    if isinstance(value, str):
        if _CIPHER.fullmatch(value):
            return any(known in value for known, _, _ in known_texts())
        return redact_and_name(value)[0] != value
    if isinstance(value, Mapping):
        return any(map(has_secret, value.values()))
    return isinstance(value, list | tuple) and any(map(has_secret, value))


def redact_value(value: Any, name: str = "") -> Any:
    """A copy of what dicts, lists and texts hold, without the secrets in it; `name` is what it stands under.

    >>> redact_value({"pwd": "a", "arguments": '{"header": "Bearer a1b2c3"}', "n": 3})
    {'pwd': '[key]', 'arguments': '{"header": "Bearer [key]"}', 'n': 3}
    """
    if isinstance(value, str | bytes | bytearray):
        text = value if isinstance(value, str) else value.decode("latin-1")
        if name and is_secret_entry(name, text):
            if (collector := _collector.get()) is not None:
                collector[name[:60]] = None
            return HIDDEN
        return redact(text) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        if value and (level_of(name) is Level.SURE or name.lower().endswith(("credential", "credentials"))):
            return HIDDEN
        # {"name": "DB_PASSWORD", "value": "x"}
        named = value.get("name")
        of_value = named if isinstance(named, str) and level_of(named) else "value"
        return {
            key: redact_value(inner, of_value if key == "value" else str(key)) for key, inner in value.items()
        }
    if isinstance(value, tuple):
        return tuple(redact_value(inner, name) for inner in value)
    if not isinstance(value, list):
        return value
    if name and level_of_items(name) is Level.SURE:
        name = re.sub("[sS]$", "", name)
    return [redact_value(inner, name) for inner in value]


def notice(names: list[str]) -> str:
    """The line that tells a user what a model was not shown.

    >>> notice(["OPENAI_API_KEY", "a password in a URL"])
    '2 secrets were hidden from the model: OPENAI_API_KEY, a password in a URL'
    """
    count = "1 secret was" if len(names) == 1 else f"{len(names)} secrets were"
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{count} hidden from the model: {', '.join(names[:10])}{more}"


def masked(value: Any, name: str = "") -> Any:
    """`redact_value`, and without any value of what goes into each request.

    >>> masked({"extra_headers": {"X-Title": "notes"}, "extra_query": [("n", 1)], "seed": 3})
    {'extra_headers': {'X-Title': '[key]'}, 'extra_query': [('n', '[key]')], 'seed': 3}
    """
    if is_sent(name, value):
        if isinstance(value, Mapping):
            return dict.fromkeys(value, HIDDEN)
        return [(key, HIDDEN) for key, _ in pairs_of(value)]
    if isinstance(value, Mapping) and level_of(name) is not Level.SURE:
        return {key: masked(inner, str(key)) for key, inner in value.items()}
    return redact_value(value, name)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a program of a model's may see: none whose name or value says that it is a secret.

    >>> child_environment({"GH_PAT": "x", "DB": "postgres://a:b@host", "PWD": "/", "SORT_KEY": "customer_id"})
    {'PWD': '/', 'SORT_KEY': 'customer_id'}
    """

    def is_secret(name: str, value: str) -> bool:
        level = level_of(name)
        by_name = level is Level.SURE or (level is Level.LIKELY and not is_plain(value)) or fits(level, value)
        return bool(value) and (by_name or bool(secrets_within(value)))

    return {name: value for name, value in environment.items() if not is_secret(name, value)}
