"""What has happened in a session of the hosted test server: its history, its streams, and what the API gives
of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from anthropic.types.beta import BetaManagedAgentsSession
from anthropic.types.beta.sessions import BetaManagedAgentsStreamSessionEvents

from .hosted_types import check_response
from .hosted_usage import Spending

if TYPE_CHECKING:
    from .hosted import HostedServer

Event = dict[str, Any]


@dataclass
class Subscriber:
    """A stream that is open. `frames` are bytes to send, or how the stream shall end."""

    previews: frozenset[str]
    frames: asyncio.Queue[bytes | Literal["end", "close", "reset"]] = field(default_factory=asyncio.Queue)
    started: set[str] = field(default_factory=set)


class History:
    """Status, usage and history always agree with what has been emitted."""

    def __init__(self, server: HostedServer, fields: dict[str, Any]) -> None:
        self.server = server
        self.id: str = server.new_id("sesn")
        self.fields = fields
        self.created_at = self.updated_at = server.now()
        self.archived_at: str | None = None
        self.status: Literal["idle", "running", "rescheduling", "terminated"] = "idle"
        self.stop_reason: Event | None = None
        self.lag = self.lag_running = 0
        self.events: list[Event] = []
        """The history, as `events.list` gives it."""
        self.outcomes: list[Event] = []
        """As `outcome_evaluations` has them, the last one last."""
        self.spent = Spending()
        self.subscribers: list[Subscriber] = []

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.status} {[event['type'] for event in self.events]}>"

    def to_dict(self, status: str | None = None) -> dict[str, Any]:
        """The session as the API gives it; with another status where that lags behind."""
        session = {
            "type": "session",
            "id": self.id,
            "status": status or self.status,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "archived_at": self.archived_at,
            "outcome_evaluations": self.outcomes,
            "stats": {"active_seconds": self.spent.seconds},
            "usage": self.spent.to_dict(),
            **self.fields,
        }
        session = check_response(BetaManagedAgentsSession, session)
        if not self.server.manners.tells_agent:
            del session["agent"]
        return session

    def seen_status(self) -> str:
        """What a request learns of the status: for a while after an idle, it is still running."""
        if self.lag and self.status == "idle":
            self.lag -= 1
            return "running"
        if self.lag_running and self.status == "running":
            self.lag_running -= 1
            return "idle"
        return self.status

    def messages(self) -> list[dict[str, str]]:
        """The conversation so far as role and content, the agent's system prompt first."""
        roles = {"user.message": "user", "agent.message": "assistant"}
        system = self.fields["agent"]["system"]
        conversation = [{"role": "system", "content": system}] if system else []
        for event in self.events:
            if event["type"] in roles and event["processed_at"]:
                text = "".join(block.get("text", "") for block in event["content"])
                conversation.append({"role": roles[event["type"]], "content": text})
        return conversation

    def emit(self, event: Event, *, checked: bool = True) -> Event:
        """Put an event into the history and on every stream; `checked` against the SDK's types."""
        manners = self.server.manners
        event = {"type": event["type"], "id": event.get("id") or self.server.new_id("sevt"), **event}
        event.setdefault("processed_at", self.server.now())
        if event["type"] == "user.message" and not manners.dates_messages:
            event["processed_at"] = None
        if event["type"] == "user.interrupt" and not manners.names_interrupts:
            event["id"] = ""
        if not manners.tells_permission:
            event.pop("evaluated_permission", None)
        if checked:
            check_response(BetaManagedAgentsStreamSessionEvents, event)
        match event["type"]:
            case "session.status_running":
                self.status, self.lag_running = "running", self.server.lag_running
                if not manners.tells_running:
                    return event
            case "session.status_rescheduled":
                self.status = "rescheduling"
            case "session.status_terminated":
                self.status = "terminated"
            case "session.status_idle":
                self.status, self.stop_reason = "idle", event["stop_reason"]
                self.lag = self.server.lag
        is_told = manners.tells_messages if event["type"] == "user.message" else True
        if not is_told:
            return event
        places = [n for n, each in enumerate(self.events) if each["id"] == event["id"]]
        if event["type"].startswith("user.") and event["id"] and places:  # a queued event is there already
            del self.events[places[0]]
        self.events.insert(places[0] if places and manners.lists_by_arrival else len(self.events), event)
        self.updated_at = self.server.now()
        if is_told is True:
            self.send(frame(event))
        return event

    def send(self, data: bytes | Literal["end", "close", "reset"]) -> None:
        """Put bytes on every open stream, or end them all."""
        for subscriber in self.subscribers:
            subscriber.frames.put_nowait(data)
        self.server.changed()

    def preview(self, event: Event, *, kind: str = "agent.message", checked: bool = True) -> None:
        """Send a preview to the streams that asked for its kind, and saw its start. It has no history."""
        if checked:
            check_response(BetaManagedAgentsStreamSessionEvents, event)
        for subscriber in self.subscribers:
            if kind in subscriber.previews:
                if event["type"] == "event_start":
                    subscriber.started.add(event["event"]["id"])
                if not checked or event["type"] == "event_start" or event["event_id"] in subscriber.started:
                    subscriber.frames.put_nowait(frame(event))
        self.server.changed()


def frame(event: Event) -> bytes:
    """The event as server-sent events have it."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
