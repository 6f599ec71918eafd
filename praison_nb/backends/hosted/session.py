"""A session on the server, as a HostedAgent knows it."""

from __future__ import annotations

from typing import Any

from ...session import SessionInfo, Status
from ..session import Session
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
        self.message_id = ""
        """The id of the last message whose turn has ended."""
        self.over = ""
        """Why the session takes no more prompts; "" while it does."""
        self.is_resumed = bool(session_id)

    @property
    def has_settled(self) -> bool:
        """Whether our last turn in it ended with the session idle."""
        over = self.run is None or self.run.turn.ended is not None
        return over and self.synced and bool(self.stop_reason)

    def known(self) -> SessionInfo:
        """The session without asking the server."""
        status = self.status(Status.UNKNOWN)
        usage = self.usage if self.told is None or status is Status.RUNNING else self.told.usage
        return SessionInfo(self.id, status, self.title, usage.to_dict())

    def learn(self, told: Any) -> SessionInfo:
        """Take over what the server says of the session, and say it."""
        self.title = told.title or ""
        self.model = told.agent.model.id
        self.told = session_usage(told.usage)
        if told.archived_at is not None or told.status == "terminated":
            self.over = self.over or f"The session {self.id} has ended."
        return SessionInfo(self.id, self._status(told), self.title, self.told.usage.to_dict())

    def _status(self, told: Any) -> Status:
        ours = self.status(Status.IDLE)
        if told.archived_at is not None:
            return Status.UNKNOWN
        if ours is Status.RUNNING or told.status in ("running", "rescheduling"):
            return Status.RUNNING
        if told.status == "terminated" or ours is Status.ERROR:
            return Status.ERROR
        return Status.IDLE if told.status == "idle" else Status.UNKNOWN
