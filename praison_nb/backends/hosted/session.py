"""A session on the server, as a HostedAgent knows it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from ...answer_type import AnswerType
from ...events import SessionUsage
from ...session import SessionInfo, Status
from ..session import Session
from .config import HostedAgentConfig
from .threads import Threads
from .usage import dollars, session_usage

LOOKS_FOR_COST = 5
"""So often the cost of a session is looked for that its server has not told yet."""


class HostedSession(Session):
    """A session on the server. `synced` says that `seen` holds the id of every event that it had, so that
    whatever else comes is new."""

    settles_late = True

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
        self.tells_requests = False
        """Whether its server is known to tell of requests to models."""
        self._looks_for_cost = 0
        self.budget: Decimal | None = None
        """USD at which the server ends it, None where it does not; that of the config is `own_budget`."""
        self.own_budget: Decimal | None = None
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
        self.output: AnswerType | None = None
        """The type of answers that it was given the tool for."""
        self.has_other_tools = False
        """Whether the config has other tools, or MCP servers, than the session has yet."""

    @property
    def is_idle_after_turn(self) -> bool:
        """Whether our last turn in it ended with the session idle."""
        over = self.run is None or self.run.turn.ended is not None
        return over and self.synced and bool(self.stop_reason)

    def can_declare(self, config: HostedAgentConfig) -> bool:
        """Whether it can be given the tool for typed answers: one that others made has tools of its own."""
        return config.declares_answers and not self.is_resumed

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
        self.budget = dollars(getattr(details.budget, "max_list_cost", None))
        self.own_budget = self.own_budget or self.budget
        if details.archived_at is not None or details.status == "terminated":
            self.over = self.over or f"The session {self.id} has ended."
        return SessionInfo(self.id, self._status(details), self.title, self.provider_usage.usage.to_dict())

    @property
    def cost(self) -> Decimal:
        """USD so far, as its provider has said last."""
        known = self.provider_usage
        return (known.list_cost if known else None) or Decimal(0)

    @property
    def budget_left(self) -> Decimal:
        """USD until the server ends it, infinity where it does not."""
        return Decimal("Infinity") if self.budget is None else max(Decimal(0), self.budget - self.cost)

    def note_end(self, stop_reason: str, message_id: str) -> None:
        """A turn of ours with this message has ended."""
        self.turns += 1
        self.stop_reason = stop_reason
        self.message_id = message_id or self.message_id
        if stop_reason in ("terminated", "deleted"):
            self.over = f"The session {self.id} was {stop_reason}."

    def lacks_cost(self, usage: SessionUsage | None) -> bool:
        """Whether the provider's books may be behind what was counted here, by its last count."""
        if usage is not None and usage.list_cost is None:
            # Not known yet, or never: some servers have none.
            self._looks_for_cost += 1
            return self._looks_for_cost < LOOKS_FOR_COST
        return usage is None or usage.is_behind

    def _status(self, details: Any) -> Status:
        own = self.status(Status.IDLE)
        if details.archived_at is not None:
            return Status.UNKNOWN
        if own is Status.RUNNING or details.status in ("running", "rescheduling"):
            return Status.RUNNING
        if details.status == "terminated" or own is Status.ERROR:
            return Status.ERROR
        return Status.IDLE if details.status == "idle" else Status.UNKNOWN
