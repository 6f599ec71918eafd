"""The meter of one turn: a subscriber that puts the turn and its requests into the ledger, and tells what was
spent against the budgets."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from decimal import Decimal

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
from ..redaction import redact
from ..session import Usage
from ..turn import Turn
from . import budget, prices, user_prices, writer
from .ledger import RequestRow, TurnRow
from .origin import current_origin
from .schema import LABELS, LedgerError
from .session_cost import BeforeTurn, SessionBaseline, settled

LONGEST_LABEL = 300
"""Characters: what a server calls its model is not ours to trust."""


class Meter:
    """Made where the turn is begun, so that it knows the cell; then called on the loop's thread."""

    def __init__(self, limit: Decimal | None = None, before: BeforeTurn = lambda turn: None) -> None:
        self.place = current_origin()
        self.book = writer.current()
        self.limit = limit
        self._session_before = before
        self._before: SessionBaseline | None = None
        self._provider = ""
        self._sources: set[str] = set()
        self._by_provider = False
        self._began: float | None = None
        self._first: float | None = None
        self._over = False
        self._warned: set[str] = set()

    def __call__(self, event: Event, turn: Turn) -> None:
        """Note the event."""
        match event:
            case TextDelta():
                # The one that comes by the thousand.
                if self._first is None:
                    self._first = event.time
            case RequestStarted():
                self._began, self._first = event.time, None
            case RequestFinished():
                self._sources.add(event.cost_source)
                self._provider = event.provider
                self.book.put(self._turn(turn), self._request(event, turn))
                self._began = self._first = None
            case TurnFinished() | TurnFailed() if not self._over:
                self._over = True
                self.book.put(self._turn(turn))
            case SessionUsage():
                self._by_provider = event.is_provider_cost
                if turn.ended is not None:
                    self.book.put(self._turn(turn))

    def priced(self, event: Event, turn: Turn) -> Event:
        """`event` with what it costs, before it is folded into `turn`."""
        if isinstance(event, RequestFinished):
            at = turn.open_request.time if turn.open_request else event.time
            return prices.priced(replace(event, usage=event.usage or turn.pending), at)
        if self._before is None and isinstance(event, SessionAttached | RequestStarted | SessionUsage):
            # Asked once, and before anything is used: the turn itself changes the answer.
            self._before = self._session_before(turn.id)
        if isinstance(event, SessionUsage):
            return event if self._before is None else settled(event, turn, self._before, self._provider)
        return event

    def warm(self) -> None:
        """Load what the first request's end will need, while that request is on its way."""
        if not prices.is_warm():
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().run_in_executor(None, prices.warm)

    async def settled(self) -> None:
        """Wait, for a bounded time, until what was noted is on the disk."""
        await self.book.settled()

    async def reading(self, turn: Turn) -> list[Spent | Notice]:
        """What was spent so far in the scopes that this turn counts in, and the lines that the user should
        read. It says nothing of what was spent where the ledger cannot be read."""
        told = budget.of_turn(turn, self.limit)
        if not self.book.slow:
            try:
                told += await asyncio.to_thread(budget.shared, self.book, turn, self.place)
            except LedgerError as error:
                self.book.fail(error)
            except RuntimeError:
                # No more threads: the process ends.
                return list[Spent | Notice](told)
        lines = [line for each in told for line in self._lines(each)] + self.book.remarks()
        lines += _once(user_prices.problem, user_prices.problem, _said)
        return [*told, *(Notice(text=line) for line in lines)]

    def _lines(self, told: Spent) -> list[str]:
        warning = _once(budget.warning(told), told.per, self._warned)
        return warning + _once(budget.uncounted(told), f"uncounted {told.per}", _said)

    def _turn(self, turn: Turn) -> TurnRow:
        cut_off = turn.open_request is not None and turn.ended is not None
        session = turn.session_usage
        return TurnRow(
            id=turn.id,
            labels=self._labels(
                turn,
                provider=self._provider,
                model=turn.model,
                cost_source=self._source(),
                status=turn.status.value,
                stop_reason=turn.stop_reason,
                error=type(turn.error).__name__ if turn.error else "",
            ),
            time=turn.started,
            duration=turn.seconds,
            first_text=None if turn.first_text is None else turn.first_text - turn.started,
            requests=len(turn.requests),
            unpriced=0 if turn.cost is not None else turn.unpriced_requests + cut_off,
            usage=turn.usage,
            cost=turn.cost,
            priced=turn.known_cost,
            list_cost=session.list_cost if session else None,
            active=session.active_seconds if session else None,
        )

    def _request(self, event: RequestFinished, turn: Turn) -> RequestRow:
        began = self._began
        return RequestRow(
            id=event.id,
            labels=self._labels(
                turn, provider=event.provider, model=event.model, cost_source=event.cost_source
            ),
            turn=turn.id,
            time=event.time if began is None else began,
            duration=None if began is None else max(0.0, event.time - began),
            first_text=None if began is None or self._first is None else max(0.0, self._first - began),
            usage=event.usage or Usage(),
            cost=event.cost,
        )

    def _labels(self, turn: Turn, **more: str) -> tuple[str, ...]:
        place = self.place
        told = {
            "user": place.user,
            "notebook": place.notebook,
            "cell": place.cell,
            "session": turn.session,
            "session_id": turn.session_id,
            "backend": turn.backend,
            **more,
        }
        return tuple(_clean(told.get(name, "")) for name in LABELS)

    def _source(self) -> str:
        if self._by_provider:
            return "provider"
        if len(self._sources) < 2:
            return next(iter(self._sources), "")
        return "unpriced" if "unpriced" in self._sources else "mixed"


_said: set[str] = set()
"""What was said once in this process and is not said again."""


def _once(line: str, key: str, said: set[str]) -> list[str]:
    if not line or key in said:
        return []
    said.add(key)
    return [line]


def _clean(label: str) -> str:
    # A key that is cut in two would not be known for one.
    return redact(label[: LONGEST_LABEL + 4000])[:LONGEST_LABEL].encode("utf-8", "replace").decode()
