"""When the requests of several turns may be sent.

>>> import asyncio
>>> pacer = Pacer(requests_per_minute=60)
>>> async def two():
...     begin = asyncio.get_running_loop().time()
...     await pacer.wait()
...     await pacer.wait()
...     return asyncio.get_running_loop().time() - begin
>>> asyncio.run(two()) >= 0.99
True
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

RETRIES = 6
"""Attempts after the first one, of a request that many wait for."""
PATIENCE = 600.0
"""Whoever wants to be asked again later than that, in seconds, is not asked again."""
MINUTE = 60.0


class Pacer:
    """At most so many requests and tokens a minute, evenly; and none while a server wants none: one that is
    refused for now holds all, until the time is over or a request is answered that was sent later. Where the
    server then refuses again and answers nothing, one at a time asks whether it takes requests, and the
    others wait for its answer. Belongs to one event loop. `retries` is how often a request is sent again,
    `patience` (seconds) how long it may have to wait for that.

    No more than `at_once` requests are open at the server, where that is given: a request that was admitted
    waits for its `place`. So the next ones are admitted while those before them are answered.

    It knows too how many turns have requests under way, and how many have `ended`: a request that no budget
    has room for, while those may leave some, waits for them (`wait_for_end`)."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        retries: int = RETRIES,
        patience: float = PATIENCE,
        at_once: int | None = None,
    ) -> None:
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        self.retries, self.patience = retries, patience
        self._next = self._next_sent = self._next_tokens = self._held_until = self._refused_at = 0.0
        self._places = None if at_once is None else asyncio.Semaphore(at_once)
        self._refusals = 0
        self._opened_at = self._pause = 0.0
        """When the last pause was over, while nothing is answered since, and how long the next one waits
        behind the one that asks; both in seconds, 0 for none."""
        self._opened = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.on_change: Callable[[], object] = lambda: None
        """Called whenever `held_seconds` begins, is lengthened, or is over."""
        self.ended = 0
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held_seconds(self) -> float:
        """For how many seconds nothing is sent from now on."""
        return max(0.0, self._held_until - time.monotonic())

    async def wait(self, tokens: int = 0) -> tuple[int, float]:
        """Wait until a request of so many tokens may be sent. Returns what `place` has to know: how often the
        server had refused one by then, and for how many seconds no other is sent behind it."""
        now = time.monotonic()
        at = max(now, self._next, self._next_tokens)
        if self.requests_per_minute:
            self._next = max(now, self._next) + MINUTE / self.requests_per_minute
        self._next_tokens = max(now, self._next_tokens)
        self.add_tokens(tokens)
        await self._until(at)
        between = MINUTE / self.requests_per_minute if self.requests_per_minute else 0.0
        if self.tokens_per_minute:
            between = max(between, tokens * MINUTE / self.tokens_per_minute)
        return self._refusals, between

    @asynccontextmanager
    async def place(self, waited: tuple[int, float]) -> AsyncIterator[None]:
        """Hold a place for a request that has `waited`: where the server has refused more since, that is
        waited for too. Those that get their places at once are sent one after the other all the same."""
        async with self._places or nullcontext():
            now = time.monotonic()
            refusals, between = waited
            at = max(now, self._next_sent)
            self._next_sent = at + between
            if at > now or self._refusals != refusals:
                await self._until(at)
            yield

    async def _until(self, at: float) -> None:
        if (seconds := at - time.monotonic()) > 0:
            await asyncio.sleep(seconds)
        while self.held_seconds:
            await self._opened.wait()
        if self._pause:
            self._close(self._pause)

    def add_tokens(self, tokens: int) -> None:
        """Count tokens besides those that were waited for: an answer's."""
        if self.tokens_per_minute:
            self._next_tokens += tokens * MINUTE / self.tokens_per_minute

    def hold(self, seconds: float, sent_at: float) -> None:
        """Send nothing for so long: a request that was sent then (`time.monotonic()`) was refused for now."""
        if self._opened_at and sent_at >= self._opened_at:
            self._pause = seconds
        self._refusals += 1
        self._refused_at = max(self._refused_at, sent_at)
        self._close(seconds)

    def answered(self, sent_at: float) -> None:
        """A request that was sent then was answered. If that was after those that were refused, the server
        takes requests again."""
        self._opened_at = self._pause = 0.0
        if self._held_until and sent_at > self._refused_at:
            self._resume()

    def _close(self, seconds: float) -> None:
        self._held_until = max(self._held_until, time.monotonic() + seconds)
        self._opened.clear()
        self._wait_to_open()
        self.on_change()

    def _wait_to_open(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self.held_seconds, self._open)

    def _open(self) -> None:
        if self.held_seconds:
            # Timers of a coarse clock are early.
            self._wait_to_open()
        elif self._held_until:
            self._opened_at = time.monotonic()
            self._resume()

    def _resume(self) -> None:
        self._held_until = 0.0
        self._opened.set()
        self.on_change()

    def begin(self) -> None:
        """A turn's request was admitted. There may be room for one more."""
        self._under_way += 1
        self.wake()

    def pause(self) -> None:
        """A turn that had begun waits for others: it has nothing reserved."""
        self._under_way -= 1

    def end(self) -> None:
        """A turn that had begun is over, and what it cost is known."""
        self._under_way -= 1
        self.ended += 1
        self.wake()

    def wake(self) -> None:
        """Have one of those that wait ask again."""
        while self._waiting:
            first = self._waiting.popleft()
            if not first.done():
                first.set_result(None)
                return

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a turn to end."""
        return bool(self._waiting)

    async def wait_for_end(self, since: int, *, is_next: bool = False) -> bool:
        """Wait for a turn to end after so many that had `ended`; who `is_next` before the others. False where
        none is under way."""
        if self.ended != since:
            return True
        if not self._under_way:
            return False
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if is_next:
            # It is paid in part.
            self._waiting.appendleft(waiting)
        else:
            self._waiting.append(waiting)
        await waiting
        return True
