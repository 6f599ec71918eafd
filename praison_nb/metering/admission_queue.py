"""Requests of many turns that are to be sent at the same time are admitted together: the disk is waited for
once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from .admission import Admission, Request, admit
from .writer import Writer


class AdmissionQueue:
    """The requests that wait to be admitted by one writer: those that come while others are decided on are
    decided together. Belongs to the loop's thread."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self.loop = writer, asyncio.get_running_loop()
        self._waiting: list[tuple[Request, asyncio.Future[Admission]]] = []
        self._task: asyncio.Future[list[Admission | Exception]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self, request: Request, within: float = 0.0) -> Admission:
        """What was decided of it; it may wait for others so many seconds. Raises RuntimeError where the
        process ends, and what the meter does."""
        decided: asyncio.Future[Admission] = self.loop.create_future()
        self._waiting.append((request, decided))
        if not within:
            self._start()
        elif self._timer is None:
            self._timer = self.loop.call_later(within, self._start)
        return await decided

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        try:
            requests = [request for request, _ in batch]
            self._task = self.loop.run_in_executor(None, admit, self._writer, requests)
        except RuntimeError as error:
            for _, decided in batch:
                decided.set_exception(error)
            return
        self._task.add_done_callback(functools.partial(self._end, [decided for _, decided in batch]))

    def _end(
        self,
        batch: Sequence[asyncio.Future[Admission]],
        task: asyncio.Future[list[Admission | Exception]],
    ) -> None:
        self._task = None
        results: Sequence[Admission | BaseException]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            results = [error or RuntimeError("The process ends.")] * len(batch)
        else:
            results = task.result()
        for decided, result in zip(batch, results, strict=True):
            if decided.done():
                continue
            if isinstance(result, BaseException):
                decided.set_exception(result)
            else:
                decided.set_result(result)
        self._start()


def queue_of(writer: Writer) -> AdmissionQueue:
    """The one of the running loop."""
    queue = _queues.get(writer)
    if queue is None or queue.loop is not asyncio.get_running_loop():
        queue = _queues[writer] = AdmissionQueue(writer)
    return queue


_queues: WeakKeyDictionary[Writer, AdmissionQueue] = WeakKeyDictionary()
