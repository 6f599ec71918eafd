"""Budgets in USD: of a turn, a session, a notebook, a day. All but a turn's are kept in the ledger, so that
kernels share them with it.

>>> parse("5/day"), parse("0.50/session"), parse("off")
((Decimal('5'), 'day'), (Decimal('0.50'), 'session'), (None, ''))
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, get_args

from ..errors import ConfigError
from ..events import Scope, Spent
from ..turn import Turn
from .ledger import TurnRow, pico, usd
from .origin import Origin
from .schema import LABELS, LedgerError
from .user_prices import parse_usd
from .writer import Writer

SCOPES = tuple(scope for scope in get_args(Scope) if scope != "turn")
WARN_AT = Decimal("0.8")
LOCK_SECONDS = 1.0

_SAME = {"day": ("user",), "notebook": ("user", "notebook"), "session": ("session_id",)}
"""The labels that the turns of a scope have in common."""


def parse(text: str) -> tuple[Decimal | None, str]:
    """A limit in USD and its scope; None takes the limit away ("off": all of them). Raises ConfigError."""
    told, _, scope = text.strip().partition("/")
    told, scope = told.strip(), scope.strip() or ("" if told.strip() == "off" else "day")
    if scope and scope not in SCOPES:
        raise ConfigError(f"A budget is for a {', '.join(SCOPES)}, not {scope!r}: write 5/day, say.")
    if told == "off":
        return None, scope
    limit = parse_usd(told, "The budget")
    if not pico(limit):
        raise ConfigError("A budget must be more than $0. `off` takes it away: `%agent budget off/day`.")
    return limit, scope


def put(book: Writer, limit: Decimal | None, scope: str, place: Origin) -> None:
    """Set a limit, or take it away with None (with no scope: all that count here). Raises ConfigError and
    LedgerError."""
    if scope == "notebook" and not place.notebook:
        raise ConfigError("This kernel does not know its notebook: set a budget for the day or session.")
    with book.lock:
        if limit is None:
            for each in [scope] if scope else SCOPES:
                key = _key(each, place)
                book.ledger.change("DELETE FROM budgets WHERE per = ? AND key = ?", (each, key))
        else:
            values = (scope, _key(scope, place), pico(limit))
            book.ledger.change("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?)", values)


def limits(book: Writer, place: Origin) -> dict[str, Decimal]:
    """The limits that count here, by scope. Raises LedgerError."""
    told = _read(book, "SELECT per, key, usd FROM budgets")
    return {per: usd(value) or Decimal(0) for per, key, value in told if key == _key(per, place)}


def of_turn(turn: Turn, limit: Decimal | None) -> list[Spent]:
    """What the turn spent of its own `limit`."""
    if limit is None:
        return []
    unpriced = int(turn.unpriced_requests > 0)
    return [Spent(per="turn", usd=turn.known_cost, limit=limit, unpriced=unpriced)]


def shared(book: Writer, turn: Turn, place: Origin) -> list[Spent]:
    """What the turn's session and each scope with a limit spent so far. It reads the ledger: not on the
    loop's thread. Raises LedgerError."""
    told: list[Spent] = []
    known = limits(book, place)
    for scope in SCOPES:
        if scope in known or (scope == "session" and turn.session_id):
            total, turns, unpriced = _total(book, scope, turn.session_id, place)
            told.append(Spent(per=scope, usd=total, limit=known.get(scope), turns=turns, unpriced=unpriced))
    return told


def totals(book: Writer, place: Origin, scopes: Iterable[str]) -> dict[str, Decimal]:
    """USD spent so far in each of `scopes`; of sessions the one that spent most. Raises LedgerError."""
    told = {}
    for scope in scopes:
        if scope == "session":
            query = (
                "SELECT coalesce(sum(t.priced), 0) FROM turns t JOIN labels l ON l.n = t.label "
                "WHERE l.user = ? AND l.notebook = ? GROUP BY l.session_id ORDER BY 1 DESC LIMIT 1"
            )
            rows = _read(book, query, (place.user, place.notebook))
            told[scope] = (usd(rows[0][0]) if rows else None) or Decimal(0)
        else:
            told[scope] = _total(book, scope, "", place)[0]
    return told


def today() -> int:
    """Microseconds since 1970 when this day began (UTC, as providers bill)."""
    now = int(time.time())
    return (now - now % 86_400) * 1_000_000


def _total(book: Writer, scope: str, session_id: str, place: Origin) -> tuple[Decimal, int, int]:
    told = {"user": place.user, "notebook": place.notebook, "session_id": session_id}
    same = {name: told[name] for name in _SAME[scope]}
    since = today() if scope == "day" else 0
    # What could not be written yet counts too, in place of the turn's row in the file.
    late = {row.id: row for row in tuple(book.waiting) if isinstance(row, TurnRow)}
    query = (
        "SELECT coalesce(sum(t.priced), 0), count(*), coalesce(sum(t.unpriced > 0), 0) FROM turns t "
        f"JOIN labels l ON l.n = t.label WHERE {' AND '.join(f'l.{name} = ?' for name in same)} "
        f"AND t.time >= ? AND t.id NOT IN ({', '.join('?' * len(late))})"
    )
    total, turns, unpriced = _read(book, query, [*same.values(), since, *late])[0]
    ours = [row for row in late.values() if row.time * 1_000_000 >= since and _has(row, same)]
    total += sum(pico(row.priced) or 0 for row in ours)
    return usd(total) or Decimal(0), turns + len(ours), unpriced + sum(row.unpriced > 0 for row in ours)


def _has(row: TurnRow, labels: dict[str, str]) -> bool:
    return labels.items() <= dict(zip(LABELS, row.labels, strict=True)).items()


def warning(told: Spent) -> str:
    """The line for a budget of which much is used, "" where little is.

    >>> warning(Spent(per="day", usd=Decimal("4.1"), limit=Decimal(5)))
    "82% of the day's budget is used: $4.10 of $5.00."
    """
    if not told.limit or told.usd < told.limit * WARN_AT or told.usd >= told.limit:
        return ""
    share = int(told.usd / told.limit * 100)
    return f"{share}% of the {told.per}'s budget is used: {_usd(told.usd)} of {_usd(told.limit)}."


def uncounted(told: Spent) -> str:
    """The line for a budget that cannot see everything, "" where it can."""
    if told.limit is None or not told.unpriced:
        return ""
    turns = f"{told.unpriced} turn{'s' if told.unpriced > 1 else ''}"
    return (
        f"The {told.per}'s budget cannot count {turns} without a price: set one with "
        "`%agent price MODEL --input USD --output USD`, or `--free`."
    )


def reached(told: Spent) -> str:
    """The line that ends a turn because a budget is used up, "" where it is not."""
    if told.limit is None or told.usd < told.limit:
        return ""
    higher = _usd(told.limit * 2).lstrip("$")
    more = f"--budget {higher}" if told.per == "turn" else f"`%agent budget {higher}/{told.per}`"
    fresh = {"day": " A new day begins at 00:00 UTC.", "session": " `--new` begins a new session."}
    return (
        f"the {told.per}'s budget of {_usd(told.limit)} is used up ({_usd(told.usd)} spent): {more} raises "
        f"it, then ask it to go on.{fresh.get(told.per, '')}"
    )


def _read(book: Writer, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    # Another kernel may keep the file busy for long: a turn does not wait for that.
    busy = LedgerError(f"The ledger {book.path} is busy.")
    return book.exclusively(LOCK_SECONDS, lambda: book.ledger.read(query, values), busy)


def _key(scope: str, place: Origin) -> str:
    return place.user if scope == "day" else place.notebook


def _usd(value: Decimal) -> str:
    return f"${value:,.2f}" if value == value.quantize(Decimal("0.01")) else f"${value:,.4f}"
