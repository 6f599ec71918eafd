"""The threads of a session's sub-agents, and their endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta.sessions import BetaManagedAgentsSessionThread

from .hosted_types import check_response
from .hosted_usage import Spending

if TYPE_CHECKING:
    from .hosted import HostedServer
    from .hosted_session import Session

Event = dict[str, Any]


@dataclass
class Thread:
    """One sub-agent at work; `events` is its own history."""

    id: str
    agent_name: str
    status: str = "running"
    events: list[Event] = field(default_factory=list)
    spent: Spending = field(default_factory=Spending)

    def to_dict(self, session: Session) -> dict[str, Any]:
        """The thread as the API gives it."""
        agent = {key: value for key, value in session.fields["agent"].items() if key != "multiagent"}
        thread = {
            "type": "session_thread",
            "id": self.id,
            "agent": {**agent, "name": self.agent_name},
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            "archived_at": None,
            "parent_thread_id": f"sthr_{session.id}",
            "session_id": session.id,
            "status": self.status,
            "usage": self.spent.to_dict() or None,
        }
        return check_response(BetaManagedAgentsSessionThread, thread)


def add_routes(server: HostedServer) -> None:
    """Add the threads' endpoints to the server."""

    async def list_threads(request: web.Request) -> Any:
        session = server.sessions[request.match_info["id"]]
        threads = [each.to_dict(session) for each in session.threads]
        return server.page(request, None, threads, 20, 1000) | {"prev_page": None}

    async def list_events(request: web.Request) -> Any:
        session = server.sessions[request.match_info["id"]]
        (events,) = (each.events for each in session.threads if each.id == request.match_info["thread"])
        return server.page(request, None, events, 1000, 1000)

    server.route("GET", "/v1/sessions/{id}/threads", list_threads)
    server.route("GET", "/v1/sessions/{id}/threads/{thread}/events", list_events)
