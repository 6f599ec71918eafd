"""One turn of a HostedAgent: the prompt goes into the session once, and what the session does comes out.

A driver task opens the stream, sends the message and reads on until the session is idle, over as many
connections as it takes. Beside it each approval and each function has a task of its own. All put events
into one queue, which `events()` yields; so a stop never cuts a request of the SDK in two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

from ...errors import PraisonError, SessionError
from ...events import (
    Activity,
    ApprovalAnswered,
    Event,
    RequestFinished,
    SessionAttached,
    SessionUsage,
    ToolFinished,
    TurnFinished,
)
from ...runtime.run import DRAIN_SECONDS, Run
from ..sdk_errors import unchained
from .client import explain, load
from .connection import Connection
from .session import HostedSession
from .tool_calls import Answers
from .translate import Reader
from .usage import session_usage

if TYPE_CHECKING:
    from .agent import HostedAgent

log = logging.getLogger(__name__)

SETTLING = (RequestFinished, SessionUsage, ApprovalAnswered, ToolFinished)
"""What a stopped turn still tells."""


class HostedTurn:
    """One turn of `session`. Everything here runs on the background loop. One that `joins` sends no message,
    and goes on with the turn that the session has."""

    def __init__(
        self, agent: HostedAgent, session: HostedSession, prompt: str, run: Run, *, joins: bool = False
    ) -> None:
        self.agent, self.session, self.prompt, self.run = agent, session, prompt, run
        self.joins = joins
        self.stopping = False
        self.connection: Connection
        self.reader: Reader | None = None
        self.answers: Answers
        self._out: asyncio.Queue[Event | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        """What happens. Stopped once, it tells the session and settles; stopped twice, it leaves."""
        driver = self.spawn(self._drive())
        try:
            while True:
                # A stop may come while an event is waited for, or is handed over.
                try:
                    if (event := await self._out.get()) is None:
                        break
                    if not self.stopping or isinstance(event, SETTLING):
                        yield event
                except asyncio.CancelledError:
                    if self.stopping:
                        raise
                    self._stop(driver)
            await asyncio.wait([driver])
            if not driver.cancelled() and (error := driver.exception()):
                raise error
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, event: Event) -> None:
        """Let the turn say `event`."""
        self._out.put_nowait(event)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the turn, until its end at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(_report)
        return task

    # Stop

    def _stop(self, driver: asyncio.Task[None]) -> None:
        self.stopping = True
        if self.reader is None or not (self.reader.sent or self.reader.busy):
            driver.cancel()  # nothing that the session would have to be told
            return
        self.reader.stopping = True
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, driver.cancel)
        self.spawn(self._interrupt(self.reader, self.answers.give_up()))

    async def _interrupt(self, reader: Reader, refusals: list[dict[str, Any]]) -> None:
        if reader.sent:
            await self._accepted.wait()
        stop = {"type": "user.interrupt"}
        try:
            await self.connection.send([*refusals, stop])
        except PraisonError as error:
            log.warning("the interrupt was not accepted: %s", error)
            if refusals:
                await self.connection.send([stop])

    # The driver

    async def _drive(self) -> None:
        try:
            await self._converse()
            return
        except Exception as error:
            problem = explain(error, self.agent.config, f"the session {self.session.id}")
        finally:
            self._out.put_nowait(None)
        raise unchained(problem)

    async def _converse(self) -> None:
        session = self.session
        await asyncio.to_thread(load)
        self.connection = Connection(self.agent, session, self.put)
        await self.agent.ensure(session)
        if session.over:
            raise SessionError(f"{session.over} reset_session() begins a new one.")
        self.reader = reader = Reader(self.prompt, session.model, session.id, session.seen)
        self.answers = Answers(self, reader)
        self.put(SessionAttached(session_id=session.id, model=session.model, title=session.title))
        try:
            await self._read_to_the_end(reader)
        finally:
            if reader.sent and reader.end is None:
                session.synced = False
        await self._settle(reader)
        if reader.end is not None:
            self.put(reader.end)

    async def _read_to_the_end(self, reader: Reader) -> None:
        connection = self.connection
        stream = await connection.open()
        while True:
            try:
                async with stream:
                    await self._attach(reader)
                    if self._is_over(reader):
                        return
                    async for event in stream:
                        self._read(reader, [event])
                        if reader.doubt is not None:
                            await self._look_up(reader)
                        await self._send_when_free(reader)
                        if self._is_over(reader):
                            return
                connection.lost(None)
            except connection.transient as error:
                connection.lost(error)
            reader.lose_connection()
            stream = await connection.reopen()

    def _is_over(self, reader: Reader) -> bool:
        return reader.end is not None or (self.stopping and not reader.sent and not reader.busy)

    async def _attach(self, reader: Reader) -> None:
        """On a stream that is open: take in what happened without us, and send the message where it was
        not sent yet. A session that still works on something else is waited for."""
        if self.joins and not reader.sent:
            self._join(reader, await self.connection.history())
        elif not self.session.synced and not reader.sent:
            for event in reader.recall(await self.connection.history()):
                self.put(event)
            self.session.synced = True
            if reader.busy and reader.end is None:
                self.put(Activity(text="waiting for what the session did before"))
                self.answers.look()
        elif self.connection.is_lost:
            self._read(reader, await self.connection.history(), history=True)
        self.connection.found()
        await self._send_when_free(reader)

    async def _look_up(self, reader: Reader) -> None:
        """An idle came before the session was seen to begin with our message: was it about that?"""
        idle, reader.doubt = reader.doubt, None
        self._read(reader, await self.connection.history(), history=True)
        if reader.queued and not reader.began:
            # A server that does not tell when it begins: it has nothing left to do, or it will say more.
            told = await self.connection.client.beta.sessions.retrieve(self.session.id)
            if told.status == "idle":
                reader.begin()
                reader.seen.discard(idle.id)
                self._read(reader, [idle])

    def _join(self, reader: Reader, history: list[Any]) -> None:
        """Take in the session's last turn from its message on."""
        messages = [n for n, event in enumerate(history) if event.type == "user.message"]
        if not messages or history[messages[-1]].id == self.session.message_id:
            reader.end = TurnFinished(
                stop_reason="not_sent", detail="the prompt had not been sent when the kernel ended: ask again"
            )
            return
        at = messages[-1]
        self.session.seen.update(event.id for event in history[:at])
        reader.message_id, reader.sent, self.session.synced = history[at].id, True, True
        self._accepted.set()
        self._read(reader, history[at:], history=True)

    async def _send_when_free(self, reader: Reader) -> None:
        if reader.sent or reader.busy or reader.end is not None or self.stopping:
            return
        reader.sent, self.session.synced = True, False
        message = {"type": "user.message", "content": [{"type": "text", "text": self.prompt}]}
        reader.message_id = await self.connection.send([message], may_go=lambda: not self.stopping)
        self.session.synced = True
        self._accepted.set()

    def _read(self, reader: Reader, events: list[Any], *, history: bool = False) -> None:
        known = len(reader.seen)
        for event in events:
            for ours in reader.read(event, history=history):
                self.put(ours)
                if isinstance(ours, SessionAttached):
                    self.session.title = ours.title
        if len(reader.seen) > known:
            self.connection.moved()
        self.answers.look()

    async def _settle(self, reader: Reader) -> None:
        """Note the end, and ask what the session used in all."""
        session = self.session
        session.stop_reason = reader.stop_reason
        session.message_id = reader.message_id or session.message_id
        if reader.stop_reason in ("terminated", "deleted"):
            session.over = f"The session {session.id} was {reader.stop_reason}."
        if reader.stop_reason == "deleted":
            return
        try:
            told = await self.connection.client.beta.sessions.retrieve(session.id, timeout=30)
        except self.connection.transient as error:
            log.warning("the session's usage could not be had: %s", self.connection.explained(error))
            return
        session.title = told.title or ""
        self.put(session_usage(told.usage))


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, PraisonError):
        log.error("a task of a hosted turn failed", exc_info=error)
