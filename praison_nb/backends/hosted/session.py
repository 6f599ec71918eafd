"""A session on the server, as a HostedAgent knows it."""

from __future__ import annotations

import asyncio
from typing import Any

from ...session import SessionInfo, Status
from ..session import Session
from .threads import Threads
from .usage import session_usage


class HostedSession(Session):
    """A session on the server. `synced` says that `seen` holds the id of every event that it had, so that
    whatever else comes is new."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self.id = session_id
        self.model = ""
        """The model's name, once the session is known to exist."""
        self.synced = not session_id
        self.seen: set[str] = set()
        self.stop_reason = ""
        """Why the last turn ended, in the server's word."""
        self.turns = 0
        """How many of our turns in it have ended."""
        self.message_id = ""
        """The id of the last message whose turn has ended."""
        self.dates_messages = False
        """Whether its server is known to say when it has taken a message."""
        self.threads = Threads()
        self.settling: asyncio.Task[Any] | None = None
        """Asks what the session used until the end of its last turn."""
        self.over = ""
        """Why the session takes no more prompts; "" while it does."""
        self.is_resumed = bool(session_id)
        self.notices: list[str] = []
        """Lines that the next turn shows."""
        self.mounts: list[str] = []
        """A line for each file that was mounted and the agent has not been told of."""
        self.known_files: set[str] = set()
        """The ids of the agent's files that a turn has shown."""
        self.mark = ""
        """By which the session is found whose creation was not answered."""
        self.has_other_tools = False
        """Whether the config has other tools, or MCP servers, than the session has yet."""

    @property
    def is_idle_after_turn(self) -> bool:
        """Whether our last turn in it ended with the session idle."""
        over = self.run is None or self.run.turn.ended is not None
        return over and self.synced and bool(self.stop_reason)

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"the session {self.id}"

    def cached_info(self, *, is_reachable: bool = True) -> SessionInfo:
        """The session without asking the server. Where that is not reachable, nobody can say that the
        session is idle."""
        status = self.status(Status.UNKNOWN)
        if not is_reachable and status is not Status.RUNNING:
            status = Status.UNKNOWN
        usage = (
            self.usage
            if self.provider_usage is None or status is Status.RUNNING
            else self.provider_usage.usage
        )
        return SessionInfo(self.id, status, self.title, usage.to_dict())

    def note_mounts(self, lines: list[str]) -> None:
        """Have the next turn show what was mounted, and the agent be told of it."""
        self.notices += [f"mounted {line}" for line in lines]
        self.mounts += lines

    def update_from(self, details: Any) -> SessionInfo:
        """Take over what the server says of the session, and return it."""
        self.title = details.title or ""
        if details.agent is not None:
            self.model = details.agent.model.id
        self.provider_usage = session_usage(details.usage)
        if details.archived_at is not None or details.status == "terminated":
            self.over = self.over or f"The session {self.id} has ended."
        return SessionInfo(self.id, self._status(details), self.title, self.provider_usage.usage.to_dict())

    def _status(self, details: Any) -> Status:
        own = self.status(Status.IDLE)
        if details.archived_at is not None:
            return Status.UNKNOWN
        if own is Status.RUNNING or details.status in ("running", "rescheduling"):
            return Status.RUNNING
        if details.status == "terminated" or own is Status.ERROR:
            return Status.ERROR
        return Status.IDLE if details.status == "idle" else Status.UNKNOWN
