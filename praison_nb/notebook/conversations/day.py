"""What a conversation's turns of today cost: those that are over are added up once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ...runtime.run import Run
from ...turn import Turn


@dataclass(frozen=True, slots=True)
class Spending:
    """USD of the turns that have a price; `is_lower_bound` where others have none.

    >>> from decimal import Decimal
    >>> Spending(Decimal("0.01")) + Spending.of(Turn(priced=Decimal("0.02")))
    Spending(usd=Decimal('0.03'), estimated=False, is_lower_bound=False)
    """

    usd: Decimal = Decimal(0)
    estimated: bool = False
    is_lower_bound: bool = False

    @classmethod
    def of(cls, turn: Turn) -> Spending:
        """What one turn cost."""
        cost = turn.cost
        return cls(cost or Decimal(0), bool(turn.estimated_cost), cost is None or turn.is_lower_bound)

    def __add__(self, other: Spending) -> Spending:
        return Spending(
            self.usd + other.usd,
            self.estimated or other.estimated,
            self.is_lower_bound or other.is_lower_bound,
        )


class Day:
    """The turns of `runs`, to which others may be added, since a day began."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._lock = threading.Lock()
        self._begin = 0.0
        self._count = 0
        """How many runs, from the first one on, are in the sum."""
        self._sum = Spending()

    def since(self, begin: float) -> tuple[Spending, list[Turn]]:
        """What the turns cost that began since then (seconds since 1970) or have not ended, and the turns
        that have not ended. From any thread."""
        with self._lock:
            if begin != self._begin:
                self._begin, self._count, self._sum = begin, 0, Spending()
            # The last count of a turn may come after its end.
            while self._count < len(self._runs) and self._runs[self._count].settled.done():
                turn = self._runs[self._count].turn
                self._count += 1
                if turn.started >= begin:
                    self._sum += Spending.of(turn)
            late = [run.turn for run in self._runs[self._count :]]
            counted = [Spending.of(turn) for turn in late if turn.started >= begin or turn.ended is None]
            return sum(counted, self._sum), [turn for turn in late if turn.ended is None]
