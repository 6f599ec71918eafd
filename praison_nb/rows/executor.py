"""Questions on their way to workers: of an executor of concurrent.futures, or of a Dask cluster.

They go out in chunks, no more of them than the workers run at once. So one that is stopped in time has not
gone out, and with a worker no more is lost than it was asking.
"""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import deque
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import BackendError, ConfigError, PraisonError
from ..runtime import loop
from ..text import describe_exception
from .worker import Answered, Question, answer_chunk, version

GATHERING_SECONDS = 0.02
"""A worker that is free waits so long for questions that come together."""
DASK = "dask"


@dataclass(eq=False)
class Ticket:
    """A question on its way. `losses` is how often a worker was lost that may have asked it."""

    question: Question
    answered: asyncio.Future[Answered] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    is_sent: bool = False
    losses: int = 0


class Pool(Protocol):
    """Where chunks run."""

    def open(self) -> int:
        """How many chunks it runs at once. May take seconds."""
        ...

    async def run(self, *arguments: Any) -> tuple[bytes, int]:
        """What `answer_chunk(*arguments)` returns there, and how many workers were lost with it."""
        ...

    def close(self) -> None:
        """Let go of what `open` began."""
        ...


class RemoteWorkers:
    """The workers of one map, which ask `concurrency` questions at once in all. On the loop's thread."""

    def __init__(self, pool: Pool, parcel: bytes, concurrency: int) -> None:
        self._pool, self._parcel, self._concurrency = pool, parcel, concurrency
        self._waiting: deque[Ticket] = deque()
        self._serving = 0
        self._slots: asyncio.Task[int] | None = None

    async def ask(self, ticket: Ticket) -> Answered:
        """The answer. A question that is cancelled before it went out goes out no more. Raises
        PraisonError."""
        if self._slots is None:
            self._slots = asyncio.create_task(asyncio.to_thread(self._pool.open))
        slots = await asyncio.shield(self._slots)
        self._waiting.append(ticket)
        if self._serving < slots:
            self._serving += 1
            loop.spawn(self._serve(-(-self._concurrency // slots)))
        try:
            return await asyncio.shield(ticket.answered)
        finally:
            if not ticket.is_sent:
                self._waiting.remove(ticket)

    async def _serve(self, size: int) -> None:
        """Send chunks of that size, one after the other, while there are any."""
        try:
            while self._waiting:
                if len(self._waiting) < size:
                    await asyncio.sleep(GATHERING_SECONDS)
                chunk = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
                for ticket in chunk:
                    ticket.is_sent = True
                if chunk:
                    await self._send(chunk)
        finally:
            self._serving -= 1

    async def _send(self, chunk: list[Ticket]) -> None:
        questions = pickle.dumps([ticket.question for ticket in chunk])
        made: list[Answered] | PraisonError
        losses = 0
        try:
            answers, losses = await self._pool.run(version(), self._parcel, questions)
            made = pickle.loads(answers)
        except Exception as error:
            made = _explained(error)
        for number, ticket in enumerate(chunk):
            ticket.losses = losses
            if ticket.answered.done():
                continue
            if isinstance(made, PraisonError):
                ticket.answered.set_exception(made)
                # Nobody may wait for it any more.
                ticket.answered.exception()
            else:
                ticket.answered.set_result(made[number])

    async def close(self) -> None:
        """Let go of the workers that were begun for this map."""
        await asyncio.to_thread(self._pool.close)


def _explained(error: Exception) -> PraisonError:
    if isinstance(error, PraisonError):
        return error
    if isinstance(error, BrokenExecutor):
        return ConfigError(
            "A process of the executor ended, and with it the executor: make another one and map again. What "
            "was answered is kept."
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "praison_nb":
        return ConfigError(f"The workers have no praison_nb: install praison-nb {version()} there.")
    return BackendError(f"The workers did not answer ({describe_exception(error)}).")


class ExecutorPool:
    """An executor of concurrent.futures."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def open(self) -> int:
        """How many threads or processes it says that it has, or CPUs there are."""
        return int(getattr(self._executor, "_max_workers", 0) or os.cpu_count() or 1)

    async def run(self, *arguments: Any) -> tuple[bytes, int]:
        """See Pool. A process that is lost takes the executor with it."""
        future = await asyncio.to_thread(self._executor.submit, answer_chunk, *arguments)
        return await asyncio.wrap_future(future), 0

    def close(self) -> None:
        """It is its owner's."""


class DaskPool:
    """A client of a Dask cluster, or with None a cluster of this machine's, while it is open. The scheduler
    gives a lost worker's chunks to others."""

    def __init__(self, client: Any = None) -> None:
        self._client, self._own = client, None

    def open(self) -> int:
        """The threads of its workers. Raises ConfigError."""
        if self._client is None:
            self._client = self._own = _local_client()
        threads = sum(self._client.nthreads().values())
        if not threads:
            raise ConfigError("The Dask cluster has no workers: scale it, or client.wait_for_workers(1).")
        return int(threads)

    async def run(self, *arguments: Any) -> tuple[bytes, int]:
        """See Pool."""
        client = self._client
        future = await asyncio.to_thread(client.submit, answer_chunk, *arguments, pure=False)
        done: Future[None] = Future()
        future.add_done_callback(lambda _: done.set_result(None))
        await asyncio.wrap_future(done)
        answers: bytes = await asyncio.to_thread(future.result)
        losses = await asyncio.to_thread(client.run_on_scheduler, count_losses, key=future.key)
        return answers, int(losses)

    def close(self) -> None:
        """Close the cluster that was begun here."""
        if self._own is not None:
            cluster = self._own.cluster
            self._own.close()
            cluster.close()


def count_losses(key: str, dask_scheduler: Any = None) -> int:
    """On the scheduler: how many workers were lost that had the task."""
    task = dask_scheduler.tasks.get(key)
    return int(getattr(task, "suspicious", 0))


def _local_client() -> Any:
    try:
        import distributed
    except ImportError:
        raise ConfigError('executor="dask" needs dask: pip install praison-nb[dask].') from None
    return distributed.Client(distributed.LocalCluster(threads_per_worker=1, dashboard_address=None))


def pool_of(executor: Any) -> Pool:
    """Where `executor`'s chunks run: "dask", a client of Dask's, or an executor. Raises ConfigError."""
    if executor == DASK:
        return DaskPool()
    if isinstance(executor, Executor):
        return ExecutorPool(executor)
    if hasattr(executor, "run_on_scheduler") and hasattr(executor, "nthreads"):
        if getattr(executor, "asynchronous", False):
            raise ConfigError("executor= takes a Client that is not asynchronous.")
        return DaskPool(executor)
    raise ConfigError(
        'executor= takes "dask", a Client of dask.distributed, or an Executor of concurrent.futures, not '
        f"{executor!r:.60}."
    )
