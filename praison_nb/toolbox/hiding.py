"""What a text shows of secrets: nothing, where their names say what they are."""

from __future__ import annotations

import functools
import html
import json
import os
import re
from collections.abc import Callable

HIDDEN = "[key]"
"""What stands in a secret's place."""
_SHORTEST_SECRET = 8
_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


@functools.lru_cache(maxsize=2000)
def is_secret(variable: str) -> bool:
    """Whether a variable's name says that it holds a secret.

    >>> is_secret("OPENAI_API_KEY"), is_secret("HOME")
    (True, False)
    """
    return bool(_SECRET_NAME.search(variable))


def hide(text: str) -> str:
    """`text` without the secrets of this process's environment, whichever way they are written in it."""
    if len(text) < _SHORTEST_SECRET:
        # Most of what code prints: walking the environment takes far longer than printing.
        return text
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and is_secret(name):
            for form in _forms(value):
                text = text.replace(form, HIDDEN)
    return text


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
)


@functools.lru_cache(maxsize=500)
def _forms(secret: str) -> list[str]:
    """What the secret may look like, the longest first: a shorter one may be a part of it."""
    forms = {secret, secret.strip()}
    # One may be within another: JSON of a repr.
    for _ in range(2):
        forms |= {write(form) for form in forms for write in _WAYS_TO_WRITE}
    return sorted((form for form in forms if len(form) >= _SHORTEST_SECRET), key=len, reverse=True)


# A name is bounded: in a long word in which one begins everywhere, the search would take for ever.
_NAMED = re.compile(
    rf"""((?:{_SECRET_NAME.pattern})[\w-]{{0,50}}["']?\s*[:=]\s*)b?("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)""",
    re.IGNORECASE | re.DOTALL,
)


def hide_named(text: str) -> str:
    """`text` without the texts that stand in it under a name like a key's.

    >>> hide_named("{'api_key': 'abc', 'model': 'm'}"), hide_named("Client(token='a', tokens=3)")
    ("{'api_key': [key], 'model': 'm'}", 'Client(token=[key], tokens=3)')
    """
    return _NAMED.sub(rf"\1{HIDDEN}", text)
