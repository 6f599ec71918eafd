"""One session of the hosted test server: what clients send to it, and the turn that it plays."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from . import hosted_outcomes
from .hosted_history import Event, History
from .hosted_rules import check_events
from .hosted_threads import Thread
from .hosted_usage import Tokens

if TYPE_CHECKING:
    from .hosted import HostedServer

Step = Callable[["Session"], Coroutine[Any, Any, None]]
"""A piece of a script: it makes a session do something."""


class Session(History):
    """A session and the turns that it plays."""

    def __init__(self, server: HostedServer, fields: dict[str, Any]) -> None:
        super().__init__(server, fields)
        self.pending: dict[str, Event] = {}
        """The tool uses that wait for an answer, by id."""
        self.answers: dict[str, Event] = {}
        self.threads: list[Thread] = []
        self._inbox: deque[Event] = deque()
        self._turn: asyncio.Task[None] | None = None
        self._interrupted = False
        self._is_taking = False
        if server.manners.starts_idle:
            self.emit({"type": "session.status_running"})
            self.emit({"type": "session.status_idle", "stop_reason": {"type": "end_turn"}})

    # What steps do

    def idle(self, stop_reason: Event, **details: Any) -> None:
        """Go idle, the usage so far first, as the API has it."""
        if self.server.manners.usage_event:
            budget = self.fields["budget"]
            self.emit({"type": "session.usage", "usage": self.spent.to_dict(), "budget": budget})
        self.emit({"type": "session.status_idle", "stop_reason": stop_reason, **details})

    def end_request(
        self, start: Event, tokens: Tokens, cents: int | None, seconds: float, is_error: bool
    ) -> None:
        """End a model request, and count what it used."""
        self.spent.add(tokens, cents, seconds)
        end = {"type": "span.model_request_end", "model_request_start_id": start["id"], "is_error": is_error}
        self.emit(end | {"model_usage": tokens.to_span()})

    async def require(self, uses: Iterable[Event]) -> dict[str, Event]:
        """Wait, idle, until each of these tool uses has its answer; the answers by the uses' ids."""
        self.pending = {use["id"]: use for use in uses}
        asked = list(self.pending)
        self._requires_action()
        await self.server.holds(lambda: not self.pending)
        return {key: self.answers.pop(key) for key in asked}

    async def within_budget(self) -> None:
        """Wait, idle, while the budget is used up: no model request starts then."""
        if self.is_over_budget():
            self._budget_reached("budget_reached")
            await self.server.holds(lambda: not self.is_over_budget())
            self.emit({"type": "session.status_running"})

    def environment_type(self) -> str:
        config: dict[str, str] = self.server.environments[self.fields["environment_id"]]["config"]
        return config["type"]

    def is_over_budget(self) -> bool:
        budget = self.fields["budget"]
        return bool(budget) and (self.spent.cents or 0) >= int(budget["max_list_cost"]["amount"])

    def drop_queued(self) -> None:
        """Forget the messages that wait."""
        self._inbox.clear()

    # What clients send

    def receive(self, events: list[Event]) -> list[Event]:
        """Take what a client sent; gives it back with ids. Nothing is taken where anything is refused."""
        check_events(self, events)
        received, is_answer = [], False
        for params in events:
            # These are done on receipt; the others wait for their turn, and are seen a second time then.
            at_once = params["type"] in ("user.custom_tool_result", "user.tool_result", "user.define_outcome")
            event = {"id": self.server.new_id("sevt"), "processed_at": None, **params}
            if params["type"] == "user.define_outcome":
                event |= {"outcome_id": self.server.new_id("outc")}
                hosted_outcomes.begin(self, event)
            received.append(event)
            if params["type"] == "user.interrupt" and self._is_paused_at_budget():
                continue
            event |= {"processed_at": self.server.now() if at_once else None}
            self.emit(event)
            match event["type"]:
                case "user.message" | "user.define_outcome":
                    self._inbox.append(event)
                case "user.interrupt":
                    self.server.spawn(self._interrupt(event))
                case "user.tool_confirmation" | "user.custom_tool_result" | "user.tool_result":
                    self._answer(event)
                    is_answer = True
                case "system.message":
                    self._processed(event)
        if is_answer and self.pending:
            self._requires_action()
        elif is_answer:
            self.emit({"type": "session.status_running"})
        self._wake()
        return received

    def _answer(self, event: Event) -> None:
        use = event.get("custom_tool_use_id") or event["tool_use_id"]
        del self.pending[use]
        self.answers[use] = event if event["processed_at"] else self._processed(event)

    def _processed(self, event: Event) -> Event:
        return self.emit(event | {"processed_at": self.server.now()})

    # Turns

    def _wake(self) -> None:
        if self._inbox and (self._turn is None or self._turn.done()) and self.status != "terminated":
            manners = self.server.manners
            if not (manners.take_seconds or manners.takes_first or manners.sets_up_first):
                self.emit({"type": "session.status_running"})
            self._turn = self.server.spawn(self._play())

    async def _take(self, message: Event) -> Event:
        """Begin with a message that waits: the session runs, and the message comes again."""
        manners = self.server.manners
        if manners.take_seconds:
            self._is_taking = True
            await asyncio.sleep(manners.take_seconds)
            self._is_taking = False
        if manners.sets_up_first:
            for _ in range(2):
                await asyncio.sleep(manners.take_seconds)
                self.emit({"type": "session.status_running"})
                self.emit({"type": "session.status_idle", "stop_reason": {"type": "end_turn"}})
            await asyncio.sleep(manners.take_seconds)
        if manners.takes_first and not message["processed_at"]:
            message = self._processed(message)
        if self.status == "idle":
            self.emit({"type": "session.status_running"})
        return message if message["processed_at"] or manners.dates_late else self._processed(message)

    async def _play(self) -> None:
        """One turn: every message that waits, each with its script, and idle after the last."""
        try:
            while self._inbox and self.status != "terminated":
                message = await self._take(self._inbox.popleft())
                for step in self.server.next_script(message):
                    await step(self)
                    if self.status == "terminated":
                        return
                if self.server.manners.dates_late:
                    self._processed(message)
                if self._inbox and self.status == "running" and self.server.manners.idles_between:
                    self._end_turn()
            if self.status != "idle":
                self._end_turn()
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
        except Exception:
            # The exception fails the test; the client that waits for the turn's end gets one.
            self.emit({"type": "session.status_terminated"})
            raise

    def _end_turn(self) -> None:
        if self.is_over_budget():
            self._budget_reached("end_turn")
        else:
            self.idle({"type": "end_turn"})

    async def _interrupt(self, event: Event) -> None:
        """Apply an interrupt. Until then, at the server's `interrupt_gate`, the session works on."""
        if self.server.interrupt_gate is not None:
            await self.server.interrupt_gate.passed()
        if self._turn is not None and not self._turn.done() and not self._is_taking:
            self._interrupted = True
            self._turn.cancel()
            await asyncio.wait([self._turn])
            self._interrupted = False
            hosted_outcomes.end(self, "interrupted")
            self.pending.clear()
            self.answers.clear()
            self._processed(event)
            self._end_turn()
            self._wake()
        else:
            self._processed(event)

    def _is_paused_at_budget(self) -> bool:
        return self.status == "idle" and self.is_over_budget() and not self.pending

    def _requires_action(self) -> None:
        self.idle({"type": "requires_action", "event_ids": list(self.pending)})

    def _budget_reached(self, thread_reason: str) -> None:
        thread = {"session_thread_id": f"sthr_{self.id}", "agent_name": self.fields["agent"]["name"]}
        reason = {"stop_reason": {"type": thread_reason}}
        self.emit({"type": "session.thread_status_idle", **thread, **reason})
        self.idle({"type": "budget_reached"})
