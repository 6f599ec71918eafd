"""Budgets in USD: of a turn, a session, a notebook, a day. All but a turn's are kept in the ledger, so that
kernels share them with it.

>>> parse("5/day"), parse("0.50/session"), parse("off")
((Decimal('5'), 'day'), (Decimal('0.50'), 'session'), (None, ''))
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from ..errors import ConfigError, LedgerError
from ..events import Scope, Spent
from ..money import format_cents, from_pico, parse_usd, to_pico
from ..turn import Turn
from .ledger import TurnRow
from .origin import Origin
from .schema import LABELS
from .writer import Writer

SCOPES: tuple[Scope, ...] = ("session", "notebook", "day")
WARN_AT = Decimal("0.8")
LOCK_SECONDS = 1.0

_SAME = {"day": ("user",), "notebook": ("user", "notebook"), "session": ("session_id",)}
"""The labels that the turns of a scope have in common."""


def parse(text: str) -> tuple[Decimal | None, str]:
    """A limit in USD and its scope; None takes the limit away ("off": all of them). Raises ConfigError."""
    amount, _, scope = (part.strip() for part in text.partition("/"))
    scope = scope or ("" if amount == "off" else "day")
    if scope and scope not in SCOPES:
        raise ConfigError(f"A budget is for a {', '.join(SCOPES)}, not {scope!r}: write 5/day, say.")
    if amount == "off":
        return None, scope
    limit = parse_usd(amount, "The budget")
    if not to_pico(limit):
        raise ConfigError("A budget must be more than $0. `off` takes it away: `%agent budget off/day`.")
    return limit, scope


def set_limit(writer: Writer, limit: Decimal | None, scope: str, origin: Origin) -> None:
    """Set a limit, or take it away with None (with no scope: all that count here). Raises ConfigError and
    LedgerError."""
    if scope == "notebook" and not origin.notebook:
        raise ConfigError("This kernel does not know its notebook: set a budget for the day or session.")
    with writer.lock:
        if limit is None:
            for each in [scope] if scope else SCOPES:
                key = _key(each, origin)
                writer.ledger.change("DELETE FROM budgets WHERE per = ? AND key = ?", (each, key))
        else:
            values = (scope, _key(scope, origin), to_pico(limit))
            writer.ledger.change("INSERT OR REPLACE INTO budgets VALUES (?, ?, ?)", values)


def limits(writer: Writer, origin: Origin) -> dict[str, Decimal]:
    """The limits that count here, by scope. Raises LedgerError."""
    rows = _read(writer, "SELECT per, key, usd FROM budgets")
    return {scope: from_pico(limit) for scope, key, limit in rows if key == _key(scope, origin)}


def spent_by_turn(turn: Turn, limit: Decimal | None) -> list[Spent]:
    """What the turn spent of its own `limit`."""
    if limit is None:
        return []
    unpriced = int(turn.unpriced_requests > 0)
    return [Spent(per="turn", usd=turn.known_cost, limit=limit, unpriced=unpriced)]


def spent_by_scope(writer: Writer, turn: Turn, origin: Origin) -> list[Spent]:
    """What the turn's session and each scope with a limit spent so far. It reads the ledger: not on the
    loop's thread. Raises LedgerError."""
    spent: list[Spent] = []
    known = limits(writer, origin)
    for scope in SCOPES:
        if scope in known or (scope == "session" and turn.session_id):
            usd, turns, unpriced = _total(writer, scope, turn.session_id, origin)
            spent.append(Spent(per=scope, usd=usd, limit=known.get(scope), turns=turns, unpriced=unpriced))
    return spent


def most_spent(writer: Writer, origin: Origin, scopes: Iterable[str]) -> dict[str, Decimal]:
    """USD spent so far in each of `scopes`; of sessions by the one that spent most. Raises LedgerError."""
    spent = {}
    for scope in scopes:
        if scope == "session":
            query = (
                "SELECT sum(t.priced) FROM turns t JOIN labels l ON l.n = t.label "
                "WHERE l.user = ? AND l.notebook = ? GROUP BY l.session_id ORDER BY 1 DESC LIMIT 1"
            )
            rows = _read(writer, query, (origin.user, origin.notebook))
            spent[scope] = from_pico(rows[0][0]) if rows else Decimal(0)
        else:
            spent[scope] = _total(writer, scope, "", origin)[0]
    return spent


def day_began() -> int:
    """Microseconds since 1970 when this day began (UTC, as providers bill)."""
    now = int(time.time())
    return (now - now % 86_400) * 1_000_000


def _total(writer: Writer, scope: str, session_id: str, origin: Origin) -> tuple[Decimal, int, int]:
    known = {"user": origin.user, "notebook": origin.notebook, "session_id": session_id}
    same = {name: known[name] for name in _SAME[scope]}
    since = day_began() if scope == "day" else 0
    # What could not be written yet counts too, in place of the turn's row in the file.
    late = {row.id: row for row in tuple(writer.waiting) if isinstance(row, TurnRow)}
    query = (
        "SELECT coalesce(sum(t.priced), 0), count(*), coalesce(sum(t.unpriced > 0), 0) FROM turns t "
        f"JOIN labels l ON l.n = t.label WHERE {' AND '.join(f'l.{name} = ?' for name in same)} "
        f"AND t.time >= ? AND t.id NOT IN ({', '.join('?' * len(late))})"
    )
    total, turns, unpriced = _read(writer, query, [*same.values(), since, *late])[0]
    more = [row for row in late.values() if row.time * 1_000_000 >= since and _has(row, same)]
    total += sum(to_pico(row.priced) for row in more)
    return from_pico(total), turns + len(more), unpriced + sum(row.unpriced > 0 for row in more)


def _has(row: TurnRow, labels: dict[str, str]) -> bool:
    return labels.items() <= dict(zip(LABELS, row.labels, strict=True)).items()


def warning(spent: Spent) -> str:
    """The line for a budget of which much is used, "" where little is.

    >>> warning(Spent(per="day", usd=Decimal("4.1"), limit=Decimal(5)))
    "82% of the day's budget is used: $4.10 of $5.00."
    """
    if not spent.limit or spent.usd < spent.limit * WARN_AT or spent.usd >= spent.limit:
        return ""
    share, of = int(spent.usd / spent.limit * 100), format_cents(spent.limit, exact=True)
    return f"{share}% of the {spent.per}'s budget is used: {format_cents(spent.usd, exact=True)} of {of}."


def unpriced_warning(spent: Spent) -> str:
    """The line for a budget that cannot see everything, "" where it can."""
    if spent.limit is None or not spent.unpriced:
        return ""
    turns = f"{spent.unpriced} turn{'s' if spent.unpriced > 1 else ''}"
    return (
        f"The {spent.per}'s budget cannot count {turns} without a price: set one with "
        "`%agent price MODEL --input USD --output USD`, or `--free`."
    )


def reached(spent: Spent) -> str:
    """The line that ends a turn because a budget is used up, "" where it is not."""
    if spent.limit is None or spent.usd < spent.limit:
        return ""
    limit, used, higher = (format_cents(usd, exact=True) for usd in (spent.limit, spent.usd, spent.limit * 2))
    amount = higher.lstrip("$")
    more = f"--budget {amount}" if spent.per == "turn" else f"`%agent budget {amount}/{spent.per}`"
    fresh = {"day": " A new day begins at 00:00 UTC.", "session": " `--new` begins a new session."}
    return (
        f"the {spent.per}'s budget of {limit} is used up ({used} spent): {more} raises it, then ask it to go "
        f"on.{fresh.get(spent.per, '')}"
    )


def _read(writer: Writer, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    # Another kernel may keep the file busy for long: a turn does not wait for that.
    busy = LedgerError(f"The ledger {writer.path} is busy.")
    return writer.with_lock(LOCK_SECONDS, lambda: writer.ledger.read(query, values), busy)


def _key(scope: str, origin: Origin) -> str:
    return origin.user if scope == "day" else origin.notebook
