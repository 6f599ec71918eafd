"""The meter of one turn: it prices its requests, has them written to the ledger, and says what was spent of
the budgets."""

from __future__ import annotations

import asyncio
import contextlib
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
from ..redaction import redact
from ..session import Usage
from ..text import describe_exception, replace_surrogates
from ..turn import Turn
from . import budget, prices, user_prices, writer
from .admission import Admission, admit
from .ledger import RequestRow, Row, TurnRow
from .origin import current_origin
from .schema import LABELS, RUNNING, UNKNOWN
from .session_cost import BeforeTurn, SessionBaseline, with_extra_cost
from .tags import encoded

log = logging.getLogger(__name__)

LONGEST_LABEL = 300
"""Characters; a server may give its model a name of any length."""


class Meter:
    """The meter of one turn, made where the turn is begun, so that it knows the cell. The turn's Run calls it
    on the loop's thread: `with_cost` filters each event before it is folded into the turn, `record` is
    called after that, and `spending` is what a request waits for."""

    def __init__(
        self,
        limit: Decimal | None = None,
        before: BeforeTurn = lambda turn: None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.origin, self.tags = current_origin(), encoded(tags or {})
        self.writer = writer.current()
        self.limit = limit
        self._find_baseline = before
        self._baseline: SessionBaseline | None = None
        self._provider = ""
        self._sources: set[str] = set()
        self._tiers: set[str] = set()
        self._open: dict[str, RequestRow] = {}
        """The requests that have begun and have not ended, by the ids of their beginnings."""
        self._request_began: float | None = None
        self._request_text: float | None = None
        self._has_ended = False
        self._warned: set[str] = set()

    def with_cost(self, event: Event, turn: Turn) -> Event:
        """`event` with what it costs, before it is folded into `turn`."""
        if isinstance(event, RequestFinished):
            at = event.time if self._request_began is None or event.thread else self._request_began
            return prices.with_cost(replace(event, usage=event.usage or turn.pending), at)
        if self._baseline is None and isinstance(event, SessionAttached | RequestStarted | SessionUsage):
            # Asked once, and before anything is used: the turn itself changes the answer.
            self._baseline = self._find_baseline(turn.id)
        if isinstance(event, SessionUsage) and self._baseline is not None:
            return with_extra_cost(event, turn, self._baseline, self._provider)
        return event

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
            self._tiers.add(event.service_tier)
        match event:
            case TextDelta():
                # The one that comes by the thousand.
                if self._request_text is None:
                    self._request_text = event.time
            case RequestStarted():
                self._request_began, self._request_text = event.time, None
            case RequestFinished() if event.thread:
                # Beside the agent's own request, which goes on.
                self._sources.add(event.cost_source)
                self.writer.enqueue(self._turn(turn), self._request(event, turn))
            case RequestFinished():
                self._sources.add(event.cost_source)
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
            case SessionUsage() if turn.ended is not None:
                self.writer.enqueue(self._turn(turn))

    async def admit(self, event: RequestStarted, turn: Turn) -> Admission:
        """Whether the request may be sent that is to begin next, and how; the ledger has it then."""

        def rows(admission: Admission) -> Sequence[Row]:
            row = self._running(event, turn, admission)
            self._open[event.id] = row
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
            lines = _once(str(error), str(error), self._warned)
        except RuntimeError:
            # No more threads: the process ends.
            return list[Spent | Notice](spent)
        return [*spent, *(Notice(text=line) for line in (*lines, *self.lines(spent)))]

    def lines(self, spent: Sequence[Spent]) -> list[str]:
        """What the user should read by what was `spent`."""
        lines = [line for each in spent for line in self._warnings(each)] + self.writer.pop_notices()
        return lines + _once(user_prices.problem, user_prices.problem, _shown)

    def last_line(self) -> str:
        """What the user should read at the turn's end: how much the ledger lacks."""
        return self.writer.waiting_line

    def preload(self) -> None:
        """Load what the first request's end will need, while that request is on its way."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().run_in_executor(None, prices.preload)

    def _warnings(self, spent: Spent) -> list[str]:
        lines = _once(budget.warning(spent), spent.per, self._warned)
        return lines + _once(budget.unpriced_warning(spent), f"unpriced {spent.per}", _shown)

    def _turn(self, turn: Turn) -> TurnRow:
        session = turn.session_usage
        # Were the kernel killed now, this is what would be known.
        running = () if turn.ended is not None else tuple(self._open.values())
        estimate = sum((row.cost or Decimal(0) for row in running), Decimal(0))
        unpriced = 0 if turn.cost is not None else turn.unpriced_requests + turn.is_cut_off
        unpriced += sum(row.cost is None for row in running)
        return TurnRow(
            id=turn.id,
            labels=self._labels(
                turn,
                provider=self._provider,
                model=turn.model,
                cost_source=self._source(session),
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
            fees=turn.fees,
            is_lower_bound=turn.is_lower_bound or bool(running),
            estimated_cost=turn.estimated_cost + estimate,
            extra_cost=session.extra_cost if session else Decimal(0),
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
            reserved=max(admission.reserved, admission.estimate or Decimal(0)),
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
        return tuple(_label(labels.get(name, "")) for name in LABELS)

    def _source(self, session: SessionUsage | None) -> str:
        if session and session.is_provider_cost:
            return "provider"
        if len(self._sources) < 2:
            return next(iter(self._sources), "")
        return "unpriced" if "unpriced" in self._sources else "mixed"


_shown: set[str] = set()
"""The lines that are shown once in a process, by what they are about."""


def _once(line: str, key: str, shown: set[str]) -> list[str]:
    if not line or key in shown:
        return []
    shown.add(key)
    return [line]


def _label(text: str) -> str:
    # A key that is cut in two would not be known for one.
    return replace_surrogates(redact(text[: LONGEST_LABEL + 4000])[:LONGEST_LABEL])
