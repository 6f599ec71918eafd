"""What the first turn of a kernel would wait for a second for, imported before that by a thread."""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress

NAME = "praison_nb imports"


def preload(backend: str, model: str) -> None:
    """Import the SDK of a turn on this backend and model ("" where this machine chooses), and the price
    table. It opens no socket, and what fails here fails again where it is needed."""
    threading.Thread(target=_preload, args=(backend, model), name=NAME, daemon=True).start()


def _preload(backend: str, model: str) -> None:
    with suppress(Exception):
        from ..backends.catalog import likely_sdk
        from ..metering import prices

        importlib.import_module(likely_sdk(backend, model))
        prices.preload()
