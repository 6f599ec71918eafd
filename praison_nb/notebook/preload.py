"""What the first turn of a kernel would wait for a second for, imported before that by a thread."""

from __future__ import annotations

import functools
import importlib
import os
import threading
from contextlib import suppress

NAME = "praison_nb imports"
FORK_SECONDS = 5.0
"""A fork waits so long at most: the thread may in turn wait for a lock that the fork holds already."""


def preload(backend: str, model: str) -> None:
    """Import the SDK of a turn on this backend and model ("" where this machine chooses), and the price
    table. It opens no socket, and what fails here fails again where it is needed."""
    thread = threading.Thread(target=_preload, args=(backend, model), name=NAME, daemon=True)
    thread.start()
    if hasattr(os, "register_at_fork"):
        # In the child nobody would end the import of a module, and whoever needs that would wait for ever.
        os.register_at_fork(before=functools.partial(thread.join, FORK_SECONDS))


def _preload(backend: str, model: str) -> None:
    with suppress(Exception):
        from ..backends.catalog import likely_sdk
        from ..metering import prices

        importlib.import_module(likely_sdk(backend, model))
        prices.preload()
