"""Who asks, and from where: the user, the notebook and the cell, as the ledger notes them."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Each "" where it is not known. `notebook` is a path, `cell` the cell's id in its file."""

    user: str = ""
    notebook: str = ""
    cell: str = ""


def current_origin() -> Origin:
    """Where the calling thread is. Outside a notebook there are no notebook and no cell."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    if not hasattr(shell, "kernel"):
        return Origin(user())
    # Jupyter's server tells its kernels the notebook's path, VS Code puts it among the variables.
    notebook = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__") or ""
    return Origin(user(), str(notebook), _cell(shell))


def _cell(shell: Any) -> str:
    try:
        parent = shell.get_parent() or {}
        return str((parent.get("metadata") or {}).get("cellId") or "")
    except (AttributeError, LookupError, TypeError):
        return ""


@functools.cache
def user() -> str:
    """The user's name; on a hub the hub's, since there everybody may be the same system user."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
