"""The body of a streamed response, as it comes.

Each time that a body is read from its connection costs the HTTP client as much as reading twenty more events
of it. So what has come together is handed over together; and who sends often is read no more than some
times a second, which loses nothing: the rest waits in the connection, and the next read has it all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..runtime import loop

INTERVAL_SECONDS = 0.02
"""Between two reads of one body, where many come. A page is drawn less often than that."""
MOST_SECONDS = 0.25
READS_PER_SECOND = 1000
"""Of all bodies: with many of them each is read less often, up to `MOST_SECONDS` apart."""
AT_ONCE = 8
"""So many reads are made without a pause where there were none for a while: a short answer waits for none."""
FULL = 16 * 1024
"""A read of so many bytes was worth it: there is no pause behind it."""
_open: set[Body] = set()
# Those of a parent process are not read here.
loop.after_fork(_open.clear)


class Body:
    """The body of an httpx response, read by a task of its own until `aclose`."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._pieces: list[bytes] = []
        self._error: Exception | None = None
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._read_until = 0.0
        self._last_size = 0
        # That of the connection, which the client reads from when it has no more.
        self._network: Any = response.extensions.get("network_stream")
        with suppress(AttributeError):
            self._network.read = self._paced(self._network.read)
        _open.add(self)
        self._task = asyncio.create_task(self._pump())

    async def read(self) -> bytes:
        """What has come since the last time, b"" at the end. Raises what the client raises, once all that
        came before is read."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    async def drain(self, seconds: float) -> None:
        """Wait so long for the end, so that the next request uses the same connection. What comes is lost."""
        if self._pause is not None:
            _release(self._pause)
        self._read_until = float("-inf")
        await asyncio.wait([self._task], timeout=seconds)

    async def aclose(self) -> None:
        """End the response."""
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        finally:
            _open.discard(self)
            # The connection is the next request's.
            with suppress(AttributeError):
                del self._network.read
            await self._response.aclose()

    async def _pump(self) -> None:
        response = self._response
        # Nothing is to be decoded, which the client does piece by piece.
        is_plain = "content-encoding" not in response.headers
        try:
            async for piece in response.aiter_raw() if is_plain else response.aiter_bytes():
                if piece:
                    self._pieces.append(piece)
                    self._wake()
        except Exception as error:
            self._error = error
        finally:
            self._is_over = True
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _release(self._waiter)
            self._waiter = None

    def _paced(self, read: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
        own = asyncio.get_running_loop()

        async def paced(*args: Any, **options: Any) -> bytes:
            interval = min(max(INTERVAL_SECONDS, len(_open) / READS_PER_SECOND), MOST_SECONDS)
            now = own.time()
            # Where others have ended since, what was put off for them is not waited for.
            until = min(max(self._read_until, now), now + (AT_ONCE + 1) * interval)
            ahead = until - now - AT_ONCE * interval
            if ahead > 0 and self._last_size < FULL:
                self._pause = own.create_future()
                timer = own.call_later(ahead, _release, self._pause)
                try:
                    await self._pause
                finally:
                    timer.cancel()
                    self._pause = None
            self._read_until = until + interval
            data = await read(*args, **options)
            self._last_size = len(data)
            return data

        return paced


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
