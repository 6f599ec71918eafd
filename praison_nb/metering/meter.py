"""The meter of one turn: it prices its requests, has them written to the ledger, and says what was spent of
the budgets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
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
from . import budget, prices, writer
from .admission import Admission, admit
from .labels import label, source_of
from .ledger import RequestRow, Row, TurnRow
from .lines import budget_lines, once
from .origin import current_origin
from .schema import LABELS, RUNNING, UNKNOWN
from .session_cost import BeforeTurn, Settled, settle, true_up
from .session_totals import OtherTurns
from .tags import encoded

log = logging.getLogger(__name__)


class Meter:
    """The meter of one turn, made where the turn is begun, so that it knows the cell. The turn's Run calls it
    on the loop's thread: `with_cost` filters each event before it is folded into the turn, `record` is
    called after that, and `spending` is what a request waits for."""

    def __init__(
        self,
        limit: Decimal | None = None,
        before: BeforeTurn | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.origin, self.tags = current_origin(), encoded(tags or {})
        # Most texts are the same in all rows of a turn.
        self._label = functools.cache(label)
        self.writer, self.limit = writer.current(), limit
        self._find_baseline = before
        self._session_before: SessionUsage | None = None
        """The provider's count of the session before the turn."""
        self._elsewhere: Decimal | None = None
        self._most = Decimal(0)
        """USD that the turn may cost at its end, where it was admitted as a whole."""
        self._cheapest: Decimal | None = None
        self._provider, self._sources, self._tiers = "", set[str](), set[str]()
        self._open: dict[str, RequestRow] = {}
        """The requests that have begun and have not ended, by the ids of their beginnings."""
        self._request_began: float | None = None
        self._request_text: float | None = None
        self._has_ended, self._warned = False, set[str]()

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

        def find(others: OtherTurns) -> Settled:
            return true_up(event, turn, self._session_before, others, provider=provider, cheapest=cheapest)

        def row(settled: Settled) -> TurnRow:
            self._elsewhere = settled.elsewhere if self._elsewhere is None else self._elsewhere
            return self._turn(fold(turn, settled.event))

        def work() -> Settled:
            return settle(self.writer, turn, label(turn.session_id), find, row)

        try:
            settled = await asyncio.to_thread(work)
        except RuntimeError:
            # No more threads: the process ends.
            settled = work()
        except Exception:
            log.exception("the meter failed")
            return event
        if self.writer.waiting:
            self.writer.enqueue()
        return settled.event

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
        self._tiers |= {event.service_tier} if isinstance(event, RequestFinished) else set()
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
                self._sources.add(event.cost_source)
                self.writer.enqueue(self._turn(turn), self._request(event, turn))
            case RequestFinished():
                self._sources.add(event.cost_source)
                if event.cost:
                    self._cheapest = min(event.cost, self._cheapest or event.cost)
                self._provider = event.provider
                started_id = event.started_id or next(reversed(self._open), "")
                self._open.pop(started_id, None)
                request = self._request(replace(event, started_id=started_id), turn)
                self.writer.enqueue(self._turn(turn), request)
                self._request_began = self._request_text = None
            case TurnFinished() | TurnFailed() if not self._has_ended:
                # Nobody has counted these, and somebody may yet.
                uncounted = [replace(row, state=UNKNOWN, cost=None) for row in self._open.values()]
                self.writer.enqueue(self._turn(turn), *uncounted)
                self._has_ended = True

    async def admit(self, event: RequestStarted, turn: Turn) -> Admission:
        """Whether the request may be sent that is to begin next, and how; the ledger has it then."""

        def rows(admission: Admission) -> Sequence[Row]:
            if event.max_cost is not None:
                self._most = turn.known_cost + admission.reserved
            row = self._open[event.id] = self._running(event, turn, admission)
            return self._turn(fold(turn, event)), row

        try:
            admission = await asyncio.to_thread(
                admit, self.writer, event, turn, self.origin, self.limit, rows
            )
        except RuntimeError:
            # No more threads: the process ends.
            return Admission()
        if self.writer.waiting:
            self.writer.enqueue()
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
        return budget_lines(spent, self._warned) + self.writer.pop_notices()

    def last_line(self) -> str:
        """What the user should read at the turn's end: how much the ledger lacks."""
        return self.writer.waiting_line

    def preload(self) -> None:
        """Load what the first request's end will need, while that request is on its way."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().run_in_executor(None, prices.preload)

    def _turn(self, turn: Turn) -> TurnRow:
        session = turn.session_usage
        is_provider_cost = session is not None and session.is_provider_cost
        # Were the kernel killed now, this is what would be known.
        running = () if turn.ended is not None else tuple(self._open.values())
        reserved = sum(row.reserved for row in running)
        estimate = sum((row.cost or Decimal(0) for row in running), Decimal(0))
        unpriced = 0 if turn.cost is not None else turn.unpriced_requests + turn.is_cut_off
        unpriced += sum(row.cost is None for row in running)
        return TurnRow(
            id=turn.id,
            labels=self._labels(
                turn,
                provider=self._provider,
                model=turn.model,
                cost_source=source_of(self._sources, session),
                status=turn.status.value,
                stop_reason=turn.stop_reason,
                error=type(turn.error).__name__ if turn.error else "",
                service_tier=next(iter(self._tiers), "") if len(self._tiers) < 2 else "mixed",
            ),
            time=turn.started,
            duration=turn.seconds,
            first_text=None if turn.first_text is None else turn.first_text - turn.started,
            requests=len(turn.requests) + len(running),
            unpriced=unpriced,
            usage=turn.usage,
            cost=None if turn.cost is None or unpriced else turn.cost + estimate,
            priced=turn.known_cost + estimate,
            list_cost=session.list_cost if session else None,
            active=session.active_seconds if session else None,
            fees=turn.fees + (session.fees if session else 0),
            is_lower_bound=(not is_provider_cost and turn.is_lower_bound) or bool(running),
            estimated_cost=turn.estimated_cost + estimate,
            extra_cost=session.extra_cost if session else Decimal(0),
            elsewhere=self._elsewhere,
            reserved=max(Decimal(0), self._most - turn.known_cost - reserved),
            process=self.writer.process if turn.ended is None else "",
        )

    def _running(self, event: RequestStarted, turn: Turn, admission: Admission) -> RequestRow:
        model = event.model or turn.model
        source = "unpriced" if admission.estimate is None else "table"
        return RequestRow(
            id=event.id,
            labels=self._labels(
                turn,
                provider=event.provider,
                model=model,
                cost_source=source,
                service_tier=event.service_tier,
            ),
            turn=turn.id,
            time=event.time,
            duration=None,
            first_text=None,
            usage=Usage(uncached_input_tokens=event.input_tokens, estimated=True),
            cost=admission.estimate,
            state=RUNNING,
            reserved=max(admission.reserved, admission.estimate or Decimal(0), self._most - turn.known_cost),
            is_lower_bound=True,
        )

    def _request(self, event: RequestFinished, turn: Turn) -> RequestRow:
        began, text = (None, None) if event.thread else (self._request_began, self._request_text)
        return RequestRow(
            id=event.id,
            labels=self._labels(
                turn,
                provider=event.provider,
                model=event.model,
                cost_source=event.cost_source,
                service_tier=event.service_tier,
                price_source=event.price_source,
            ),
            turn=turn.id,
            time=event.time if began is None else began,
            duration=None if began is None else max(0.0, event.time - began),
            first_text=None if began is None or text is None else max(0.0, text - began),
            usage=event.usage or Usage(),
            cost=event.cost,
            fees=event.fees,
            is_lower_bound=event.is_lower_bound,
            started_id=event.started_id,
        )

    def _labels(self, turn: Turn, **more: str) -> tuple[str, ...]:
        labels = {
            **asdict(self.origin),
            "tags": self.tags,
            "session": turn.session,
            "session_id": turn.session_id,
            "backend": turn.backend,
            **more,
        }
        return tuple(self._label(labels.get(name, "")) for name in LABELS)
