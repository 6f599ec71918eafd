"""What a test sees of the store's files."""

from __future__ import annotations

from pathlib import Path


def stored_bytes(path: Path) -> bytes:
    """All that is in the database at `path`: in the file itself, and in what stands beside it."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(f"{path.name}*")))
