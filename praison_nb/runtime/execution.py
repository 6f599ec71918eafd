"""What goes on behind a Run, on the background loop, while its turn is under way: the backend's events are
folded into the Turn, and the subscribers are called."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from ..administration import administration
from ..errors import BackendError, ConfigError, PraisonError, TurnStopped
from ..events import (
    Activity,
    ApprovalAsked,
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    SessionUsage,
    TurnFailed,
    TurnFinished,
)
from ..fold import fold
from ..metering import writer
from ..metering.meter import Meter
from ..metering.session_cost import BeforeTurn
from ..text import describe_exception, replace_surrogates_in_fields
from ..turn import ToolCall, Turn
from . import loop
from .admissions import Admissions, cancelled
from .approvals import Approvals, Asker
from .deadlock import Caller, called_by, callers, set_callers
from .function_call import FunctionCall, run_in_pool
from .mailbox import Mailbox
from .observable import Observers
from .options import TurnOptions

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.25
"""After a stop the backend has so long to end the turn by itself; then it is ended here."""
DRAIN_SECONDS = 30.0
"""How long a stopped backend may go on behind the scenes, to stop its provider and read the last usage."""

UNFINISHED = "Unfinished: its process ended before the turn did. The text so far is kept."


class ExecutedRun(Caller, Protocol):
    """The Run that others have; `end` is called when all is known of its turn."""

    stopping: bool

    def end(self) -> None: ...


class Execution:
    """The turn of `run` under way: `source()` yields its events. It is let go when all is known of the turn,
    since a kernel keeps its Runs. See `Run` for the other arguments."""

    def __init__(
        self,
        run: ExecutedRun,
        source: Callable[[], AsyncIterator[Event]],
        options: TurnOptions,
        mailbox: Mailbox,
        before: BeforeTurn | None,
        allowed: set[str],
    ) -> None:
        self._run, self._source, self._options, self._mailbox = run, source, options, mailbox
        writer = options.on_worker.writer if options.on_worker else None
        one_of_many = options.pacer is not None
        self._meter = Meter(options.budget, before, options.tags, writer, is_one_of_many=one_of_many)
        # What is not in a circle is freed at the end of the turn, and not some time later with thousands.
        me, asker = weakref.proxy(self), options.asker
        self.admissions = Admissions(
            self._meter, lambda: me.turn, lambda event: me._take(event), lambda: me._cancel(), options.pacer
        )
        self.subscribers: Observers[Event, Turn] = Observers(*options.subscribers)
        self.approvals = Approvals(
            lambda: me.turn,
            allowed,
            None if asker is None else lambda call: me._ask(asker, call),
            lambda line: me._take(Notice(text=line)),
        )
        self._calls: list[FunctionCall] = []
        self._task: asyncio.Future[Any] | None = None
        self._callers = callers()

    @property
    def turn(self) -> Turn:
        """As it is now."""
        return self._run.turn

    @property
    def output_limit(self) -> int | None:
        """See `Run.output_limit`."""
        most = self._options.on_worker.output_limit if self._options.on_worker else None
        limits = [each for each in (self.admissions.last.output_limit, most) if each is not None]
        return min(limits, default=None)

    async def call(self, function: Callable[[], Any], is_async: bool) -> Any:
        """See `Run.call`."""
        function = called_by((*self._callers, self._run), function, is_async)
        if not self._options.caller_waits:
            return await run_in_pool(function, is_async)
        call = FunctionCall(function, is_async)
        self._calls.append(call)
        if not (self._options.mailbox or self._mailbox).put(call):
            self.stop()
        try:
            return await call.result()
        finally:
            self._calls.remove(call)

    def begin(self) -> None:
        """Start."""
        self._task = loop.get().create_task(self._main())
        self._task.add_done_callback(self._close)

    async def _ask(self, asker: Asker, call: ToolCall) -> bool:
        is_async = inspect.iscoroutinefunction(asker)
        return await self.call(functools.partial(asker, call), is_async) is True

    async def _main(self) -> None:
        set_callers((*self._callers, self._run))
        if self._run.lock.locked():
            self._take(Activity(text="waiting for the turn before it"))
        async with AsyncExitStack() as self._place:
            await self._place.enter_async_context(self._run.lock)
            events: AsyncIterator[Event] | None = None
            try:
                # Before anything is sent: a provider that runs the loop reports requests that are under way.
                if not self._options.is_sent:
                    if refusal := administration().refusal(self.turn.model):
                        raise ConfigError(refusal)
                    if over := await self.admissions.check():
                        self._take(TurnFinished(stop_reason="budget_reached", detail=over))
                        return
                events = self._source()
                await self._take_all(events)
            except PraisonError as error:
                self._take(TurnFailed(error=error.with_traceback(None)))  # frames hold keys
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                # SystemExit and its like end the turn, and not the loop that all turns run on.
                log.debug("a backend raised", exc_info=True)
                failure = BackendError(f"{self.turn.backend} raised {describe_exception(error)}")
                failure.__cause__ = error
                self._take(TurnFailed(error=failure))
            finally:
                try:
                    if inspect.isasyncgen(events):
                        await events.aclose()
                finally:
                    self.admissions.release()

    async def _take_all(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            if isinstance(event, RequestStarted):
                over = await self.admissions.admit(event)
                # A turn that is followed goes on by itself.
                if over and not self._options.is_sent:
                    self._take(TurnFinished(stop_reason="budget_reached", detail=over))
                    async for late in cancelled(events):
                        await self._take_in_turn(late)
                    return
            await self._take_in_turn(event)
            if isinstance(event, RequestFinished):
                await self.admissions.check(after_writes=True)
        self._take(TurnFinished())

    async def _take_in_turn(self, event: Event) -> None:
        if isinstance(event, SessionUsage):
            event = await self.admissions.settle(event)
        if isinstance(event, RequestFinished) and event.thread:
            for part in await self.admissions.settle_thread(event):
                self._take(part)
            return
        self._take(event)
        if isinstance(event, TurnFinished | TurnFailed):
            # What the backend still learns, such as the session's usage, keeps no other turn waiting.
            await self._place.aclose()

    def report(self, event: Event) -> None:
        """See `Run.report`."""
        if self.turn.ended is None:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, TurnFinished | TurnFailed):
            if self.turn.ended is not None:
                return
            if line := self._meter.writer.waiting_line:
                self._take(Notice(text=line))
            if self._run.stopping:
                event = TurnFinished(stop_reason="interrupted", time=event.time)
            elif loop.is_ending():
                event = TurnFailed(error=TurnStopped(UNFINISHED), time=event.time)
        if isinstance(event, ApprovalAsked) and self.approvals.auto_answer(event):
            return
        event = self._meter.with_cost(replace_surrogates_in_fields(event), self.turn)
        self._run.turn = turn = fold(self.turn, event)
        if turn.error:
            turn.error.turn = turn
        if self._options.stream and not self._mailbox.put_text(event):
            self.stop()
        self.approvals.note(event)
        self._meter.record(event, turn)
        self.subscribers.notify(event, turn)
        if turn.ended is not None:
            self._mailbox.close()

    def stop(self) -> None:
        """End the turn now."""
        if self.turn.ended is not None or self._run.stopping:
            return
        if self._task is None or not self._mailbox.is_own:
            return
        self._run.stopping = True
        self._task.cancel()
        for call in self._calls:
            call.interrupt()
        loop.get().call_later(GRACE_SECONDS, self._take, TurnFinished(stop_reason="interrupted"))
        loop.get().call_later(DRAIN_SECONDS, self._task.cancel)

    def _cancel(self) -> None:
        assert self._task is not None
        self._task.cancel()

    def _close(self, task: asyncio.Future[Any]) -> None:
        # Where a stop, or the end of the process, came before the backend could end the turn.
        self._take(TurnFinished(stop_reason="interrupted"))
        if not task.cancelled() and (error := task.exception()):
            log.error("a turn's task failed", exc_info=error)
        self._task = None
        self._run.end()


loop.at_exit(writer.flush)
