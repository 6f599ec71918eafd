"""One limit in USD for several turns at once, such as those of a map over rows.

>>> from praison_nb.turn import Turn
>>> budget = SharedBudget(Decimal(1))
>>> budget.reserve("request", "turn", Decimal("0.25"))
>>> budget.spent().reserved
Decimal('0.25')
>>> budget.note(Turn(id="turn", requests=("request",), priced=Decimal("0.125"), ended=1.0))
>>> budget.spent().usd, budget.spent().reserved
(Decimal('0.125'), Decimal('0'))
"""

from __future__ import annotations

import threading
from decimal import Decimal

from ..events import Scope, Spent
from ..turn import Turn


class SharedBudget:
    """What turns have spent of `limit` together; `per` says whose turns they are. May be used by any
    thread."""

    def __init__(self, limit: Decimal, per: Scope = "map") -> None:
        self.limit, self._per = limit, per
        self._lock = threading.Lock()
        self._usd = Decimal(0)
        self._unpriced = 0
        self._reserved: dict[str, tuple[str, Decimal]] = {}
        """By the ids of requests that have begun: whose turn each is, and what it may cost."""

    def spent(self) -> Spent:
        """What was spent so far, and what requests that have begun may cost besides."""
        with self._lock:
            reserved = sum((usd for _, usd in self._reserved.values()), Decimal(0))
            return Spent(
                per=self._per, usd=self._usd, limit=self.limit, reserved=reserved, unpriced=self._unpriced
            )

    def reserve(self, request_id: str, turn_id: str, usd: Decimal) -> None:
        """A request is about to be sent that may cost so much."""
        with self._lock:
            self._reserved[request_id] = turn_id, usd

    def finish(self, request_id: str) -> None:
        """The request's cost is known, and in its turn's."""
        with self._lock:
            self._reserved.pop(request_id, None)

    def note(self, turn: Turn, before: Turn | None = None) -> None:
        """Count the turn as it is now, which was counted as it was `before`. Requests that nobody has counted
        stay reserved."""
        with self._lock:
            self._usd += turn.known_cost - (before.known_cost if before else 0)
            self._unpriced += (turn.unpriced_requests > 0) - bool(before and before.unpriced_requests)
            if turn.ended is not None and not turn.is_cut_off:
                for request in [each for each, (owner, _) in self._reserved.items() if owner == turn.id]:
                    del self._reserved[request]
