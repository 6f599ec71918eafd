"""Where a notebook puts what shows a map. Light: it is imported with the extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mapping import MapRun

show: Callable[[MapRun, bool], object] | None = None
"""Shows the map that a call of `map` began, and is told whether its caller awaits it."""
