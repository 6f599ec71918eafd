"""One turn of a HostedAgent: the prompt goes into the session once, and what the session does comes out.

A driver task opens the stream, sends the message and reads on until the session is idle, over as many
connections as it takes. Beside it each approval and each function has a task of its own. All put events
into one queue, which `events()` yields; so a stop never cuts a request of the SDK in two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from ...errors import SessionError
from ...events import (
    Activity,
    ApprovalAnswered,
    Event,
    FilesWritten,
    Notice,
    RequestFinished,
    SessionAttached,
    SessionUsage,
    TextDelta,
    ThreadChanged,
    ToolFinished,
    TurnFailed,
    TurnFinished,
    new_id,
)
from ...runtime.execution import DRAIN_SECONDS
from ...runtime.run import Run
from ..sdk_errors import unchained
from ..silence import ReportedSilence
from .client import client_of, explain, load, session_url
from .connection import Connection
from .context import HostedContext
from .files import may_have_written, new_files
from .interrupt import interrupt, report_failure
from .outcomes import Outcome
from .sending import Sender
from .session import HostedSession
from .settling import settle, settle_late
from .tool_calls import ToolCalls
from .translate import Reader

SHOWN_AFTER_STOP = (
    RequestFinished, SessionUsage, ApprovalAnswered, ThreadChanged, ToolFinished, TurnFinished, TurnFailed,
)  # fmt: skip
"""What a stopped turn still shows."""
DOUBT_SECONDS = 6.0
"""A session that is idle without having done anything may take the message so much later."""
DOUBT_PAUSE_SECONDS = 0.25


class HostedTurn:
    """One turn of `session`. Everything here runs on the background loop. One that `is_attached` sends no
    message, and goes on with the turn that the session has; one with an `outcome` sends that."""

    def __init__(
        self,
        context: HostedContext,
        session: HostedSession,
        prompt: str,
        run: Run,
        *,
        is_attached: bool,
        outcome: Outcome | None = None,
    ) -> None:
        self._context, self._session, self._run = context, session, run
        self._is_attached, self._outcome = is_attached, outcome
        self._reader = Reader(prompt, session, sum(each.tokens for each in run.attachments))
        self._connection: Connection
        self._sender: Sender
        self._tool_calls: ToolCalls
        self._out: asyncio.Queue[Event | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._taken, self._heard = asyncio.Event(), 0

    async def events(self) -> AsyncIterator[Event]:
        """What happens. Stopped once, it interrupts the session and reads its last usage; stopped twice, it
        ends at once."""
        driver = self._spawn(self._drive())
        try:
            while True:
                # A stop may come while an event is waited for, or is handed over.
                try:
                    if (event := await self._out.get()) is None:
                        break
                    if not self._reader.stopping or isinstance(event, SHOWN_AFTER_STOP):
                        yield event
                    self._sender.note_shown(event)
                except asyncio.CancelledError:
                    if self._reader.stopping:
                        raise
                    self._stop(driver)
            await asyncio.wait([driver])
            if not driver.cancelled() and (error := driver.exception()):
                raise error
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put(self, event: Event) -> None:
        self._out.put_nowait(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the turn, until its end at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(report_failure)
        return task

    # Stop

    def _stop(self, driver: asyncio.Task[None]) -> None:
        reader = self._reader
        reader.stopping = True
        if reader.end is not None:
            return  # nothing that could be stopped: the usage is still asked for
        if not (reader.own.is_sent or reader.busy):
            driver.cancel()  # nothing that the session would have to stop
            return
        asyncio.get_running_loop().call_later(DRAIN_SECONDS, driver.cancel)
        accepted = self._sender.accepted if reader.own.is_sent else None
        self._spawn(interrupt(self._connection, self._tool_calls.cancel_pending(), accepted, self._taken))

    # The driver

    async def _drive(self) -> None:
        try:
            await self._converse()
            return
        except Exception as error:
            problem = explain(error, self._context.config, self._session.label)
        finally:
            self._out.put_nowait(None)
        raise unchained(problem)

    async def _converse(self) -> None:
        session, reader = self._session, self._reader
        await asyncio.to_thread(load)
        self._connection = connection = Connection(self._context, session, self._put)
        self._sender = Sender(self._context.config, reader, self._run, self._outcome, connection, self._put)
        await self._context.ensure(session)
        if session.settling is not None:
            # Its answer would have this turn's usage in it: what it lacks is found when this one is settled.
            session.settling.cancel()
        if session.over:
            raise SessionError(f"{session.over} reset_session() begins a new one.")
        self._tool_calls = ToolCalls(
            self._context, reader, self._run, put=self._put, spawn=self._spawn, send=self._sender.send_answers
        )
        session.threads.begin_turn()
        url = session_url(self._context.config, session.id)
        self._put(SessionAttached(session_id=session.id, model=session.model, title=session.title, url=url))
        while session.notices:
            self._put(Notice(text=session.notices.pop(0)))
        try:
            await self._read_to_the_end()
        finally:
            if reader.own.is_sent and reader.end is None:
                session.synced = False
        if reader.end is not None:
            session.note_end(reader.stop_reason, reader.own.id)
            if answer := self._tool_calls.answer:
                # Behind all else that was said: the last message is the answer.
                self._put(TextDelta(text=answer, message_id=new_id()))
            self._put(reader.end)
            turns, turn_id = session.turns, self._run.turn.id
            is_settled = reader.stop_reason != "deleted" and await settle(
                session, connection, turn_id, reader.requests.last_usage, self._put
            )
            await self._find_files(turns)
            if is_settled:
                await settle_late(session, connection, self._put, lambda: self._run.turn.session_usage)

    async def _read_to_the_end(self) -> None:
        reader, connection = self._reader, self._connection
        stream = await connection.open()
        while True:
            try:
                async with stream:
                    await self._synchronize()
                    if self._is_over():
                        return
                    with ReportedSilence(self._progress, self._put):
                        async for event in stream:
                            self._heard += 1
                            await self._find_thread(event)
                            self._read([event])
                            if reader.ambiguous_idle is not None:
                                self._show(reader.resolve_idle(await connection.history()))
                            await self._settle_doubt()
                            await self._find_calls()
                            await self._sender.send_message()
                            if self._is_over():
                                return
                connection.mark_lost(None)
            except connection.transient as error:
                connection.mark_lost(error)
            reader.mark_lost()
            stream = await connection.reopen()

    def _progress(self) -> object:
        """Another value when the session said something, and while it waits for the user."""
        return object() if self._tool_calls.are_pending else self._heard

    def _is_over(self) -> bool:
        reader = self._reader
        return reader.end is not None or (reader.stopping and not reader.own.is_sent and not reader.busy)

    async def _synchronize(self) -> None:
        """On a stream that is open: take in what happened without us, and send the message where it was
        not sent yet. A session that still works on something else is waited for."""
        reader, session = self._reader, self._session
        if self._is_attached and not reader.own.is_sent:
            turn = reader.reattach(await self._connection.history())
            if reader.own.is_sent:
                self._put(reader.requests.begin(self._run.turn.id))
                session.synced = True
                self._sender.accepted.set()
                reader.is_taking_up = True
                self._read(turn, from_history=True)
                reader.is_taking_up = False
        elif not session.synced and not reader.own.is_sent:
            for event in reader.read_earlier(await self._connection.history()):
                self._put(event)
            session.synced = True
            if not session.threads.are_counted:
                session.threads.set_baseline(await self._connection.threads())
            if reader.busy and reader.end is None:
                self._put(Activity(text="waiting for what the session did before"))
                self._tool_calls.process_pending()
        elif self._connection.is_lost:
            self._read(await self._connection.history(), from_history=True)
        self._connection.mark_recovered()
        await self._settle_doubt()
        await self._find_calls()
        await self._sender.send_message()

    async def _settle_doubt(self) -> None:
        """Wait until the history says whether a doubtful idle is the turn's end, or long enough."""
        reader, clock = self._reader, asyncio.get_running_loop().time
        deadline = clock() + DOUBT_SECONDS
        while (idle := reader.doubtful_idle) is not None:
            history = await self._connection.history()
            if reader.own.is_decided(idle, history) or reader.stopping or clock() >= deadline:
                self._show(reader.resolve_doubt(history))
            else:
                await asyncio.sleep(DOUBT_PAUSE_SECONDS)

    async def _find_calls(self) -> None:
        """See to it that what the session waits for is known: it may never have been on our streams."""
        if missing := self._reader.calls.missing():
            self._show(self._reader.calls.add_found(missing, await self._connection.find(missing)))
            self._tool_calls.process_pending()

    def _read(self, events: list[Any], *, from_history: bool = False) -> None:
        """Show what the session's events mean, and see to the tool calls in them."""
        known = len(self._session.seen)
        for event in events:
            shown = self._reader.read(event, from_history=from_history)
            self._show(shown)
            has_rested = any(isinstance(each, ThreadChanged) and each.status != "running" for each in shown)
            if has_rested and self._reader.own.is_taken:
                self._spawn(self._count_threads())
            if self._reader.end is not None:
                break  # what follows is of others
        if len(self._session.seen) > known:
            self._connection.reset_delay()
        self._tool_calls.process_pending()

    async def _find_thread(self, event: Any) -> None:
        """See to it that an event's thread is known: another client's turn may have made it."""
        session = self._session
        if key := session.threads.missing(event):
            may_be_others = session.is_resumed or session.turns
            session.threads.learn(key, await self._connection.threads() if may_be_others else ())

    async def _count_threads(self) -> None:
        """Show what sub-agents used that have stopped to work."""
        self._show([*self._session.threads.count(await self._connection.threads(), self._run.turn.id)])

    def _show(self, events: list[Event]) -> None:
        for event in events:
            self._put(event)
        if self._reader.own.is_taken:
            self._taken.set()

    async def _find_files(self, turns: int) -> None:
        """Show what the agent wrote. The server lists it a little later: nobody waits for that."""
        # Not by the run's turn, which may be behind while the ledger is written.
        if self._reader.stopping or not may_have_written(self._reader.calls.started()):
            return
        if files := await new_files(client_of(self._context.config), self._session, turns):
            self._put(FilesWritten(files=files))
