"""The lines about budgets that a turn shows, each once."""

from __future__ import annotations

from collections.abc import Sequence

from ..events import Spent
from . import budget, user_prices

_shown: set[str] = set()
"""What was shown in this process, by what it is about."""


def budget_notices(spent: Sequence[Spent], shown: set[str]) -> list[str]:
    """What the user should read about `spent`. `shown`, the keys of what the turn has shown, grows."""
    lines = []
    for each in spent:
        lines += once(budget.warning(each), each.per, shown)
        lines += once(budget.unpriced_warning(each), f"unpriced {each.per}", _shown)
    return lines + once(user_prices.problem, user_prices.problem, _shown)


def once(line: str, key: str, shown: set[str]) -> list[str]:
    """`[line]`, or nothing where it is empty or one with this key was shown before."""
    if not line or key in shown:
        return []
    shown.add(key)
    return [line]
