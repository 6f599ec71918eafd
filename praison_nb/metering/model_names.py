"""By which names the price table may know a model that a server calls by one of its own.

>>> list(names("accounts/fireworks/models/deepseek-v3p2", "fireworks"))[1]
('deepseek-v3p2', '')
>>> list(names("openai/gpt-4o:online", "openrouter"))
[('openai/gpt-4o:online', ''), ('openai/gpt-4o', 'more')]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from . import price_table

Surcharge = Literal["", "more", "free"]
"""Whether a name's price is the whole one, or only the least, or nothing is paid."""

_FOLDER = re.compile(r"^(?:.*/)?(?:models|deployments)/")
_DATE = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2})$|[-:]latest$")
_VARIANTS: dict[str, Surcharge] = {
    "free": "free",
    "beta": "",
    "extended": "",
    "thinking": "",
    # A search, or a faster provider, which costs more.
    "online": "more",
    "nitro": "more",
    "exacto": "more",
}
"""Of OpenRouter's names, behind a colon. What `:floor` costs depends on who has it cheapest."""


def names(model: str, provider: str) -> Iterator[tuple[str, Surcharge]]:
    """Names to look for, the most exact first. A tuned model (`ft:`) is never priced as the one below it."""
    yield model, ""
    if model.startswith("ft:"):
        return
    base, colon, variant = model.rpartition(":")
    if colon and provider == "openrouter" and variant in _VARIANTS:
        yield base, _VARIANTS[variant]
        return
    short = _FOLDER.sub("", model)
    prefix, slash, rest = short.partition("/")
    if slash and (prefix == provider or price_table.provider_id(prefix) == provider):
        short = rest
    for name in (short, dateless(short)):
        if name != model:
            yield name, ""


def dateless(model: str) -> str:
    """A model's name without the date of its version.

    >>> dateless("gpt-4o-mini-2024-07-18"), dateless("claude-3-5-haiku-latest")
    ('gpt-4o-mini', 'claude-3-5-haiku')
    """
    return _DATE.sub("", model)
