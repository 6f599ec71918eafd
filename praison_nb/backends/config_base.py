"""What the configs of agents share: what is secret in them is known from their making on, and leaves them by
no repr and no pickle."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .. import redaction


class Config:
    """The base of a frozen dataclass. A pickle has no key: where it is read the variable counts. What goes
    into each request, such as `extra_headers`, is not in it either, and no value of it in a repr."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Else each dataclass below would make its own.
        cls.__repr__ = Config.__repr__  # type: ignore[method-assign]

    def register_secrets(self) -> None:
        """From now on what is secret in it is hidden in all texts of this process."""
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


def _public(name: str, value: Any) -> Any:
    if name == "api_key":
        return None
    if isinstance(value, Mapping):
        value = {key: inner for key, inner in value.items() if not redaction.is_sent(str(key), inner)}
    public = redaction.redact_value(value, name)
    return value if public == value else public
