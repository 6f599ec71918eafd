"""The forms in which providers are asked: one neutral history, three wires."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import cast

from .base import Effort, ModelRequest, OutputFormat, Reader, Rules, Wire

NAMES = ("chat", "responses", "messages")
"""Of the wires."""


@functools.cache
def wire(name: str) -> Wire:
    """The wire of this name, one of NAMES: the module of the same name, loaded when it is asked for, has it
    as `WIRE`.

    >>> wire("chat").path
    'chat/completions'
    """
    if name not in NAMES:
        raise ValueError(f"there is no wire {name!r}, only {', '.join(NAMES)}")
    return cast(Wire, import_module(f".{name}", __name__).WIRE)
