"""What the requests of a turn under way wait for: the budgets, and the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ..events import Activity, Event, Notice, RequestFinished, RequestStarted, SessionUsage, Spent
from ..metering.admission import Admission
from ..metering.budget import reached
from ..metering.meter import Meter
from ..turn import Turn
from .pacer import Pacer

log = logging.getLogger(__name__)
T = TypeVar("T")
PATIENCE_SECONDS = 1.0
"""What takes longer is said: a big ledger of an older version is brought up to date once."""


class Admissions:
    """Those of one turn, which `turn()` returns as it is now. `take` takes an event, and `cancel` hands a
    stop on to the backend, which handles it where it waits next itself, since it has work to end. `last` is
    what was decided last. A failure of the meter is the turn's only where that has a budget. With a `pacer` a
    request waits for those of other turns while what they have reserved is all that it lacks."""

    def __init__(
        self,
        meter: Meter,
        turn: Callable[[], Turn],
        take: Callable[[Event], None],
        cancel: Callable[[], None],
        pacer: Pacer | None = None,
    ) -> None:
        self._meter, self._turn, self._take, self._cancel = meter, turn, take, cancel
        self.last = Admission()
        self._pacer, self._is_open = pacer, False

    async def admit(self, event: RequestStarted) -> str:
        """Have the request noted that is about to be sent, and return why it may not be, "" where it may."""
        pacer, has_begun = self._pacer, bool(self._turn().requests)
        if pacer and not has_begun and pacer.is_awaited:
            await pacer.wait_for_end(pacer.ended)
        while True:
            since = pacer.ended if pacer else 0
            try:
                self.last = await self._despite_stop(self._meter.admit(event, self._turn()))
            except Exception:
                return self._failed()
            if pacer is None:
                break
            if not self.last.refusal:
                if not self._is_open:
                    pacer.begin()
                self._is_open = True
                break
            if not any(each.limit and each.reserved for each in self.last.spent):
                break
            if self._is_open:
                self._is_open = False
                pacer.pause()
            if not await pacer.wait_for_end(since, is_next=has_begun):
                break
        for each in self.last.spent:
            self._take(each)
        for line in self._meter.lines(self.last.spent):
            self._take(Notice(text=line))
        return self.last.refusal

    def release(self) -> None:
        """The turn is over: others may have what it had reserved."""
        if self._pacer is None:
            return
        if self._is_open:
            self._is_open = False
            self._pacer.end()
        else:
            # It may have been woken, and stopped before it asked.
            self._pacer.wake()

    async def settle(self, event: SessionUsage) -> SessionUsage:
        """`event` with what the turn costs by it."""
        return await self._despite_stop(self._meter.settle(event, self._turn()))

    async def settle_thread(self, event: RequestFinished) -> list[RequestFinished]:
        """The parts of a sub-agent's usage that no turn has counted."""
        return await self._despite_stop(self._meter.settle_thread(event, self._turn()))

    async def check(self, *, after_writes: bool = False) -> str:
        """Take the events of what was spent so far, and return why no further request may be made, "" where
        one may. With `after_writes` it waits until the usage is on the disk. Not so with a pacer: nobody
        reads what each of many turns adds to the sums, each request is admitted by them anyway, and whoever
        keeps their answers waits for the disk."""
        if self._pacer is not None:
            return ""
        waiting = Activity(text="waiting for the ledger")
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._take, waiting)
        try:
            if after_writes:
                await self._meter.writer.wait_until_written()
            events = await self._meter.spending(self._turn())
            for event in events:
                self._take(event)
            return next(filter(None, (reached(each) for each in events if isinstance(each, Spent))), "")
        except asyncio.CancelledError:
            self._cancel()
        except Exception:
            return self._failed()
        finally:
            timer.cancel()
            if self._turn().activity == waiting.text:
                self._take(Activity(text=""))
        return ""

    def _failed(self) -> str:
        log.exception("the meter failed")
        return "" if self._meter.limit is None else "its budget cannot be known"

    async def _despite_stop(self, noting: Coroutine[Any, Any, T]) -> T:
        """What is noted must be known here, so that it is settled."""
        work = asyncio.ensure_future(noting)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            result = await work
            self._cancel()
            return result


async def cancelled(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Cancel a backend where it stands, as by a stop, so that nothing is sent and its provider stops; what it
    still yields is usage."""
    if not isinstance(events, AsyncGenerator):
        return
    with suppress(StopAsyncIteration, asyncio.CancelledError):
        event = await events.athrow(asyncio.CancelledError())
        while True:
            yield event
            event = await anext(events)
