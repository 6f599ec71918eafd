"""Which process runs a turn, by a file beside the store."""

from __future__ import annotations

from .. import process
from .file import default_path


def this_process() -> str:
    """The name under which this process runs turns."""
    return process.this_process(default_path().parent / "running")
