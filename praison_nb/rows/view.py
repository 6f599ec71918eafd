"""Where a notebook puts what shows a map or a comparison. Light: it is imported with the extension."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..runtime.approvals import Asker
    from ..runtime.options import Subscriber
    from .mapping import MapRun

show: Callable[[MapRun, bool], object] | None = None
"""Shows the map that a call of `map` makes, and is told whether its caller awaits it."""

of_comparison: Callable[[bool], tuple[Asker | None, Callable[[Any], Subscriber] | None]] | None = None
"""Who asks about tools of a Comparison, and what makes its view; it is told whether the caller awaits it."""
