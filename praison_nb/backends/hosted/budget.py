"""A session's budget as the API has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from ...errors import ConfigError

CENT = Decimal("0.01")


def budget_dict(budget: float | Decimal | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A budget in USD as the API has it: whole cents, written as text. Raises ConfigError.

    >>> budget_dict(2.5)["max_list_cost"]
    {'amount': '250', 'currency': 'USD'}
    """
    if budget is None:
        return None
    if not isinstance(budget, Mapping):
        return {"type": "limit", "max_list_cost": {"amount": _cents(budget), "currency": "USD"}}
    cost = budget.get("max_list_cost")
    cost = cost if isinstance(cost, Mapping) else {}
    is_whole = isinstance(cost.get("amount"), str) and re.fullmatch(r"[1-9]\d*", cost["amount"])
    if budget.get("type") != "limit" or not is_whole or cost.get("currency") != "USD":
        raise ConfigError(
            'budget must be USD, or {"type": "limit", "max_list_cost": {"amount": "250", "currency": "USD"}} '
            "with the amount in cents."
        )
    return dict(budget)


class BudgetLimit:
    """The user's own budget of a config, and the lesser one that was put in its place."""

    def __init__(self) -> None:
        self._own: Any = None
        self._put: Any = None

    def apply(self, budget: Any, limit: Decimal | None) -> Any:
        """The user's own budget, or `limit` in USD, in whole cents and at least one, where that is
        less. `budget` is the
        config's: the user's own where it is not what was returned last.

        >>> limited = BudgetLimit()
        >>> budget = limited.apply(2, Decimal("1.234"))
        >>> budget, limited.apply(budget, None)
        (Decimal('1.23'), 2)
        """
        if budget is not self._put:
            self._own = budget
        known = budget_dict(self._own)
        if limit is None or (known and Decimal(known["max_list_cost"]["amount"]) <= limit * 100):
            self._put = self._own
        else:
            self._put = max(limit.quantize(CENT, ROUND_DOWN), CENT)
        return self._put


def _cents(dollars: Any) -> str:
    try:
        amount = Decimal(str(dollars)) * 100
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(dollars, bool) or not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise ConfigError(f"budget must be USD above 0 in whole cents, not {dollars!r:.60}.")
    return str(int(amount))
