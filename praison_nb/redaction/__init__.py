"""Texts without secrets: one rule for errors, reprs, logs, files and what models are shown.

A secret is known by where it is used (`register`; a variable of the environment whose name says so), by its
form (a provider's key, a header, a password in an address, a private key), or by the name that stands before
it.

>>> redact("Incorrect API key provided: sk-abcdefgh12345678.")
'Incorrect API key provided: [key].'
>>> redact_and_name("postgres://ada:lovelace@host/db, {'pwd': 'x', 'sort_key': 'customer_id'}")
("postgres://ada:[key]@host/db, {'pwd': '[key]', 'sort_key': 'customer_id'}", ['a password in a URL', 'pwd'])
"""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .forms import HIDDEN as HIDDEN
from .named import SEARCHES
from .names import (
    Level,
    fits,
    is_distinct,
    is_given,
    is_placeholder,
    is_plain,
    is_word,
    level_of,
    level_of_items,
    looks_random,
)

_registered: dict[str, str] = {}
"""Secrets in use in this process, and what a user reads of each."""


def register(value: object, name: str, *, may_be_word: bool = False) -> None:
    """From now on `value` is a secret everywhere in this process, if it is a text that can be told from
    others; a single lower-case word only where it `may_be_word`. `name` is what a user reads of it, such as
    "api_key of a config"."""
    if isinstance(value, bytes | bytearray):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or (value := value.strip()) in _registered:
        return
    if is_given(value) and (may_be_word or not is_word(value)):
        _registered[value] = name


def register_address(address: object, name: str = "a password in a URL") -> None:
    """From now on the password in `address`, which may be encoded there, is a secret, and so are the tokens
    of its query."""
    if not isinstance(address, str) or "://" not in address:
        return
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        secret = password if colon else user if looks_random(user) else ""
        for text in (secret, unquote(secret)):
            register(text, name, may_be_word=True)
        for pair in parts.query.split("&"):
            key, _, value = pair.partition("=")
            if level_of(unquote(key)):
                for text in (value, unquote(value)):
                    register(text, unquote(key)[:60], may_be_word=True)


def register_header(value: str, name: str) -> None:
    """From now on the value of an HTTP header is a secret, and so is what is secret within it."""
    register(value, name, may_be_word=True)
    scheme, _, credentials = value.partition(" ")
    register(credentials, name, may_be_word=True)
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            register(base64.b64decode(credentials).decode().partition(":")[2], name, may_be_word=True)
    for part in re.split("[;,]", value):
        # Cookies.
        if looks_random(secret := part.partition("=")[2]):
            register(secret, name)


_SENT = re.compile(r"(?:headers?|query|params|cookies|body)$", re.IGNORECASE)
_SECRET_HEADER = re.compile(
    r"key|auth|token|secret|session|cookie|sig(?:nature)?$|passw|pwd|credential|jwt|csrf|access",
    re.IGNORECASE,
)


def is_sent(name: str, value: object) -> bool:
    """Whether this is what goes into each request beside the prompt, such as `extra_headers`: a mapping or
    a list of pairs, whose values are nobody's business."""
    return bool(_SENT.search(name)) and (isinstance(value, Mapping) or bool(_pairs(value)))


def _pairs(value: object) -> list[tuple[Any, Any]]:
    if isinstance(value, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in value
    ):
        return [(key, inner) for key, inner in value]
    return []


def masked(value: Any, name: str = "") -> Any:
    """`redact_value`, and without any value of what goes into each request.

    >>> masked({"extra_headers": {"X-Title": "notes"}, "extra_query": [("n", 1)], "seed": 3})
    {'extra_headers': {'X-Title': '[key]'}, 'extra_query': [('n', '[key]')], 'seed': 3}
    """
    if is_sent(name, value):
        if isinstance(value, Mapping):
            return dict.fromkeys(value, HIDDEN)
        return [(key, HIDDEN) for key, _ in _pairs(value)]
    if isinstance(value, Mapping) and level_of(name) is not Level.SURE:
        return {key: masked(inner, str(key)) for key, inner in value.items()}
    return redact_value(value, name)


def register_settings(settings: object, name: str = "") -> None:
    """From now on what stands in these dicts, lists and pairs under a name like a key's is a secret, and so
    is what looks like one among headers, and the password of an address. `name` is what they stand under."""
    is_header = name.lower().endswith(("header", "headers", "cookies"))
    entries = list(settings.items()) if isinstance(settings, Mapping) else _pairs(settings)
    for key, value in entries:
        if isinstance(value, bytes | bytearray):
            value = value.decode("utf-8", "replace")
        if isinstance(key, bytes):
            key = key.decode("utf-8", "replace")
        if isinstance(value, str):
            _register_entry(str(key), value, is_header=is_header, is_sent=bool(_SENT.search(name)))
        else:
            register_settings(value, str(key) if isinstance(value, Mapping) or not is_header else name)
    if not entries and isinstance(settings, list | tuple):
        for value in settings:
            register_settings(value, name)


def _register_entry(key: str, value: str, *, is_header: bool, is_sent: bool) -> None:
    register_address(value)
    looks_like_one = "://" not in value and fits(Level.LIKELY, value)
    if is_header and (looks_like_one or _SECRET_HEADER.search(key)):
        register_header(value, f"{key:.60}")
    elif is_sent and level_of(key):
        register(value, f"{key:.60}", may_be_word=True)
    elif is_secret_entry(key, value):
        register(value, f"{key:.60}")


def is_secret_entry(name: str, value: str) -> bool:
    """Whether `value` is a secret where it stands under `name`."""
    if name.lower() in ("cookie", "set-cookie", "proxy-authorization"):
        return bool(value)
    is_header = name == "Authorization" and " " in value and not is_placeholder(value.split(" ")[-1])
    return fits(level_of(name), value) or is_header


# What is looked for

_WAYS_TO_WRITE: tuple[Callable[[str], str], ...] = (
    lambda text: repr(text)[1:-1],
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    # A table's text, HTML, JSON and CSV, as pandas writes them.
    lambda text: re.sub(r"[\n\r\t]", lambda match: repr(match[0])[1:-1], text),
    lambda text: html.escape(text, quote=False).replace("  ", "&nbsp;&nbsp;"),
    lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    lambda text: text.replace('"', '""'),
    html.escape,
    # An address, as browsers and HTTP libraries write it.
    lambda text: quote(text, safe="", errors="replace"),
    lambda text: quote(text, errors="replace"),
    lambda text: quote(text, safe="!$&'()*+,;=:/@", errors="replace"),
    lambda text: quote(text, safe="!$&'()*+,;=", errors="replace"),
    lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="", errors="replace")),
    lambda text: quote_plus(text, errors="replace"),
)


@functools.lru_cache(maxsize=500)
def _forms(secret: str) -> set[str]:
    """What the secret may look like."""
    forms = {secret, secret.strip()}
    # One may be within another: JSON of a repr.
    for _ in range(2):
        forms |= {write(form) for form in forms for write in _WAYS_TO_WRITE}
    return {form for form in forms if len(form) >= 6}


class _Known(NamedTuple):
    """What is looked for by itself: (text, name, pattern), the longest first, since a shorter one may be a
    part of it. A word or a number, which has a pattern, is one only where nothing goes on beside it."""

    environment: Mapping[Any, Any]
    registered: int
    texts: list[tuple[str, str, re.Pattern[str] | None]]


_known = _Known({}, -1, [])


def _known_texts() -> list[tuple[str, str, re.Pattern[str] | None]]:
    global _known
    # os.environ decodes each variable when it is walked; to compare what it holds is sixty times faster.
    environment = getattr(os.environ, "_data", os.environ)
    count = len(_registered)
    if _known.registered != count or _known.environment != environment:
        before = dict(environment)
        forms = {
            form: name
            for secret, name in {**_in_environment(), **_registered}.items()
            for form in _forms(secret)
        }
        texts = [(form, forms[form], _word(form)) for form in sorted(forms, key=len, reverse=True)]
        _known = _Known(before, count, texts)
    return _known.texts


def _word(form: str) -> re.Pattern[str] | None:
    return re.compile(rf"(?<![^\W_]){form}(?![^\W_])") if form.isalpha() or form.isdigit() else None


def _in_environment() -> dict[str, str]:
    """The secrets of the environment, and the names of their variables."""
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        if (level := level_of(name)) and is_distinct(level, value):
            found[value] = name
        for secret in _within(value):
            found |= {text: name for text in (secret, unquote(secret)) if len(text) >= 8 and is_given(text)}
    return found


def _within(text: str) -> list[str]:
    return [text[begin:end] for search in SEARCHES for begin, end, _ in search(text)]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a program of a model's may see: none whose name or value says that it is a secret.

    >>> child_environment({"GH_PAT": "x", "DB": "postgres://a:b@host", "PWD": "/", "SORT_KEY": "customer_id"})
    {'PWD': '/', 'SORT_KEY': 'customer_id'}
    """

    def is_secret(name: str, value: str) -> bool:
        level = level_of(name)
        by_name = level is Level.SURE or (level is Level.LIKELY and not is_plain(value)) or fits(level, value)
        return bool(value) and (by_name or bool(_within(value)))

    return {name: value for name, value in environment.items() if not is_secret(name, value)}


# Texts without secrets

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
    for known, name, pattern in _known_texts():
        if known in text:
            without = text.replace(known, HIDDEN) if pattern is None else pattern.sub(HIDDEN, text)
            if without != text:
                text, names[name] = without, None
    for search in SEARCHES:
        pieces, at = [], 0
        for begin, end, name in search(text):
            pieces += [text[at:begin], HIDDEN]
            at, names[name] = end, None
        if pieces:
            text = "".join([*pieces, text[at:]])
    return text, list(names)


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
