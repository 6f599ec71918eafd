"""Tags: what a turn is for, in names of the user's own, so that its cost can be told apart by them.

>>> decoded(encoded({"study": "churn", "step": "2"}))
{'step': '2', 'study': 'churn'}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigError

LONGEST = 300
"""Characters of all tags of a turn together, as the ledger keeps them."""
_NAME = re.compile(r"[A-Za-z_][\w.-]*")

_of_notebook: dict[str, str] = {}


def parse_all(texts: Iterable[str]) -> dict[str, str]:
    """Tags, each written "name=value". Raises ConfigError.

    >>> parse_all(["study=churn", "step = 2"])
    {'study': 'churn', 'step': '2'}
    """
    found = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not is_tag(name, value):
            raise ConfigError(
                f"A tag is name=value, such as study=churn, and has no comma in it: not {text!r:.60}."
            )
        found[name] = value
    return found


def checked(tags: Any) -> dict[str, str]:
    """`tags` as code gives them. Raises ConfigError."""
    if tags is not None and not isinstance(tags, Mapping):
        raise ConfigError(f"tags must be a dict such as {{'study': 'churn'}}, not {tags!r:.60}.")
    if not tags:
        return {}
    found = parse_all(f"{name}={value}" for name, value in tags.items())
    if (length := len(encoded(found))) > LONGEST:
        raise ConfigError(f"The tags of a turn have {LONGEST} characters together at most, not {length}.")
    return found


def of_turn(metadata: Any, tags: Any) -> dict[str, str]:
    """All tags of a turn that begins now: what is text or a number of its agent's `metadata`, over that the
    notebook's, over that its own `tags`. Raises ConfigError."""
    explicit = checked({**_of_notebook, **checked(tags)})
    metadata = metadata.items() if isinstance(metadata, Mapping) else ()
    found = {
        name: str(value)
        for name, value in metadata
        if isinstance(name, str) and isinstance(value, str | int | float) and is_tag(name, str(value))
    } | explicit
    # Metadata may be of any length, and was not written for this.
    return found if len(encoded(found)) <= LONGEST else explicit


def of_notebook(changes: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """The tags of all turns of this process, after these `changes`; the value "" takes one away. Raises
    ConfigError."""
    after = {name: value for name, value in {**_of_notebook, **(changes or {})}.items() if value}
    checked(after)
    _of_notebook.clear()
    _of_notebook.update(after)
    return after


def is_tag(name: str, value: str) -> bool:
    """Whether the ledger can keep it."""
    return bool(_NAME.fullmatch(name)) and value.isprintable() and "," not in value


def encoded(tags: Mapping[str, str]) -> str:
    """As one text, in the order of their names; those without a value are left out."""
    return ",".join(f"{name}={value}" for name, value in sorted(tags.items()) if value)


def decoded(text: str) -> dict[str, str]:
    """The tags of such a text."""
    return {name: value for name, _, value in (part.partition("=") for part in text.split(",")) if name}
