"""The budget with which the server ends a session, where the budgets that are kept here end."""

from __future__ import annotations

import functools
from decimal import ROUND_DOWN, Decimal

from ...errors import PraisonError
from ...money import format_cents
from .api import set_budget
from .budget import CENT, budget_dict
from .client import ask
from .config import HostedAgentConfig
from .session import HostedSession


async def limit_cost(config: HostedAgentConfig, session: HostedSession, limit: Decimal | None) -> str:
    """Have the server end the session after `limit` more USD, or at its own budget where that is less, and
    return a line where it does not, else "". A session that was made without a budget stays without."""
    own = session.own_budget
    if session.budget is None or own is None:
        return ""
    usd = own
    if limit is not None:
        usd = min(own, session.cost + max(limit.quantize(CENT, ROUND_DOWN), CENT))
    if usd == session.budget:
        return ""
    update = functools.partial(set_budget, session_id=session.id, budget=budget_dict(usd))
    try:
        await ask(config, update, session.label)
    except PraisonError as error:
        kept = format_cents(session.budget, exact=True)
        return (
            f"The server ends this session at {kept} still, not at {format_cents(usd, exact=True)}: {error}"
        )
    session.budget = usd
    return ""
