"""marimo, whose kernel has no IPython: widgets are had there, magics are not."""

from __future__ import annotations

import functools
import sys
from typing import Any


def is_marimo() -> bool:
    """Whether this is a notebook of marimo's."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())


@functools.cache
def shell() -> Any:
    """A shell with the notebook's variables, for what the extension asks of one."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell(config=config, user_module=sys.modules["__main__"])
