"""The turns of a map: side by side, one for each question, in sessions of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backends.base import Backend
from ..errors import ConfigError, PraisonError
from ..events import Event
from ..runtime.options import Subscriber
from ..runtime.run import Run
from ..turn import Turn
from .outcome import BUDGET, FAILED, Outcome

Take = Callable[[str, Outcome], None]


AHEAD = 4
"""For each so many turns with a request under way one more is begun, whose request is admitted meanwhile."""


class Workers:
    """Asks questions, `concurrency` at once, in turns begun with `options`, and calls `take(key, outcome)`
    for each that was asked, and `changed()` when one more is under way. Belongs to the loop's thread."""

    def __init__(
        self,
        concurrency: int,
        options: Mapping[str, Any],
        take: Take,
        changed: Callable[[], None],
        subscribers: Sequence[Subscriber] = (),
    ) -> None:
        self._concurrency, self._options, self._subscribers = concurrency, options, subscribers
        self._take, self._changed = take, changed
        self._running: set[Run] = set()
        self._stopping = False
        self.over_budget = ""
        """Which budget has ended it."""

    async def ask(self, agents: Sequence[tuple[Backend, Mapping[str, str]]]) -> None:
        """Ask each agent its questions: prompts by key."""
        work = []
        for backend, prompts in agents:
            if prompts:
                left = deque(prompts.items())
                count = max(1, self._concurrency // len(agents))
                count += count // AHEAD if backend.waits_for_place else 0
                backends = await asyncio.to_thread(_for_map, backend, min(len(left), count))
                work += [(each, left, is_lone) for each, is_lone in backends]
        async with asyncio.TaskGroup() as group:
            for each, left, is_lone in work:
                group.create_task(self._work(each, left, group, is_lone=is_lone))

    @property
    def running(self) -> int:
        """How many are asked now: those that are begun ahead wait for a place."""
        return min(len(self._running), self._concurrency)

    def stop(self) -> None:
        """Ask nothing more, and stop what is under way."""
        self._stopping = True
        for run in list(self._running):
            run.stop()

    async def _work(
        self, backend: Backend, left: deque[tuple[str, str]], group: asyncio.TaskGroup, *, is_lone: bool
    ) -> None:
        while left and not self._stopping:
            key, prompt = left.popleft()
            await _forget_conversation(backend, is_lone=is_lone)
            try:
                run = await self._ask(backend, prompt)
            except PraisonError as error:
                # It could not even begin.
                self._take(key, Outcome(status=FAILED, error=str(error), problem=error))
                continue
            if backend.keeps_sessions_on_server and not is_lone and run.turn.requests:
                # Its server's books may be seconds behind: the next question does not wait for them.
                group.create_task(self._settle_apart(key, run, backend))
                backend = await asyncio.to_thread(backend.fresh)
            else:
                await self._settle(key, run)
        await _forget_conversation(backend, is_lone=is_lone)

    async def _ask(self, backend: Backend, prompt: str) -> Run:
        """A turn whose answer is there."""
        ended = asyncio.Event()

        def observe(event: Event, turn: Turn) -> None:
            if turn.ended is not None:
                ended.set()

        run = backend.begin(prompt, subscribers=[observe, *self._subscribers], **self._options)
        self._running.add(run)
        self._changed()
        await ended.wait()
        return run

    async def _settle(self, key: str, run: Run) -> None:
        """Record the outcome, with the usage that the backend learns of after the turn's end."""
        try:
            if not self._stopping:
                settled = asyncio.Event()
                # Set on this thread: a Future of asyncio's would be woken from another one.
                run.settled.add_done_callback(lambda _: settled.set())
                await settled.wait()
        finally:
            self._running.discard(run)
        outcome = Outcome.of(run.turn, is_typed=run.output is not None)
        if outcome.status != BUDGET or outcome.was_asked:
            self._take(key, outcome)
        else:
            # Nothing is left that others had reserved.
            self.over_budget, self._stopping = self.over_budget or outcome.error, True

    async def _settle_apart(self, key: str, run: Run, backend: Backend) -> None:
        await self._settle(key, run)
        await backend.discard_session()


async def _forget_conversation(backend: Backend, *, is_lone: bool) -> None:
    if is_lone:
        await asyncio.to_thread(backend.reset_session)
    else:
        await backend.discard_session()


def _for_map(backend: Backend, count: int) -> list[tuple[Backend, bool]]:
    """As many backends as can have a turn at once, `count` at most, and whether it is a lone one. The given
    one keeps its conversation."""
    try:
        return [(backend.fresh(), False) for _ in range(count)]
    except ConfigError:
        return [(backend.apart(), True)]
