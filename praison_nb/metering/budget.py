"""Budgets in USD: of a turn, a session, a notebook, a day, a week, a month, a user. All but a turn's are kept
in the ledger, so that kernels share them with it; an administrator's (`administration`) count beside them.

>>> parse("5/day"), parse("0.50/session"), parse("off")
((Decimal('5'), 'day'), (Decimal('0.50'), 'session'), (None, ''))
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from ..administration import administration
from ..errors import ConfigError
from ..events import Scope, Spent
from ..money import format_cents, from_pico, parse_usd, to_pico
from ..turn import Turn
from . import periods, statements
from .origin import Origin
from .shared_budget import SharedBudget
from .totals import Read, Waiting, total
from .writer import Writer

SCOPES: tuple[Scope, ...] = ("session", "notebook", "day", "week", "month", "user")
Limits = Mapping[str, tuple[Decimal, bool]]
"""USD by scope, and whether the administrator has set it."""
WARN_AT = Decimal("0.8")
LOCK_SECONDS = 1.0
"""How long a turn waits for another kernel that writes."""


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
    """Set a limit, or take it away with None (with no scope: all that count here). The administrator's stay.
    Raises ConfigError and LedgerError."""
    if scope == "notebook" and not origin.notebook:
        raise ConfigError("This kernel does not know its notebook: set a budget for the day or session.")
    with writer.lock:
        if limit is None:
            for each in [scope] if scope else SCOPES:
                writer.ledger.change(statements.DELETE_LIMIT, (each, _key(each, origin)))
        else:
            writer.ledger.change(statements.PUT_LIMIT, (scope, _key(scope, origin), to_pico(limit)))
    # It counts here from now on, also where the ledger cannot be read any more.
    spent_by_scope(writer, Turn(), origin, time.time())


def limits(writer: Writer, origin: Origin) -> dict[str, Decimal]:
    """The limits that count here, by scope: the user's, or the administrator's where that is less. Raises
    LedgerError and ConfigError."""
    return {scope: usd for scope, (usd, _) in read_limits(writer.read, origin).items()}


def read_limits(read: Read, origin: Origin) -> Limits:
    """`limits` by a function that reads the ledger, and whether each is the administrator's."""
    found = {
        scope: (from_pico(usd), False)
        for scope, key, usd in read(statements.LIMITS, ())
        if key == _key(scope, origin)
    }
    for scope, fixed in administration().budgets.items():
        if scope not in found or fixed <= found[scope][0]:
            found[scope] = fixed, True
    return found


def spent_by_turn(turn: Turn, limit: Decimal | SharedBudget | None) -> list[Spent]:
    """What the turn spent of its own `limit`, or with others of the one that they share."""
    if limit is None:
        return []
    if isinstance(limit, SharedBudget):
        return [limit.spent()]
    unpriced = int(turn.unpriced_requests > 0)
    return [Spent(per="turn", usd=turn.known_cost, limit=limit, unpriced=unpriced)]


def spent_by_scope(writer: Writer, turn: Turn, origin: Origin, now: float) -> list[Spent]:
    """What the turn's session and each scope with a limit spent so far, at the time `now`: by the ledger, and
    by what waits for it. Not for the loop's thread. Raises LedgerError and ConfigError."""
    spent = read_spent(writer.read, Waiting(tuple(writer.waiting)), turn, origin, now)
    writer.last_spent[origin.user, origin.notebook] = (now, turn.session_id, spent)
    return spent


def last_spent(writer: Writer, turn: Turn, origin: Origin, now: float) -> list[Spent] | None:
    """The last sums of this process, and what waits since; None where there were none. What was waiting then
    counts twice: rather too much than too little."""
    then, session_id, last = writer.last_spent.get((origin.user, origin.notebook), (0.0, "", None))
    if last is None:
        return None
    waiting = Waiting(tuple(writer.waiting))
    spent = []
    for each in last:
        labels, since = labels_of(each.per, turn.session_id, origin), periods.began(each.per, now)
        is_same = periods.began(each.per, then) == since and (
            each.per != "session" or session_id == turn.session_id
        )
        late = waiting.total(labels, since, turn.id)
        usd = from_pico(late.spent) + (each.usd if is_same else 0)
        spent.append(
            replace(each, usd=usd, reserved=from_pico(late.reserved) + (each.reserved if is_same else 0))
        )
    return spent


def read_spent(
    read: Read, waiting: Waiting, turn: Turn, origin: Origin, now: float, limits: Limits | None = None
) -> list[Spent]:
    """`spent_by_scope` by a function that reads the ledger, and by rows that are not in it yet. `limits` are
    those that count, where they are known already."""
    spent: list[Spent] = []
    known = read_limits(read, origin) if limits is None else limits
    for scope in SCOPES:
        limit, is_fixed = known.get(scope, (None, False))
        if limit is None and not (scope == "session" and turn.session_id):
            continue
        labels, since = labels_of(scope, turn.session_id, origin), periods.began(scope, now)
        sum_ = total(read, waiting, labels, since, turn.id)
        spent.append(
            Spent(
                per=scope,
                usd=from_pico(sum_.spent),
                limit=limit,
                reserved=from_pico(sum_.reserved),
                is_fixed=is_fixed,
                turns=sum_.turns,
                unpriced=sum_.unpriced,
            )
        )
    return spent


def tightest(writer: Writer, origin: Origin, now: float) -> Spent | None:
    """The budget of which the least is left for a session that is about to begin, None without any. Raises
    LedgerError and ConfigError."""
    spent = read_spent(writer.read, Waiting(tuple(writer.waiting)), Turn(), origin, now)
    fresh = [
        replace(each, usd=Decimal(0), reserved=Decimal(0)) if each.per == "session" else each
        for each in spent
    ]
    return min((each for each in fresh if each.limit is not None), key=left, default=None)


def left(spent: Spent) -> Decimal:
    """USD that are left of a limit after all reservations."""
    return (spent.limit or Decimal(0)) - spent.usd - spent.reserved


def labels_of(scope: str, session_id: str, origin: Origin) -> dict[str, str]:
    """The labels that the requests of a scope have in common."""
    match scope:
        case "session":
            return {"session_id": session_id}
        case "notebook":
            return {"user": origin.user, "notebook": origin.notebook}
    return {"user": origin.user}


def most_spent(writer: Writer, origin: Origin, scopes: Iterable[str], now: float) -> dict[str, Decimal]:
    """USD spent so far in each of `scopes`; of sessions by the one that spent most. Raises LedgerError."""
    spent = {}
    waiting = Waiting(tuple(writer.waiting))
    for scope in scopes:
        if scope == "session":
            [(most,)] = writer.read(statements.MOST_OF_SESSIONS, (origin.user, origin.notebook))
            spent[scope] = from_pico(most)
        else:
            began = periods.began(scope, now)
            spent[scope] = from_pico(total(writer.read, waiting, labels_of(scope, "", origin), began).spent)
    return spent


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
    """The line that ends a turn because a budget is used up, or reserved for other requests; "" where some of
    it is left."""
    if spent.limit is None or spent.usd + spent.reserved < spent.limit:
        return ""
    limit, used = format_cents(spent.limit, exact=True), format_cents(spent.usd, exact=True)
    if spent.usd >= spent.limit:
        return f"the {spent.per}'s budget of {limit} is used up ({used} spent): {how_to_go_on(spent)}"
    return (
        f"the {spent.per}'s budget of {limit} has nothing left ({used} spent{reserved(spent)}): "
        f"{how_to_go_on(spent)}"
    )


def reserved(spent: Spent) -> str:
    """What else counts, in brackets behind what was spent."""
    if not spent.reserved:
        return ""
    most = format_cents(spent.reserved, exact=True)
    return f", at most {most} more by requests that are under way or were not counted"


def how_to_go_on(spent: Spent) -> str:
    """What the user can do where too little is left of a budget."""
    fresh = {
        "session": " `--new` begins a new session.",
        **{
            period: f" A new {period} begins at 00:00 {periods.zone_name()}{day}."
            for period, day in (("day", ""), ("week", " on Monday"), ("month", " on the 1st"))
        },
    }.get(spent.per, "")
    if spent.is_fixed:
        return f"the administrator of this machine has set it.{fresh}"
    amount = format_cents(spent.limit * 2, exact=True).lstrip("$").replace(",", "") if spent.limit else "USD"
    options = dict.fromkeys(("map", "comparison"), f"--budget {amount}, in code budget={amount},")
    options["turn"] = f"--budget {amount}"
    more = options.get(spent.per, f"`%agent budget {amount}/{spent.per}`")
    return f"{more} raises it, then ask it to go on.{fresh}"


def _key(scope: str, origin: Origin) -> str:
    return origin.notebook if scope in ("session", "notebook") else origin.user
