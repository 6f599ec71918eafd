"""The secrets that are known by where they are used: what was registered, and the environment's variables."""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

from .key_values import SEARCHES
from .names import Level, fits, is_distinct, is_given, is_placeholder, is_word, level_of, looks_random

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


def register_address(address: object) -> None:
    """From now on the password in `address`, which may be encoded there, is a secret, and so are the tokens
    of its query."""
    if not isinstance(address, str) or "://" not in address:
        return
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        secret = password if colon else user if looks_random(user) else ""
        for text in (secret, unquote(secret)):
            register(text, "a password in a URL", may_be_word=True)
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
    return bool(_SENT.search(name)) and (isinstance(value, Mapping) or bool(pairs_of(value)))


def pairs_of(value: object) -> list[tuple[Any, Any]]:
    """The pairs of a list of pairs, [] of anything else."""
    if isinstance(value, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in value
    ):
        return [(key, inner) for key, inner in value]
    return []


def register_settings(settings: object, name: str = "") -> None:
    """From now on what stands in these dicts, lists and pairs under a name like a key's is a secret, and so
    is what looks like one among headers, and the password of an address. `name` is what they stand under."""
    is_header = name.lower().endswith(("header", "headers", "cookies"))
    entries = list(settings.items()) if isinstance(settings, Mapping) else pairs_of(settings)
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


def known_texts() -> list[tuple[str, str, re.Pattern[str] | None]]:
    """What is to be hidden wherever it stands; see `_Known`."""
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


def known_in(text: str) -> str:
    """The name of a registered secret, or of the environment's, that the text holds, "" for none."""
    found = (name for form, name, word in known_texts() if form in text and (not word or word.search(text)))
    return next(found, "")


def _word(form: str) -> re.Pattern[str] | None:
    return re.compile(rf"(?<![^\W_]){form}(?![^\W_])") if form.isalpha() or form.isdigit() else None


def _in_environment() -> dict[str, str]:
    """The secrets of the environment, and the names of their variables."""
    found: dict[str, str] = {}
    for name, value in os.environ.items():
        if (level := level_of(name)) and is_distinct(level, value):
            found[value] = name
        for secret in secrets_within(value):
            found |= {text: name for text in (secret, unquote(secret)) if len(text) >= 8 and is_given(text)}
    return found


def secrets_within(text: str) -> list[str]:
    """What is a secret in the text by its form, or by the name before it."""
    return [text[begin:end] for search in SEARCHES for begin, end, _ in search(text)]
