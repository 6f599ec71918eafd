"""Prices for requests that had none when they were made. What has a price keeps it.

changes = planned(ledger)      # nothing is written
apply(ledger, changes)
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..money import from_pico, to_pico
from ..session import Usage
from ..storage import transact
from . import prices
from .ledger import MICRO, Ledger, old_turns
from .prices import Cost
from .schema import DONE, LABELS, LEDGER, TOKENS


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
    names = ", ".join(f"l.{name}" for name in LABELS)
    counts = ", ".join(f"r.{name}" for name in TOKENS)
    rows = ledger.read(
        f"SELECT r.n, r.turn, r.time, r.estimated, {counts}, {names} FROM requests r "
        f"JOIN labels l ON l.n = r.label WHERE r.cost IS NULL AND r.state = {DONE} ORDER BY r.n"
    )
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
            _price_request(ledger, connection, change)
        for turn in dict.fromkeys(change.turn for change in changes):
            _name_source(ledger, connection, turn)

    try:
        transact(ledger.connection, write)
    except sqlite3.Error as error:
        raise LEDGER.explain(error, ledger.path) from error
    with contextlib.suppress(OSError):
        # What was kept of old turns is no longer true.
        old_turns(ledger.path).unlink(missing_ok=True)


def _price_request(ledger: Ledger, connection: sqlite3.Connection, change: Change) -> None:
    cost = change.cost
    usd, fees = to_pico(cost.usd or Decimal(0)), to_pico(cost.fees)
    named = {**dict(zip(LABELS, change.labels, strict=True))}
    named |= {"cost_source": cost.source, "price_source": cost.price_source}
    label = ledger.label(connection, tuple(named[name] for name in LABELS))
    done = connection.execute(
        "UPDATE requests SET cost = ?, fees = ?, is_lower_bound = ?, label = ? WHERE n = ? AND cost IS NULL",
        (usd, fees, cost.is_lower_bound, label, change.request),
    )
    if not done.rowcount:
        # Another kernel was faster.
        return
    # Where the provider's own word is the turn's cost, it has this request in it already.
    connection.execute(
        """
        UPDATE turns SET
            priced = priced + iif(cost IS NULL, :usd, 0),
            extra_cost = extra_cost - iif(cost IS NULL, 0, :usd),
            unpriced = max(0, unpriced - (cost IS NULL)), fees = fees + :fees,
            is_lower_bound = max(is_lower_bound, :bound), estimated_cost = estimated_cost + :estimated,
            cost = iif(cost IS NULL AND unpriced = 1, priced + :usd, cost)
        WHERE n = :turn
        """,
        {
            "usd": usd,
            "fees": fees,
            "bound": cost.is_lower_bound,
            "estimated": usd if change.usage.estimated else 0,
            "turn": change.turn,
        },
    )


def _name_source(ledger: Ledger, connection: sqlite3.Connection, turn: int) -> None:
    """The turn's source: that of its requests, where it is the same."""
    names = ", ".join(f"l.{name}" for name in LABELS)
    query = f"SELECT {names} FROM turns t JOIN labels l ON l.n = t.label WHERE t.n = ?"
    named = dict(zip(LABELS, connection.execute(query, (turn,)).fetchone(), strict=True))
    rows = connection.execute(
        "SELECT DISTINCT l.cost_source FROM requests r JOIN labels l ON l.n = r.label WHERE r.turn = ?",
        (turn,),
    )
    sources = {source for (source,) in rows}
    if named["cost_source"] == "provider" or not sources:
        return
    named["cost_source"] = (
        sources.pop() if len(sources) == 1 else "unpriced" if "unpriced" in sources else "mixed"
    )
    label = ledger.label(connection, tuple(named[name] for name in LABELS))
    connection.execute("UPDATE turns SET label = ? WHERE n = ?", (label, turn))


def total(changes: Iterable[Change]) -> Decimal:
    """USD of all changes."""
    return from_pico(sum(to_pico(change.cost.usd or Decimal(0)) for change in changes))
