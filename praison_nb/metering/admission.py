"""Whether a request may be sent, and how long its answer may be: so that it fits what is left of each budget
after all reservations. It is decided and noted in one transaction, so that kernels cannot decide on the same
money at once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..administration import administration
from ..errors import ConfigError, LedgerError, PraisonError
from ..events import RequestStarted, Spent
from ..money import format_cents
from ..session import Usage
from ..storage import BUSY
from ..turn import Turn
from . import budget, prices
from .ledger import Row
from .origin import Origin
from .shared_budget import SharedBudget
from .totals import Read, Waiting
from .writer import Writer

log = logging.getLogger(__name__)

LEAST_OUTPUT = 256
"""Tokens: what could answer with less is not sent."""
USUAL_OUTPUT = 32_768
"""Tokens that a request under a budget may answer with, where what is left pays for more but not for all, and
nobody has set a limit."""
MOST_OUTPUT = 131_072
"""Tokens: no model of today answers with more."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Bound:
    """USD that a request costs at most: for its input, and for each token of output; and by the estimate of
    its input alone."""

    input: Decimal
    token: Decimal
    estimate: Decimal

    def cost(self, output_tokens: int) -> Decimal:
        """With so many tokens of output."""
        return self.input + self.token * output_tokens

    def output_tokens(self, usd: Decimal) -> int:
        """Tokens of output that `usd` pays for besides the input; below 0 where it does not pay for that."""
        left = usd - self.input
        if not self.token:
            return MOST_OUTPUT if left >= 0 else -1
        return int(left / self.token) if left >= 0 else -1


@dataclass(frozen=True, slots=True)
class Admission:
    """What was decided of a request: `refusal` is why it is not sent, "" where it is, with `output_limit` in
    tokens, None where it needs none. `reserved` (USD) is the most that it may cost, `estimate` that of its
    input, None where there is no price. `cost_limit` (USD) is what one that goes on by itself may cost by the
    budgets, None without any. `spent` is what the scopes had spent before it."""

    refusal: str = ""
    output_limit: int | None = None
    reserved: Decimal = Decimal(0)
    estimate: Decimal | None = None
    spent: Sequence[Spent] = field(default=())
    cost_limit: Decimal | None = None


def bound(event: RequestStarted) -> Bound | None:
    """None where the price is not known."""
    most = max(event.input_tokens, event.max_input_tokens)
    usages = (
        Usage(uncached_input_tokens=most),
        Usage(cache_write_5m_input_tokens=most),
        Usage(output_tokens=_MILLION),
        Usage(uncached_input_tokens=event.input_tokens),
    )
    plain, written, token, estimate = (
        each.usd for each in prices.costs(usages, event.model, event.provider, event.time, event.service_tier)
    )
    if token is None or estimate is None or plain is None:
        return None
    return Bound(plain if written is None else max(plain, written), token / _MILLION, estimate)


def decide(event: RequestStarted, most: Bound | None, spent: Sequence[Spent]) -> Admission:
    """What may be sent after all that was `spent` and reserved. Pure."""
    asked = MOST_OUTPUT if event.max_output_tokens is None else event.max_output_tokens
    estimate = most.estimate if most else None
    limits = [each for each in spent if each.limit is not None]
    if refusal := next(filter(None, map(budget.reached, limits)), ""):
        return Admission(refusal, spent=spent)
    if event.max_cost is not None:
        left = min(map(budget.left, limits), default=None)
        reserved = event.max_cost if left is None else min(event.max_cost, left)
        known = reserved if reserved.is_finite() else Decimal(0)
        return Admission("", None, known, estimate, spent, cost_limit=left)
    if not limits or not event.takes_limit:
        return Admission(
            "", None, most.cost(asked) if most and event.takes_limit else Decimal(0), estimate, spent
        )
    tightest = min(limits, key=budget.left)
    if most is None:
        return Admission(_unknown_price(event, tightest), spent=spent)
    pays_for = most.output_tokens(budget.left(tightest))
    if pays_for >= asked:
        return Admission("", None, most.cost(asked), estimate, spent)
    if pays_for < LEAST_OUTPUT:
        return Admission(_too_little(most, tightest), spent=spent)
    limit = min(pays_for, USUAL_OUTPUT if event.max_output_tokens is None else asked)
    return Admission("", limit, most.cost(limit), estimate, spent)


def _unknown_price(event: RequestStarted, spent: Spent) -> str:
    limit = format_cents(spent.limit or 0, exact=True)
    return (
        f"the {spent.per}'s budget of {limit} cannot be kept, since {event.model} has no known price: "
        f"`%agent price {event.model} --input USD --output USD` sets it, `--free` says that it costs nothing."
    )


def _too_little(most: Bound, spent: Spent) -> str:
    limit, used, left, needed = (
        format_cents(usd, exact=True)
        for usd in (spent.limit or 0, spent.usd, budget.left(spent), most.cost(LEAST_OUTPUT))
    )
    return (
        f"the {spent.per}'s budget of {limit} leaves {left} ({used} spent{budget.reserved(spent)}), and the "
        f"next request may cost {needed} even with a short answer: {budget.how_to_go_on(spent)}"
    )


Rows = Callable[[Admission], Sequence[Row]]
"""The turn's row and the request's, as they are once it is admitted."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is to be admitted: `event` in `turn`, with the turn's own `limit`; `rows` note it."""

    event: RequestStarted
    turn: Turn
    origin: Origin
    limit: Decimal | SharedBudget | None
    rows: Rows
    only_limits: bool = False
    """Whether only scopes with a limit are read."""

    def decide(self, most: Bound | None, spent: Sequence[Spent]) -> Admission:
        """By what the turn spent, and the scopes."""
        return decide(self.event, most, [*budget.spent_by_turn(self.turn, self.limit), *spent])

    def read(self, read: Read, waiting: Waiting, limits: budget.Limits | None = None) -> Admission:
        """By what the ledger has, and what waits for it. `limits` are those that count, where they are known
        already."""
        limits = budget.read_limits(read, self.origin) if limits is None else limits
        if not limits and self.only_limits:
            return self.decide(bound(self.event), ())
        spent = budget.read_spent(read, waiting, self.turn, self.origin, self.event.time, limits)
        return self.decide(bound(self.event), spent)


def admit(writer: Writer, requests: Sequence[Request]) -> list[Admission | Exception]:
    """Decide about requests, in their order, and note those that are admitted. They are one transaction: the
    disk is waited for once. Not on the loop's thread."""
    problem: LedgerError | None = None
    with suppress(Exception):
        # The first price of a process has the price table loaded: not while others wait for the ledger.
        bound(requests[0].event)
    if len(requests) > 1:
        try:
            return [*_with_lock(writer, requests)]
        except LedgerError as error:
            problem = error
        except Exception:
            # One is at fault, and only that one is to pay for it.
            log.debug("requests are admitted one by one", exc_info=True)
    admitted: list[Admission | Exception] = []
    for request in requests:
        try:
            admitted.append(_admit(writer, request, problem))
        except Exception as error:
            admitted.append(error)
    return admitted


def _admit(writer: Writer, request: Request, problem: LedgerError | None) -> Admission:
    try:
        if problem is None:
            try:
                return _with_lock(writer, [request])[0]
            except LedgerError as error:
                problem = error
        return _without_ledger(writer, request, problem)
    except ConfigError as error:
        return Admission(str(error))


def _without_ledger(writer: Writer, request: Request, problem: LedgerError) -> Admission:
    """What is decided where the ledger cannot be written, of which `problem` is the reason."""
    writer.fail(problem)
    with writer.deciding:
        try:
            admission = request.read(writer.read, Waiting(tuple(writer.waiting)))
        except LedgerError as unreadable:
            spent = budget.last_spent(writer, request.turn, request.origin, request.event.time)
            if spent is None and (refusal := _unreadable(unreadable)):
                return Admission(refusal)
            admission = request.decide(bound(request.event), spent or ())
        if not admission.refusal:
            writer.waiting.extend(request.rows(admission))
            # Before it is sent: this process may be killed.
            writer.fail(problem)
    return admission


def _with_lock(writer: Writer, requests: Sequence[Request]) -> list[Admission]:
    seconds, busy = budget.LOCK_SECONDS, LedgerError(f"The ledger {writer.path} is busy.")
    return writer.with_lock(0.0 if writer.slow else seconds, lambda: _in_ledger(writer, requests), busy)


def _in_ledger(writer: Writer, requests: Sequence[Request]) -> list[Admission]:
    writer.prepare(budget.LOCK_SECONDS)
    late = tuple(writer.waiting)

    def step(connection: Any) -> list[Admission]:
        def read(query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
            return found

        writer.ledger.put(connection, late)
        admitted = []
        limits = functools.cache(functools.partial(budget.read_limits, read))
        for request in requests:
            admission = request.read(read, Waiting(()), limits(request.origin))
            if not admission.refusal:
                writer.ledger.put(connection, request.rows(admission))
            admitted.append(admission)
        return admitted

    try:
        # What requests before it used is on the disk before it is sent.
        is_durable = bool(late) or not writer.is_synced
        admitted = writer.ledger.transact(step, budget.LOCK_SECONDS, is_durable=is_durable)
        writer.is_synced = True
    except PraisonError:
        raise
    except Exception:
        # A row that no ledger takes is left out there.
        writer.flush()
        if writer.problem or not late:
            raise
        return _in_ledger(writer, requests)
    for _ in late:
        writer.waiting.popleft()
    writer.succeed()
    return admitted


def _unreadable(error: LedgerError) -> str:
    """Why a request must not be sent where even the budgets cannot be read, "" where it may: another process
    may be just about to spend them, but a file that is none has none."""
    code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
    if code not in BUSY and not administration().budgets:
        return ""
    return (
        f"the budgets cannot be known: {error} End what holds it and ask again, or set PRAISON_NB_LEDGER to "
        "another file."
    )
