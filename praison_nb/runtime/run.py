"""A Run is one turn under way: it takes the backend's events, folds them into the Turn, and calls the
subscribers. It lives on the background loop; its methods may be called from any thread. On the thread that
waits for it the user's functions run: their output lands in its cell, and no other thread calls them."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from decimal import Decimal
from typing import Any

from ..events import Event
from ..metering.session_cost import BeforeTurn
from ..turn import Turn
from . import loop, user_loop
from .approvals import NO, Approvals, digest_of
from .deadlock import refuse_deadlock
from .execution import Execution
from .mailbox import Mailbox
from .options import Subscriber, TurnOptions

_SETTLED: Future[None] = Future()
_SETTLED.set_result(None)
_settling = threading.Lock()
_OVER = Approvals(Turn, set(), None, lambda line: None)
_READ = Mailbox()
_READ.close()


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
        self.attachments, self.output = options.attachments, options.output
        self._settled: Future[None] | None = None
        self.pacer = options.pacer
        self._mailbox = Mailbox()
        self._execution: Execution | None = Execution(
            self, functools.partial(source, self), options, self._mailbox, before, allowed
        )
        self.approvals = self._execution.approvals

    def begin(self) -> Run:
        """Start, in the caller's context, so that output goes to the caller's cell."""
        loop.call_soon(self._under_way.begin)
        return self

    # From any thread

    @property
    def settled(self) -> Future[None]:
        """Done when the backend has told all that it learns after the turn's end."""
        with _settling:
            if self._execution is None:
                return _SETTLED
            # Made for whoever asks: it is a dozen objects, and of hundreds of turns at once nobody does.
            if self._settled is None:
                self._settled = Future()
                # It is for all who ask: one that gives up does not cancel it.
                self._settled.set_running_or_notify_cancel()
            return self._settled

    def stop(self) -> None:
        """End the turn now; text and usage so far stay, and its provider stops too."""
        if execution := self._execution:
            loop.call_soon(execution.stop)

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
        if (approvals := self.approvals) is not _OVER:
            loop.get().call_soon_threadsafe(approvals.deny, call_id, message)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber(event, turn)` on the loop's thread after each event, and return what ends that. A
        coroutine that it returns is awaited on the user's loop, one after the other. What it raises is
        logged, and it is called no more."""
        execution = self._execution
        return execution.subscribers.add(subscriber) if execution else lambda: None

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
        return self._under_way.output_limit

    @property
    def allowance(self) -> Decimal | None:
        """USD that were reserved for that request, None where no budget limits it."""
        admission = self._under_way.admissions.last
        return admission.reserved if any(each.limit is not None for each in admission.spent) else None

    @property
    def cost_limit(self) -> Decimal | None:
        """USD that the turn may cost from that request on, None where nothing limits it."""
        return self._under_way.admissions.last.cost_limit

    async def call(self, function: Callable[[], Any], is_async: bool) -> Any:
        """Run the user's `function` where it belongs and return what it returns; it is awaited when
        `is_async`."""
        return await self._under_way.call(function, is_async)

    def report(self, event: Event) -> None:
        """Take an event while the backend has none to yield."""
        if execution := self._execution:
            execution.report(event)

    @property
    def _under_way(self) -> Execution:
        assert self._execution is not None
        return self._execution

    # On the loop's thread

    def end(self) -> None:
        """All is known of the turn. Who keeps the Run does not keep what ran, showed and stored it; a Future
        never forgets its callbacks."""
        with _settling:
            settled, self._execution, self._settled, self.approvals = self._settled, None, None, _OVER
        if self._mailbox.is_read:
            self._mailbox = _READ
        if settled is not None:
            settled.set_result(None)
