"""What the first turn of a kernel would wait for a second for, imported before that by a thread."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from ..imports import rare_collections

NAME = "praison_nb imports"
FORK_SECONDS = 5.0
"""A fork waits so long at most: the thread may in turn wait for a lock that the fork holds already."""


def preload(backend: str, model: str, is_over: threading.Event) -> None:
    """Load what a turn needs on this backend and model ("" where this machine chooses), the SDK first. When
    it `is_over`, the rest is left to the turn that needs it: threads that import beside each other wait for
    each other. It opens no socket, and what fails here fails again where it is needed."""
    thread = threading.Thread(target=_preload, args=(backend, model, is_over), name=NAME, daemon=True)
    thread.start()

    def end() -> None:
        # In the child nobody would end the import of a module, and whoever needs that would wait for ever.
        is_over.set()
        thread.join(FORK_SECONDS)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=end)


def _preload(backend: str, model: str, is_over: threading.Event) -> None:
    with suppress(Exception), rare_collections():
        from ..backends.catalog import likely_modules

        load = functools.partial(importlib.import_module, package=__package__)
        sdk, *modules = likely_modules(backend, model)
        more = "filelock", "markdown_it", "..render.markdown_rules"
        steps: list[Callable[[], object]] = [
            *(functools.partial(load, name) for name in (sdk, ".cell", *modules)),
            _read_prices,
            functools.partial(_read_certificates, sdk),
            *(functools.partial(load, name) for name in more),
            _read_parent,
        ]
        for step in steps:
            if is_over.is_set():
                return
            with suppress(Exception):
                step()


def _read_prices() -> None:
    from ..metering import price_table

    price_table.snapshot()


def _read_certificates(sdk: str) -> None:
    from ..backends import http_client

    http_client.read_certificates(sys.modules[sdk].DefaultAsyncHttpxClient)


def _read_parent() -> None:
    from .views.console import is_console

    is_console()
