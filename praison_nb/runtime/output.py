"""Text into the output of whoever waits: a notebook's cell, or a terminal."""

from __future__ import annotations

import sys

from ..text import strip_control_chars


def write_output(text: str) -> None:
    """Write `text` into the output where there is one, without what could drive a terminal."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.write(strip_control_chars(text))
        sys.stdout.flush()
