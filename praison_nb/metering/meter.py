"""The meter of one turn: it prices its requests, has them written to the ledger, and says what was spent of
the budgets."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from ..errors import ConfigError, LedgerError
from ..events import (
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionAttached,
    SessionUsage,
    Spent,
    TextDelta,
    TurnFailed,
    TurnFinished,
)
from ..fold import fold
from ..session import Usage
from ..text import describe_exception
from ..turn import Turn
from . import budget, prices
from .admission import Admission, Request
from .admission_queue import queue_of
from .budget_notices import budget_notices, once
from .labels import label
from .ledger import Row
from .rows import TurnRows
from .schema import UNKNOWN
from .session_cost import BeforeTurn, Settled, true_up
from .session_threads import parts
from .session_totals import OtherTurns, other_turns
from .settling import settle
from .shared_budget import SharedBudget
from .totals import Read, Waiting
from .writer import Writer

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.01
"""So long a request of one of many turns waits for those of others, to be admitted with them."""
TOGETHER_SECONDS = 0.25
"""So long its rows wait for theirs."""


class Meter(TurnRows):
    """The meter of one turn, made where the turn is begun, so that it knows the cell. The turn's Run calls it
    on the loop's thread: `with_cost` filters each event before it is folded into the turn, `record` is
    called after that, and `spending` is what a request waits for."""

    def __init__(
        self,
        limit: Decimal | SharedBudget | None = None,
        before: BeforeTurn | None = None,
        tags: Mapping[str, str] | None = None,
        writer: Writer | None = None,
        *,
        is_one_of_many: bool = False,
    ) -> None:
        super().__init__(tags or {}, writer)
        self._is_one_of_many = is_one_of_many
        """Whether it is noted together with other turns, and nobody reads what its session spent."""
        self.limit = limit
        self._find_baseline = before
        self._session_before: SessionUsage | None = None
        """The provider's count of the session before the turn."""
        self._cheapest: Decimal | None = None
        self._has_ended, self._warned = False, set[str]()
        self._noted: Turn | None = None
        """As the shared limit has counted it."""

    def with_cost(self, event: Event, turn: Turn) -> Event:
        """`event` with what it costs, before it is folded into `turn`."""
        if isinstance(event, RequestFinished):
            at = event.time if self._request_began is None or event.thread else self._request_began
            return prices.with_cost(replace(event, usage=event.usage or turn.pending), at)
        if isinstance(event, SessionAttached | RequestStarted) and self._find_baseline is not None:
            # Asked once, and before anything is used: the turn itself changes the answer.
            self._session_before, self._find_baseline = self._find_baseline(), None
            before = self._session_before
            if before is not None and before.usage == Usage() and not before.list_cost:
                self._elsewhere = Decimal(0)
        return event

    async def settle(self, event: SessionUsage, turn: Turn) -> SessionUsage:
        """`event` with what the turn costs by it; the ledger has it then. Before the event is folded."""
        cheapest, provider = self._cheapest or Decimal(0), self._provider or "anthropic"

        def by(others: OtherTurns) -> Settled:
            return true_up(event, turn, self._session_before, others, provider=provider, cheapest=cheapest)

        def rows(settled: Settled) -> Sequence[Row]:
            self._elsewhere = settled.elsewhere if self._elsewhere is None else self._elsewhere
            return [self.turn_row(fold(turn, settled.event))]

        settled = await settle(
            self.writer,
            lambda read, waiting: by(other_turns(read, waiting, label(turn.session_id), turn.id)),
            rows,
            lambda: Settled(by(OtherTurns()).event, None),
            is_durable=turn.ended is not None,
        )
        return settled.event if settled else event

    async def settle_thread(self, event: RequestFinished, turn: Turn) -> list[RequestFinished]:
        """What is to be counted for a sub-agent's part: what no turn has counted. The ledger has it then."""

        def find(read: Read, waiting: Waiting) -> list[RequestFinished]:
            return [prices.with_cost(each, each.time) for each in parts(event, turn, read, waiting)]

        def rows(found: list[RequestFinished]) -> Sequence[Row]:
            after = functools.reduce(fold, found, turn)
            return [self.turn_row(after), *(self.request_row(each, turn) for each in found)] if found else []

        here = [event] if event.usage else []
        found = await settle(self.writer, find, rows, lambda: here, is_durable=turn.ended is not None)
        return here if found is None else found

    def record(self, event: Event, turn: Turn) -> None:
        """Have the ledger written by the event, which is folded into `turn` already. What fails is tried once
        more; then the user reads of it. Raises nothing."""
        for is_last in (False, True):
            try:
                self._record(event, turn)
                return
            except Exception as error:
                log.exception("the meter failed")
                if is_last:
                    why = describe_exception(error)
                    self.writer.add_notice(
                        f"The ledger lacks a part of what a turn used: {why}. The Turn has it all."
                    )

    def _record(self, event: Event, turn: Turn) -> None:
        if isinstance(event, RequestFinished):
            self._tiers |= {event.service_tier}
        if isinstance(self.limit, SharedBudget) and not isinstance(event, TextDelta):
            self.limit.note(turn, self._noted)
            self._noted = turn
        match event:
            case TextDelta():
                # The one that comes by the thousand.
                if self._request_text is None:
                    self._request_text = event.time
            case RequestStarted():
                self._request_began, self._request_text = event.time, None
                self._provider = event.provider or self._provider
            case RequestFinished() if event.thread:
                # Beside the agent's own request, which goes on.
                self._sources |= {event.cost_source}
                self._enqueue(self.turn_row(turn), self.request_row(event, turn))
            case RequestFinished():
                self._sources |= {event.cost_source}
                if event.cost:
                    self._cheapest = min(event.cost, self._cheapest or event.cost)
                self._provider = event.provider
                started_id = event.started_id or next(reversed(self._open), "")
                self._open.pop(started_id, None)
                if isinstance(self.limit, SharedBudget):
                    self.limit.finish(started_id)
                request = self.request_row(replace(event, started_id=started_id), turn)
                self._enqueue(self.turn_row(turn), request)
                self._request_began = self._request_text = None
            case TurnFinished() | TurnFailed() if not self._has_ended:
                # Nobody has counted these, and somebody may yet.
                uncounted = [replace(row, state=UNKNOWN, cost=None) for row in self._open.values()]
                self._enqueue(self.turn_row(turn), *uncounted)
                self._has_ended = True

    def _enqueue(self, *rows: Row) -> None:
        # The next request of the others takes them along.
        self.writer.enqueue(*rows, within=TOGETHER_SECONDS if self._is_one_of_many else 0.0)

    async def admit(self, event: RequestStarted, turn: Turn) -> Admission:
        """Whether the request may be sent that is to begin next, and how; the ledger has it then."""

        def rows(admission: Admission) -> Sequence[Row]:
            if event.max_cost is not None:
                self._most = turn.known_cost + admission.reserved
            row = self._open[event.id] = self.running_row(event, turn, admission)
            if isinstance(self.limit, SharedBudget):
                self.limit.reserve(event.id, turn.id, row.reserved)
            return self.turn_row(fold(turn, event)), row

        try:
            together = self._is_one_of_many
            request = Request(event, turn, self.origin, self.limit, rows, only_limits=together)
            admission = await queue_of(self.writer).admit(request, GATHER_SECONDS if together else 0.0)
        except RuntimeError:
            # No more threads: the process ends.
            return Admission()
        if self.writer.waiting:
            self._enqueue()
        return admission

    async def spending(self, turn: Turn) -> list[Spent | Notice]:
        """What was spent so far in the scopes that this turn counts in, and the lines that the user should
        read. It says nothing of what was spent where the ledger cannot be read."""
        spent, lines = budget.spent_by_turn(turn, self.limit), list[str]()
        try:
            spent += await asyncio.to_thread(
                budget.spent_by_scope, self.writer, turn, self.origin, time.time()
            )
        except LedgerError as error:
            self.writer.fail(error)
        except ConfigError as error:
            lines = once(str(error), str(error), self._warned)
        except RuntimeError:
            # No more threads: the process ends.
            return list[Spent | Notice](spent)
        return [*spent, *(Notice(text=line) for line in (*lines, *self.lines(spent)))]

    def lines(self, spent: Sequence[Spent]) -> list[str]:
        """What the user should read by what was `spent`."""
        return budget_notices(spent, self._warned) + self.writer.pop_notices()
