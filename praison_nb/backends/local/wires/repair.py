"""The history as every server takes it: calls and results in pairs, ids that fit, nothing that another model
wrote for itself. Pure; the stored history stays as it was said."""

from __future__ import annotations

from collections.abc import Sequence

from ....history import Item


def repaired(history: Sequence[Item], *, wire: str, origin: str, ids: str) -> list[Item]:
    """`history` with exactly one Result behind each group of Calls for each of them, in the calls' order, ids
    unique in the whole history and matching `ids` (a regular expression, fully), names and arguments that a
    server takes, and only the opaque items of `wire` and `origin`."""
    raise NotImplementedError
