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

RETRIES = 6
"""Attempts after the first one, of a request that many wait for."""
PATIENCE = 600.0
"""Whoever wants to be asked again later than that, in seconds, is not asked again."""
MINUTE = 60.0


class Pacer:
    """At most so many requests and tokens a minute, evenly; and none while a server wants none: one that is
    refused for now holds all. Belongs to one event loop. `retries` is how often a request is sent again,
    `patience` (seconds) how long it may have to wait for that."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        retries: int = RETRIES,
        patience: float = PATIENCE,
    ) -> None:
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        self.retries, self.patience = retries, patience
        self._next = self._next_tokens = self._held_until = 0.0

    @property
    def held_seconds(self) -> float:
        """For how many seconds nothing is sent from now on."""
        return max(0.0, self._held_until - time.monotonic())

    async def wait(self, tokens: int = 0) -> None:
        """Wait until a request of so many tokens may be sent."""
        now = time.monotonic()
        at = max(now, self._next, self._next_tokens)
        if self.requests_per_minute:
            self._next = max(now, self._next) + MINUTE / self.requests_per_minute
        self._next_tokens = max(now, self._next_tokens)
        self.add_tokens(tokens)
        await self._until(at)

    async def _until(self, at: float) -> None:
        seconds = max(at, self._held_until) - time.monotonic()
        if seconds > 0:
            await asyncio.sleep(seconds)
            # Another one may have been refused meanwhile.
            await self._until(at)

    def add_tokens(self, tokens: int) -> None:
        """Count tokens besides those that were waited for: an answer's."""
        if self.tokens_per_minute:
            self._next_tokens += tokens * MINUTE / self.tokens_per_minute

    def hold(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)
