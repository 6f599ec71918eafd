"""Requests on their way to a provider in batches, and the answers on their way back.

Which request is in which batch is written down before the batch is sent, under a mark, and the batch's id
after it. So a process that was killed pays nothing twice: the next one waits for the same batch, or finds it
by its mark at the provider.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import storage
from ..backends.local.batch_api import Api, api_of
from ..backends.local.client import load
from ..backends.local.providers import Server
from ..backends.sdk_errors import error_in_answer, is_retryable, translate
from ..errors import BackendError, PraisonError
from ..events import new_id
from ..runtime import loop
from .answer_file import AnswerFile

GATHERING_SECONDS = 0.5
"""A batch is sent when no more requests have come for so long."""
FIRST_POLL, LONGEST_POLL = 1.0, 60.0
"""Seconds between two looks at a batch, half as many again each time."""
_MOST_VALUES = 500


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request in the batch: its answer as JSON, or why there is none."""

    batch: str
    answer: dict[str, Any] | None
    problem: PraisonError


@dataclass(eq=False)
class Ticket:
    """A request on its way; `id` is a digest of it."""

    id: str
    body: dict[str, Any]
    done: asyncio.Future[Result] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    is_sent: bool = False


class Batches:
    """The batches of one map. On the loop's thread."""

    def __init__(self, server: Server, file: AnswerFile) -> None:
        self._server, self._file = server, file
        self._waiting: dict[str, Ticket] = {}
        self._delivered: list[str] = []
        self._gathering: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.say: Callable[[str], None] = lambda line: None

    async def ask(self, ticket: Ticket) -> Result:
        """The answer. One that is cancelled before its batch is sent is not in it. Raises PraisonError."""
        self._waiting[ticket.id] = ticket
        if self._gathering is not None:
            self._gathering.cancel()
        self._gathering = asyncio.get_running_loop().call_later(GATHERING_SECONDS, self._begin)
        try:
            return await asyncio.shield(ticket.done)
        finally:
            if not ticket.is_sent:
                self._waiting.pop(ticket.id, None)

    def end(self) -> None:
        """The map has ended, and its answers are kept: what was delivered is not looked for again."""
        for task in self._tasks:
            task.cancel()
        delivered, self._delivered = self._delivered, []
        if delivered:
            loop.spawn(asyncio.to_thread(self._forget, delivered))

    def _begin(self) -> None:
        tickets, self._waiting = self._waiting, {}
        for ticket in tickets.values():
            ticket.is_sent = True
        if tickets:
            self._spawn(self._run(tickets), tickets)

    def _spawn(self, work: Any, tickets: dict[str, Ticket]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                problem = translate(error, self._server.where)
                for ticket in tickets.values():
                    if not ticket.done.done():
                        ticket.done.set_exception(problem)
                        # Nobody may wait for it any more.
                        ticket.done.exception()

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, tickets: dict[str, Ticket]) -> None:
        await load(self._server)
        api = api_of(self._server)
        left = dict(tickets)
        for mark, (batch, at, ids) in (await asyncio.to_thread(self._find, list(tickets))).items():
            mine = {each: left.pop(each) for each in ids if each in left}
            found = batch or await self._find_unnoted(api, mark, at)
            if found:
                await asyncio.to_thread(self._note, mark, found)
                self.say(f"{len(mine):,} questions wait for {self._server.name}'s batch {found} of before.")
                self._spawn(self._follow(api, found, mine), mine)
            else:
                await asyncio.to_thread(self._forget, list(mine))
                left |= mine
        for part in _parts(left, api):
            self._spawn(self._send(api, part), part)

    async def _find_unnoted(self, api: Api, mark: str, at: float) -> str:
        ids = await asyncio.to_thread(self._requests_of, mark)
        return await api.find(mark, at, ids, await asyncio.to_thread(self._known))

    async def _send(self, api: Api, tickets: dict[str, Ticket]) -> None:
        mark = new_id()
        await asyncio.to_thread(self._note, mark, "", list(tickets))
        try:
            batch = await api.create(mark, {each: ticket.body for each, ticket in tickets.items()})
        except Exception as error:
            problem = translate(error, self._server.where)
            status = getattr(problem, "status_code", None)
            if isinstance(status, int) and 400 <= status < 500:
                await asyncio.to_thread(self._forget, list(tickets))
            raise problem from None
        await asyncio.to_thread(self._note, mark, batch)
        self.say(
            f"{len(tickets):,} questions are with {self._server.name} as {batch}: Stop leaves them there, "
            "the next call of the same map goes on, and the provider's console cancels them."
        )
        await self._follow(api, batch, tickets)

    async def _follow(self, api: Api, batch: str, tickets: dict[str, Ticket]) -> None:
        pause = FIRST_POLL
        while True:
            try:
                has_ended, problem = await api.has_ended(batch)
                if has_ended:
                    results = await api.results(batch)
                    break
            except Exception as error:
                translated = translate(error, self._server.where)
                if not is_retryable(translated):
                    raise translated from None
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_POLL)
        nothing = problem or f"{self._server.name}'s batch {batch} has no answer to it: map again."
        for request_id, ticket in tickets.items():
            answer, reported = results.get(request_id, (None, nothing))
            why: PraisonError = BackendError(nothing)
            if answer is None:
                is_text = isinstance(reported, str)
                why = BackendError(reported) if is_text else error_in_answer(reported, self._server.where)
            self._delivered.append(request_id)
            if not ticket.done.done():
                ticket.done.set_result(Result(batch, answer, why))

    # In the answer file

    def _find(self, ids: list[str]) -> dict[str, tuple[str, float, list[str]]]:
        """The batches that have some of these requests, by their marks: id, time, and which."""
        found: dict[str, tuple[str, float, list[str]]] = {}

        def work(connection: Any) -> None:
            for some in _slices(ids):
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    "SELECT r.id, b.mark, b.id, b.time FROM batch_requests r "
                    "JOIN batches b ON b.mark = r.mark "
                    f"WHERE r.id IN ({marks})",
                    some,
                )
                for request_id, mark, batch, at in rows:
                    found.setdefault(mark, (batch, at, []))[2].append(request_id)

        self._file.with_file(work)
        return found

    def _requests_of(self, mark: str) -> set[str]:
        query = "SELECT id FROM batch_requests WHERE mark = ?"
        return self._file.with_file(lambda c: {each for (each,) in c.execute(query, (mark,))})

    def _known(self) -> set[str]:
        return self._file.with_file(lambda c: {each for (each,) in c.execute("SELECT id FROM batches")})

    def _note(self, mark: str, batch: str, ids: Iterable[str] = ()) -> None:
        def work(connection: Any) -> None:
            connection.execute(
                "INSERT INTO batches VALUES (?, ?, ?) ON CONFLICT (mark) DO UPDATE SET id = excluded.id",
                (mark, batch, time.time()),
            )
            rows = [(each, mark) for each in ids]
            connection.executemany("INSERT OR REPLACE INTO batch_requests VALUES (?, ?)", rows)

        self._file.with_file(lambda c: storage.transact(c, work))

    def _forget(self, ids: list[str]) -> None:
        def work(connection: Any) -> None:
            connection.executemany("DELETE FROM batch_requests WHERE id = ?", [(each,) for each in ids])
            connection.execute("DELETE FROM batches WHERE mark NOT IN (SELECT mark FROM batch_requests)")

        self._file.with_file(lambda c: storage.transact(c, work))


def _slices(ids: list[str]) -> Iterable[list[str]]:
    return (ids[first : first + _MOST_VALUES] for first in range(0, len(ids), _MOST_VALUES))


def _parts(tickets: dict[str, Ticket], api: Api) -> Iterable[dict[str, Ticket]]:
    """The requests in batches that the provider takes."""
    part: dict[str, Ticket] = {}
    size = 0
    for request_id, ticket in tickets.items():
        more = len(json.dumps(ticket.body)) + len(request_id) + 200
        if part and (len(part) >= api.most_requests or size + more > api.most_bytes):
            yield part
            part, size = {}, 0
        part[request_id] = ticket
        size += more
    if part:
        yield part
