"""Prices for requests that had none when they were made. What has a price keeps it.

changes = planned(ledger)      # nothing is written
apply(ledger, changes)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..money import from_pico, to_pico
from ..session import Usage
from . import prices, statements
from .ledger import MICRO, Ledger
from .prices import Cost
from .schema import LABELS, TIMEOUT_SECONDS, TOKENS


@dataclass(frozen=True, slots=True)
class Change:
    """A request, by its number in the ledger and its turn's, and what it costs by the prices of now."""

    request: int
    turn: int
    labels: tuple[str, ...]
    usage: Usage
    cost: Cost

    def label(self, name: str) -> str:
        """One of the request's names."""
        return self.labels[LABELS.index(name)]


def planned(ledger: Ledger) -> list[Change]:
    """What would change; a request whose price is not known yet is not among it. Raises LedgerError."""
    rows = ledger.read(statements.UNPRICED)
    return [change for row in rows if (change := _change(row)).cost.usd is not None]


def _change(row: Sequence[Any]) -> Change:
    number, turn, time, estimated, *rest = row
    counts, labels = rest[: len(TOKENS)], tuple(rest[len(TOKENS) :])
    usage = Usage(**dict(zip(TOKENS, counts, strict=True)), estimated=bool(estimated))
    named = dict(zip(LABELS, labels, strict=True))
    found = prices.cost(usage, named["model"], named["provider"], time / MICRO, named["service_tier"])
    return Change(number, turn, labels, usage, found)


def apply(ledger: Ledger, changes: Iterable[Change]) -> None:
    """Note the costs, all or none, in the requests and in their turns. Raises LedgerError."""
    changes = [*changes]

    def write(connection: sqlite3.Connection) -> None:
        for change in changes:
            _price(ledger, connection, change)
        for turn in dict.fromkeys(change.turn for change in changes):
            _name_source(ledger, connection, turn)

    ledger.transact(write, TIMEOUT_SECONDS, is_durable=True)


def _price(ledger: Ledger, connection: sqlite3.Connection, change: Change) -> None:
    cost = change.cost
    named = dict(zip(LABELS, change.labels, strict=True))
    named |= {"cost_source": cost.source, "price_source": cost.price_source}
    usd = to_pico(cost.usd or Decimal(0))
    values = {
        "usd": usd,
        "fees": to_pico(cost.fees),
        "bound": cost.is_lower_bound,
        "estimated": usd if change.usage.estimated else 0,
        "label": ledger.label(connection, tuple(named[name] for name in LABELS)),
        "request": change.request,
        "turn": change.turn,
    }
    # Another kernel may have been faster.
    if connection.execute(statements.PRICE_REQUEST, values).rowcount:
        connection.execute(statements.PRICE_TURN, values)


def _name_source(ledger: Ledger, connection: sqlite3.Connection, turn: int) -> None:
    """The turn's source: that of its requests, where it is the same."""
    labels = connection.execute(statements.LABELS_OF_TURN, (turn,)).fetchone()
    sources = {source for (source,) in connection.execute(statements.SOURCES_OF_TURN, (turn,))}
    # A user may have taken away a label by hand.
    if labels is None or not sources:
        return
    named = dict(zip(LABELS, labels, strict=True))
    if named["cost_source"] == "provider":
        return
    several = "unpriced" if "unpriced" in sources else "mixed"
    named["cost_source"] = sources.pop() if len(sources) == 1 else several
    label = ledger.label(connection, tuple(named[name] for name in LABELS))
    connection.execute(statements.LABEL_TURN, (label, turn))


def total(changes: Iterable[Change]) -> Decimal:
    """USD of all changes."""
    return from_pico(sum(to_pico(change.cost.usd or Decimal(0)) for change in changes))
