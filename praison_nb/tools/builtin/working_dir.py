"""The folder that the user is in. `%cd` moves it, code of the model does not: file tools that ask nothing
begin there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_kept: list[str] = []


def current() -> str:
    """The process's folder, while code of the model runs that of before. Raises FileNotFoundError where it
    was removed."""
    return _kept[0] if _kept else os.getcwd()


@contextmanager
def restored() -> Iterator[None]:
    """Go back to this folder at the end. On the main thread only, where calls may be nested."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        yield
        return
    _kept.append(folder)
    try:
        yield
    finally:
        # The code may have removed it.
        with suppress(OSError):
            os.chdir(folder)
        _kept.pop()
