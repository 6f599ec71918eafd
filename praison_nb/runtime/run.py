"""A Run is one turn under way: it takes the backend's events, folds them into the Turn, and tells whoever
subscribed. It lives on the background loop; its methods may be called from any thread.

Whoever waits for a run (`wait`, `await`, `text`) lends it the thread meanwhile: there the user's Python
functions run, so that their output lands in the waiting cell and the user's objects are touched by one
thread only.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from decimal import Decimal
from typing import Any

from ..errors import BackendError, PraisonError, TurnStopped
from ..events import (
    Activity,
    ApprovalAsked,
    Event,
    Notice,
    RequestFinished,
    RequestStarted,
    Spent,
    TextDelta,
    TextFinal,
    ToolStarted,
    TurnFailed,
    TurnFinished,
)
from ..fold import fold
from ..metering import writer
from ..metering.budget import reached
from ..metering.meter import Meter
from ..metering.session_cost import BeforeTurn
from ..render import review
from ..text import describe_exception, replace_surrogates_in_fields, shorten
from ..turn import ToolCall, Turn
from . import loop, user_loop
from .approvals import CHANGED, NO, Approvals, Asker, digest_of
from .deadlock import called_by, callers, enter, refuse_deadlock
from .function_call import FunctionCall, run_in_pool
from .mailbox import Mailbox
from .observable import Observers

log = logging.getLogger(__name__)

GRACE_SECONDS = 0.25
"""After a stop the backend has so long to end the turn by itself; then it is ended here."""
DRAIN_SECONDS = 30.0
"""A stopped backend may go on so long behind the scenes to tell its provider and read the last usage."""

UNFINISHED = "Unfinished: its process ended before the turn did. The text so far is kept."

Subscriber = Callable[[Event, Turn], object]
Source = Callable[["Run"], AsyncIterator[Event]]


class Run:
    """One turn under way. `source(run)` yields its events; `lock` keeps the turns of a session in order.

    With `lend`, somebody will wait for the run and lend their thread; without, functions run on a thread
    of the pool. `budget` in USD is the turn's own; the others that count are in the ledger. `before` says
    what the session had used before the turn. `allowed` is the session's set of tools that the user said
    yes to once and for all; `asker` asks the user about the others, where nobody else does. A turn that
    `is_sent` was begun before, by a process that ended.
    """

    def __init__(
        self,
        turn: Turn,
        source: Source,
        *,
        lock: asyncio.Lock,
        subscribers: tuple[Subscriber, ...] = (),
        lend: bool = True,
        budget: Decimal | None = None,
        before: BeforeTurn = lambda turn: None,
        allowed: set[str] | None = None,
        asker: Asker | None = None,
        is_sent: bool = False,
    ) -> None:
        loop.refuse_at_end()
        self.turn = turn
        self.stopping = False
        self._source = source
        self.lock = lock
        self._meter = Meter(budget, before)
        self._subscribers: Observers[Event, Turn] = Observers(self._meter.record, *subscribers)
        self._lend = lend
        self._is_sent = is_sent
        self._streams = False
        self._said: dict[str, int] = {}
        self._jobs: list[FunctionCall] = []
        self._inbox = Mailbox()
        self._verdicts = Approvals(
            set() if allowed is None else allowed,
            None if asker is None else functools.partial(self._ask, asker),
            lambda line: self._take(Notice(text=line)),
        )
        self._task: asyncio.Future[Any] | None = None
        self._chain = (*callers(), self)

    def begin(self, *, stream: bool = False) -> Run:
        """Start, in the caller's context, so that output goes to the caller's cell. With `stream` the text
        can be had from `text()` while it comes."""
        self._streams = stream
        loop.get().call_soon_threadsafe(self._begin)
        return self

    # From any thread

    def stop(self) -> None:
        """End the turn now; text and usage so far stay, the provider is told."""
        loop.get().call_soon_threadsafe(self._stop)

    def approve(self, call_id: str, digest: str | None = None, *, for_session: bool = False) -> None:
        """Let the tool call go on that waits for a yes; with `for_session` all later calls of the same tool
        in this session too. `digest` (`review.digest`) is of the call that the user was shown, by default the
        one that waits now. A yes to a call that has changed since, or that nobody was asked about yet, counts
        for nothing."""
        if digest is None:
            waiting = (call for call in self.turn.waiting if call.id == call_id)
            digest = next(map(digest_of, waiting), "")
        loop.get().call_soon_threadsafe(self._approve, call_id, digest, for_session)

    def deny(self, call_id: str, message: str = NO) -> None:
        """Refuse the tool call that waits; the model gets `message`."""
        loop.get().call_soon_threadsafe(self._deny, call_id, message)

    def has_changed(self, call_id: str) -> bool:
        """Whether the user was asked about another call under this id before. True once: who asks this shows
        the one that stands."""
        changed = self._verdicts.changed
        is_new = call_id in changed
        changed.discard(call_id)
        return is_new

    def note_shown(self, call: ToolCall) -> None:
        """The whole question about `call` stands where the user says yes by a line."""
        self._verdicts.shown.add((call.id, digest_of(call)))

    def was_shown(self, call: ToolCall) -> bool:
        """Whether `note_shown` was said of this very call."""
        return (call.id, digest_of(call)) in self._verdicts.shown

    def leave(self) -> None:
        """Nobody will wait for the run after all: functions run on threads of the pool from now on."""
        loop.get().call_soon_threadsafe(self._leave)

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
        """The answer as it comes (after `begin(stream=True)`), until the turn is over. Leaving the
        iteration early stops the turn. Raises ConfigError where that would never end."""
        refuse_deadlock(self, blocks=True)
        user_loop.about_to_block()
        return self._inbox.read(self.stop)

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
        return self._inbox.aread(self.stop)

    # For backends, on the loop's thread

    async def call(self, function: Callable[[], Any], is_async: bool) -> Any:
        """Run the user's `function` where it belongs and return what it returns; it is awaited when
        `is_async`."""
        function = called_by(self._chain, function, is_async)
        if self._lend:
            job = FunctionCall(function, is_async)
            self._jobs.append(job)
            self._put(job)
            try:
                return await job.result()
            finally:
                self._jobs.remove(job)
        return await run_in_pool(function, is_async)

    def verdict(self, call_id: str, digest: str = "") -> asyncio.Future[str | None]:
        """The user's answer to a tool call that asks: None for yes, else the message of the no. `digest`
        (`review.digest`) is of the call that would run, by default as the turn has it now."""
        return self._verdicts.of(call_id, digest or self._digest(call_id))

    # On the loop's thread

    def _begin(self) -> None:
        self._task = loop.get().create_task(self._main())
        self._task.add_done_callback(self._close)

    async def _ask(self, asker: Asker, call: ToolCall) -> bool:
        is_async = inspect.iscoroutinefunction(asker)
        return await self.call(functools.partial(asker, call), is_async) is True

    async def _main(self) -> None:
        enter(self._chain)
        if self.lock.locked():
            self._take(Activity(text="waiting for the turn before it"))
        async with self.lock:
            self._meter.warm()
            # Before anything is sent: a provider that runs the loop tells of a request when it is under way.
            if not self._is_sent and (over := await self._metered(self._over_budget())):
                self._take(TurnFinished(stop_reason="budget_reached", detail=over))
                return
            is_first = not self._is_sent
            events = self._source(self)
            try:
                async for event in events:
                    if isinstance(event, RequestStarted):
                        over = "" if is_first else await self._metered(self._over_budget())
                        is_first = False
                        if over:
                            await self._end_early(events, over)
                            return
                    self._take(event)
                    if isinstance(event, RequestFinished):
                        await self._metered(self._settle())
                self._take(TurnFinished())
            except PraisonError as error:
                self._take(TurnFailed(error=error))
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                # SystemExit and its like end the turn, and not the loop that all turns run on.
                log.debug("a backend raised", exc_info=True)
                failure = BackendError(f"{self.turn.backend} raised {describe_exception(error)}")
                failure.__cause__ = error
                self._take(TurnFailed(error=failure))
            finally:
                if inspect.isasyncgen(events):
                    await events.aclose()

    async def _metered(self, work: Coroutine[Any, Any, str]) -> str:
        """What the meter says. Its failure is not the turn's, and a stop meanwhile is for the backend, which
        has to hear it at a point of its own."""
        try:
            return await work
        except asyncio.CancelledError:
            if task := asyncio.current_task():
                task.cancel()
        except Exception:
            log.exception("the meter failed")
        return ""

    async def _over_budget(self) -> str:
        """Why no request may be made, "" where one may."""
        spending = await self._meter.spending(self.turn)
        for event in spending:
            self._take(event)
        return next(filter(None, (reached(event) for event in spending if isinstance(event, Spent))), "")

    async def _settle(self) -> str:
        """Have the finished request on the disk before anything else happens, and say what it comes to."""
        await self._meter.book.wait_until_written()
        for event in await self._meter.spending(self.turn):
            self._take(event)
        return ""

    async def _end_early(self, events: AsyncIterator[Event], why: str) -> None:
        """End the turn before its next request. The backend hears what a stop would tell it, at the point
        where it stands, so that nothing is sent and a provider is told; what it still says is usage."""
        self._take(TurnFinished(stop_reason="budget_reached", detail=why))
        if not isinstance(events, AsyncGenerator):
            return
        try:
            event = await events.athrow(asyncio.CancelledError())
            while True:
                self._take(event)
                event = await anext(events)
        except (StopAsyncIteration, asyncio.CancelledError):
            pass

    def _take(self, event: Event) -> None:
        if isinstance(event, TurnFinished | TurnFailed):
            if self.stopping:
                event = TurnFinished(stop_reason="interrupted", time=event.time)
            elif loop.is_ending():
                event = TurnFailed(error=TurnStopped(UNFINISHED), time=event.time)
        if isinstance(event, ApprovalAsked) and self._is_settled(event):
            return
        event = self._meter.with_cost(replace_surrogates_in_fields(event), self.turn)
        self.turn = turn = fold(self.turn, event)
        if isinstance(event, ToolStarted):
            self._verdicts.called(event.call_id, self._digest(event.call_id))
        if turn.error:
            turn.error.turn = turn
        if self._streams:
            self._say(event)
        if isinstance(event, ApprovalAsked):
            for call in turn.waiting:
                self._verdicts.asked(call)
        self._subscribers.notify(event, turn)
        if turn.ended is not None:
            self._inbox.close()

    def _say(self, event: Event) -> None:
        """Put the new text into the inbox, each character once: a final message brings what its preview
        had not."""
        if not isinstance(event, TextDelta | TextFinal) or not event.text:
            return
        known = self._said.get(event.message_id)
        new = event.text[known or 0 :] if isinstance(event, TextFinal) else event.text
        if new and self._said and known is None:
            new = "\n\n" + new
        # Only a message with an id can get a final text, so only there the preview's length counts.
        self._said[event.message_id] = (known or 0) + len(event.text) if event.message_id else 0
        if new:
            self._put(new)

    def _put(self, item: FunctionCall | str) -> None:
        if not self._inbox.put(item):
            self._stop()

    def _stop(self) -> None:
        if self.turn.ended is not None or self.stopping or self._task is None:
            return
        self.stopping = True
        self._task.cancel()
        for job in self._jobs:
            job.interrupt()
        # The fold ignores a second end.
        loop.get().call_later(GRACE_SECONDS, self._take, TurnFinished(stop_reason="interrupted"))
        loop.get().call_later(DRAIN_SECONDS, self._task.cancel)

    def _leave(self) -> None:
        self._lend = False
        for job in self._inbox.jobs():
            loop.pool().submit(contextvars.copy_context().run, job.work)

    def _is_settled(self, event: ApprovalAsked) -> bool:
        """Whether nobody has to be asked about the call, or nobody can be: then the answer is given here."""
        call = self._call(event.call_id)
        if call is None:
            return False
        digest = digest_of(call)
        if event.digest and event.digest != digest:
            self._verdicts.settle(call.id, event.digest, CHANGED)
        elif self._verdicts.always(call.name):
            # The user said yes to this tool before.
            self._verdicts.settle(call.id, digest, None)
        elif not review.can_be_shown(call.name, call.arguments):
            name = shorten(call.name, 60)
            self._take(Notice(text=f"{name} was not run: its arguments are too long to be shown."))
            self._verdicts.settle(call.id, digest, review.TOO_LONG)
        else:
            return False
        return True

    def _approve(self, call_id: str, digest: str, for_session: bool) -> None:
        call = self._call(call_id)
        if call is None or not self._verdicts.allow(call_id, digest) or not for_session:
            return
        self._verdicts.allow_always(call.name)
        for other in self.turn.waiting:
            if other.name == call.name:
                self._verdicts.allow(other.id, digest_of(other))

    def _deny(self, call_id: str, message: str) -> None:
        self._verdicts.settle(call_id, self._digest(call_id), message)

    def _call(self, call_id: str) -> ToolCall | None:
        return next((call for call in self.turn.tools if call.id == call_id), None)

    def _digest(self, call_id: str) -> str:
        call = self._call(call_id)
        return digest_of(call) if call else ""

    def _close(self, task: asyncio.Future[Any]) -> None:
        if self.turn.ended is None:
            # Cancelled by a stop, or by the end of the process, before the backend could end the turn.
            self._take(TurnFinished(stop_reason="interrupted"))
        if not task.cancelled() and (error := task.exception()):
            log.error("a turn's task failed", exc_info=error)


loop.at_exit(writer.flush)
