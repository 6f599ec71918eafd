"""What the configs of agents share: what is secret in them is known from their making on, and leaves them by
no repr and no pickle."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .. import redaction
from ..errors import ConfigError


class Config:
    """The base of a frozen dataclass. A pickle has no key: where it is read the variable counts. What goes
    into each request, such as `extra_headers`, is not in it either, and no value of it in a repr."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Else each dataclass below would make its own.
        cls.__repr__ = Config.__repr__  # type: ignore[method-assign]

    def register_secrets(self) -> None:
        """From now on what is secret in it is hidden in all texts of this process. Raises ConfigError where
        a password in an address cannot be told from the rest of it."""
        for name in ("base_url", "api_base"):
            check_address(getattr(self, name, None), name)
        redaction.register_settings(vars(self))

    def __repr__(self) -> str:
        shown = [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        values = (f"{name}={redaction.masked(getattr(self, name), name)!r}" for name in shown)
        return redaction.redact(f"{type(self).__qualname__}({', '.join(values)})")

    def __getstate__(self) -> dict[str, Any]:
        return {name: _public(name, value) for name, value in vars(self).items()}

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = object.__new__(type(self))
        vars(made).update({name: copy.deepcopy(value, memo) for name, value in vars(self).items()})
        return made


# What stands for itself in the user's part of an address, and codes.
_USER_PART = re.compile(r"(?:[^\s\x00-\x20/?#@:\[\]\\\"<>^`{|}%]|%[0-9A-Fa-f]{2})*")


def check_address(address: object, name: str) -> None:
    """Raise ConfigError where the address has a user's name or password with characters that are to be
    encoded, such as `/` and `@`: a password that ends the host's name too early goes to another host."""
    if not isinstance(address, str) or "@" not in address:
        return
    rest = address.partition("://")[2] or address
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    user, at, _ = authority.rpartition("@")
    if at:
        parts = user.split(":", 1)
        is_right = all(_USER_PART.fullmatch(part.replace(":", "")) for part in parts)
        is_right = is_right and rest.count("@") == 1 and not re.search(r"\s", address)
    else:
        # An @ in the path or after it: a host and its port stand before it, or a password with a slash.
        is_right = bool(re.fullmatch(r"(?:[\w.-]*|\[[\da-fA-F:.]*\])(?::\d{1,5})?", authority))
        is_right = is_right and "#" not in rest
    if not is_right:
        redaction.register(rest.rpartition("@")[0].partition(":")[2], name, may_be_word=True)
        raise ConfigError(
            f"{name}: the user's name or password in it has characters that an address cannot have as they "
            "are: percent-encode both, as urllib.parse.quote(password, safe='') does."
        )


def _public(name: str, value: Any) -> Any:
    if name == "api_key":
        return None
    if isinstance(value, Mapping):
        value = {key: inner for key, inner in value.items() if not redaction.is_sent(str(key), inner)}
    public = redaction.redact_value(value, name)
    return value if public == value else public
