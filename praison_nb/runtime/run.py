"""A Run is one turn under way: it takes the backend's events, folds them into the Turn, and calls the
subscribers. It lives on the background loop; its methods may be called from any thread. On the thread that
waits for it the user's functions run: their output lands in its cell, and no other thread calls them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

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
from . import loop, user_loop
from .admissions import Admissions, cancelled
from .approvals import NO, Approvals, Asker, digest_of
from .deadlock import called_by, callers, refuse_deadlock, set_callers
from .function_call import FunctionCall, run_in_pool
from .mailbox import Mailbox
from .observable import Observers
from .options import Subscriber, TurnOptions

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.25
"""After a stop the backend has so long to end the turn by itself; then it is ended here."""
DRAIN_SECONDS = 30.0
"""How long a stopped backend may go on behind the scenes, to stop its provider and read the last usage."""

UNFINISHED = "Unfinished: its process ended before the turn did. The text so far is kept."


_SETTLED: Future[None] = Future()
_SETTLED.set_result(None)


class Run:
    """One turn under way. `source(run)` yields its events; `lock` keeps the turns of a session in order;
    `before` says what the session had used before the turn, None where nobody can; `allowed` is the session's
    set of tools that the user said yes to once and for all. `approvals` are the user's answers."""

    def __init__(
        self,
        turn: Turn,
        source: Callable[[Run], AsyncIterator[Event]],
        options: TurnOptions,
        *,
        lock: asyncio.Lock,
        before: BeforeTurn | None,
        allowed: set[str],
    ) -> None:
        loop.refuse_at_end()
        self.turn = turn
        self.stopping = False
        self.lock = lock
        self._source, self._options = source, options
        self.attachments, self.output = options.attachments, options.output
        self.settled: Future[None] = Future()
        """Done when the backend has told all that it learns after the turn's end."""
        self.pacer = options.pacer
        writer = options.on_worker.writer if options.on_worker else None
        self._meter = Meter(
            options.budget, before, options.tags, writer, is_one_of_many=self.pacer is not None
        )
        # What is not in a circle is freed at the end of the turn, and not some time later with thousands.
        me, asker = weakref.proxy(self), options.asker
        self._admissions = Admissions(
            self._meter, lambda: me.turn, lambda event: me._take(event), lambda: me._cancel(), self.pacer
        )
        self._subscribers: Observers[Event, Turn] = Observers(*options.subscribers)
        self._calls: list[FunctionCall] = []
        self._mailbox = Mailbox()
        self.approvals = Approvals(
            lambda: me.turn,
            allowed,
            None if asker is None else lambda call: me._ask(asker, call),
            lambda line: me._take(Notice(text=line)),
        )
        self._task: asyncio.Future[Any] | None = None
        self._callers = callers()

    def begin(self) -> Run:
        """Start, in the caller's context, so that output goes to the caller's cell."""
        loop.call_soon(self._begin)
        return self

    # From any thread

    def stop(self) -> None:
        """End the turn now; text and usage so far stay, and its provider stops too."""
        loop.get().call_soon_threadsafe(self._stop)

    def approve(self, call_id: str, digest: str | None = None, *, for_session: bool = False) -> None:
        """Let the tool call go on that waits for a yes; with `for_session` all later calls of the same tool
        in this session too. `digest` (`review.digest`) is of the call that the user was shown, by default the
        one that waits now. A yes to a call that has changed since, or that nobody was asked about yet, counts
        for nothing."""
        if digest is None:
            waiting = (call for call in self.turn.waiting if call.id == call_id)
            digest = next(map(digest_of, waiting), "")
        loop.get().call_soon_threadsafe(self.approvals.approve, call_id, digest, for_session)

    def deny(self, call_id: str, message: str = NO) -> None:
        """Refuse the tool call that waits; the model gets `message`."""
        loop.get().call_soon_threadsafe(self.approvals.deny, call_id, message)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber(event, turn)` on the loop's thread after each event, and return what ends that. A
        coroutine that it returns is awaited on the user's loop, one after the other. What it raises is
        logged, and it is called no more."""
        return self._subscribers.add(subscriber)

    def wait(self) -> Turn:
        """Block until the turn is over. An interrupt stops the turn and is raised again. Raises ConfigError
        where that would never end."""
        for _ in self.text():
            pass
        return self.turn

    def text(self) -> Iterator[str]:
        """The answer as it comes (with the option `stream`), until the turn is over. Leaving the
        iteration early stops the turn. Raises ConfigError where that would never end."""
        refuse_deadlock(self, blocks=True)
        user_loop.mark_blocked()
        return self._mailbox.read(self.stop)

    def __repr__(self) -> str:
        from ..render.text import turn_text

        return turn_text(self.turn)

    def __await__(self) -> Generator[Any, None, Turn]:
        return self._join().__await__()

    async def _join(self) -> Turn:
        async for _ in self.atext():
            pass
        return self.turn

    def atext(self) -> AsyncGenerator[str, None]:
        """`text()` for a caller with a loop of its own: a notebook's cell, say."""
        refuse_deadlock(self, blocks=False)
        return self._mailbox.aread(self.stop)

    # For backends, on the loop's thread

    @property
    def output_limit(self) -> int | None:
        """The tokens that the answer to the request which has just begun may have, None where any number."""
        most = self._options.on_worker.output_limit if self._options.on_worker else None
        limits = [each for each in (self._admissions.last.output_limit, most) if each is not None]
        return min(limits, default=None)

    @property
    def allowance(self) -> Decimal | None:
        """USD that were reserved for that request, None where no budget limits it."""
        admission = self._admissions.last
        return admission.reserved if any(each.limit is not None for each in admission.spent) else None

    @property
    def cost_limit(self) -> Decimal | None:
        """USD that the turn may cost from that request on, None where nothing limits it."""
        return self._admissions.last.cost_limit

    async def call(self, function: Callable[[], Any], is_async: bool) -> Any:
        """Run the user's `function` where it belongs and return what it returns; it is awaited when
        `is_async`."""
        function = called_by((*self._callers, self), function, is_async)
        if not self._options.caller_waits:
            return await run_in_pool(function, is_async)
        call = FunctionCall(function, is_async)
        self._calls.append(call)
        if not (self._options.mailbox or self._mailbox).put(call):
            self._stop()
        try:
            return await call.result()
        finally:
            self._calls.remove(call)

    def report(self, event: Event) -> None:
        """Take an event while the backend has none to yield."""
        if self.turn.ended is None:
            self._take(event)

    # On the loop's thread

    def _begin(self) -> None:
        self._task = loop.get().create_task(self._main())
        self._task.add_done_callback(self._close)

    async def _ask(self, asker: Asker, call: ToolCall) -> bool:
        is_async = inspect.iscoroutinefunction(asker)
        return await self.call(functools.partial(asker, call), is_async) is True

    async def _main(self) -> None:
        set_callers((*self._callers, self))
        if self.lock.locked():
            self._take(Activity(text="waiting for the turn before it"))
        async with AsyncExitStack() as self._place:
            await self._place.enter_async_context(self.lock)
            if self.pacer is None:
                # For one of many that is a thread's turn for nothing.
                self._meter.preload()
            events: AsyncIterator[Event] | None = None
            try:
                # Before anything is sent: a provider that runs the loop reports requests that are under way.
                if not self._options.is_sent:
                    if refusal := administration().refusal(self.turn.model):
                        raise ConfigError(refusal)
                    if over := await self._admissions.check():
                        self._take(TurnFinished(stop_reason="budget_reached", detail=over))
                        return
                events = self._source(self)
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
                    self._admissions.release()

    async def _take_all(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            if isinstance(event, RequestStarted):
                over = await self._admissions.admit(event)
                # A turn that is followed goes on by itself.
                if over and not self._options.is_sent:
                    self._take(TurnFinished(stop_reason="budget_reached", detail=over))
                    async for late in cancelled(events):
                        await self._take_in_turn(late)
                    return
            await self._take_in_turn(event)
            if isinstance(event, RequestFinished):
                await self._admissions.check(after_writes=True)
        self._take(TurnFinished())

    async def _take_in_turn(self, event: Event) -> None:
        if isinstance(event, SessionUsage):
            event = await self._admissions.settle(event)
        if isinstance(event, RequestFinished) and event.thread:
            for part in await self._admissions.settle_thread(event):
                self._take(part)
            return
        self._take(event)
        if isinstance(event, TurnFinished | TurnFailed):
            # What the backend still learns, such as the session's usage, keeps no other turn waiting.
            await self._place.aclose()

    def _take(self, event: Event) -> None:
        if isinstance(event, TurnFinished | TurnFailed):
            if self.turn.ended is not None:
                return
            if line := self._meter.writer.waiting_line:
                self._take(Notice(text=line))
            if self.stopping:
                event = TurnFinished(stop_reason="interrupted", time=event.time)
            elif loop.is_ending():
                event = TurnFailed(error=TurnStopped(UNFINISHED), time=event.time)
        if isinstance(event, ApprovalAsked) and self.approvals.auto_answer(event):
            return
        event = self._meter.with_cost(replace_surrogates_in_fields(event), self.turn)
        self.turn = turn = fold(self.turn, event)
        if turn.error:
            turn.error.turn = turn
        if self._options.stream and not self._mailbox.put_text(event):
            self._stop()
        self.approvals.note(event)
        self._meter.record(event, turn)
        self._subscribers.notify(event, turn)
        if turn.ended is not None:
            self._mailbox.close()

    def _stop(self) -> None:
        if self.turn.ended is not None or self.stopping or self._task is None or not self._mailbox.is_own:
            return
        self.stopping = True
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
        self.settled.set_result(None)
        # Who keeps the turn does not keep what showed and stored it; a Future never forgets its callbacks.
        self._subscribers = Observers()
        self._options, self.settled = TurnOptions(budget=self._options.budget), _SETTLED
        self._task = None
        del self._source


loop.at_exit(writer.flush)
