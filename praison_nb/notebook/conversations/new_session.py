"""What a session that begins on a server may cost there, by the budgets that are kept here."""

from __future__ import annotations

import time
from contextlib import suppress
from decimal import ROUND_DOWN, Decimal

from ...backends.base import Backend
from ...errors import ConfigError, LedgerError
from ...metering import budget, writer
from ...metering.origin import current_origin
from ...money import format_cents

CENT = Decimal("0.01")
"""A server's budgets are in whole ones."""


def limit_new_session(backend: Backend) -> list[str]:
    """Have a session that a server is about to make end there at what is left of the budgets, and return
    lines that say so: how much a request may cost cannot be limited here."""
    if not backend.keeps_sessions_on_server or backend.session.id:
        return []
    with suppress(LedgerError, ConfigError):
        spent = budget.tightest(writer.current(), current_origin(), time.time())
        if spent is None or spent.per == "session":
            backend.limit_budget(spent.limit if spent else None)
        else:
            left = max(budget.left(spent).quantize(CENT, ROUND_DOWN), CENT)
            backend.limit_budget(left)
            return [
                f"The server ends this session at {format_cents(left, exact=True)}, which is left of the "
                f"{spent.per}'s budget; a request that is under way then may cost more."
            ]
    return []
