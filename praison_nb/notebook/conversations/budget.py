"""The session's budget of `%agent budget`, which the server minds too where sessions are kept on one."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from typing import Any
from weakref import WeakKeyDictionary

from ...backends.base import Backend
from ...errors import LedgerError
from ...metering import budget, writer
from ...metering.origin import current_origin

_replaced: WeakKeyDictionary[Backend, tuple[Any, Any]] = WeakKeyDictionary()
"""By backend: the budget that its user gave it, and the one that stands in its place."""


def set_budget_of_new_session(backend: Backend) -> None:
    """Have a session that is about to be made on a server minded there by the session's budget too."""
    if hasattr(backend, "set_budget") and not backend.session.id:
        try:
            limit = budget.limits(writer.current(), current_origin()).get("session")
        except LedgerError:
            return
        limit_sessions(backend, limit)


def limit_sessions(backend: Any, limit: Decimal | None) -> None:
    """Have the server mind `limit` in USD, or the backend's own budget where there is no limit or that is
    less."""
    from ...backends.hosted.config import budget_dict

    current = budget_of(backend)
    own, replacement = _replaced.get(backend, (None, None))
    if current is not replacement:
        own = current
    own_limit, least = budget_dict(own), own
    if limit is not None and not (own_limit and Decimal(own_limit["max_list_cost"]["amount"]) <= limit * 100):
        least = limit.quantize(Decimal("0.01"), ROUND_UP)
    if least != current:
        backend.set_budget(least)
        _replaced[backend] = own, least


def budget_of(backend: Any) -> Any:
    """The budget in a backend's config, None without one."""
    return getattr(getattr(backend, "config", None), "budget", None)
