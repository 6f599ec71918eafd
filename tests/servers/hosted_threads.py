"""The threads of a session's sub-agents, and their endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta.sessions import BetaManagedAgentsSessionThread

from .hosted_types import check_response
from .hosted_usage import Spending, Tokens

if TYPE_CHECKING:
    from .hosted import HostedServer
    from .hosted_session import Session, Step

Event = dict[str, Any]


def own_id(session: Session) -> str:
    """The id of the session's own thread, which is in its list too."""
    return f"sthr_{session.id}"


@dataclass
class Thread:
    """One sub-agent at work; `events` is its own history."""

    id: str
    agent_name: str
    status: str = "running"
    model: str = "claude-haiku-4-5"
    events: list[Event] = field(default_factory=list)
    spent: Spending = field(default_factory=Spending)

    def to_dict(self, session: Session) -> dict[str, Any]:
        """The thread as the API gives it."""
        agent = {key: value for key, value in session.fields["agent"].items() if key != "multiagent"}
        thread = {
            "type": "session_thread",
            "id": self.id,
            "agent": {**agent, "name": self.agent_name, "model": {"id": self.model, "speed": "standard"}},
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            "archived_at": None,
            "parent_thread_id": None if self.id == own_id(session) else own_id(session),
            "session_id": session.id,
            "status": self.status,
            "usage": self.spent.to_dict() or None,
        }
        return check_response(BetaManagedAgentsSessionThread, thread)


def sub_agent(
    name: str,
    *,
    usage: Tokens,
    cents: int | None = None,
    model: str = "claude-haiku-4-5",
    thread_id: str = "",
    is_over: bool = True,
) -> Step:
    """A sub-agent works for a request's time: in a thread of its own, or once more in that of the id."""

    async def play(session: Session) -> None:
        manners = session.server.manners
        thread = next((each for each in session.threads if each.id == thread_id), None)
        if thread is None:
            key = thread_id or session.server.new_id("sthr")
            thread = Thread(key, name, model=model)
            session.threads.append(thread)
            session.emit({"type": "session.thread_created", "session_thread_id": key, "agent_name": name})
        named = {"session_thread_id": thread.id, "agent_name": name}
        thread.status = "running"
        session.emit({"type": "session.thread_status_running", **named})
        if manners.posts_spans:
            posted = {"session_thread_id": thread.id}
            start = session.emit({"type": "span.model_request_start", **posted}, checked=False)
            end = {"type": "span.model_request_end", "model_request_start_id": start["id"], **posted}
            session.emit({**end, "is_error": False, "model_usage": usage.to_span()}, checked=False)
        for spent in (thread.spent, session.spent):
            spent.add(usage, cents, 1.0)
        if is_over:
            thread.status = "idle"
            end = {"stop_reason": {"type": "end_turn"}}
            session.emit({"type": "session.thread_status_idle", **named, **end})

    return play


def add_routes(server: HostedServer) -> None:
    """Add the threads' endpoints to the server."""

    async def list_threads(request: web.Request) -> Any:
        session = server.sessions[request.match_info["id"]]
        if not server.manners.lists_threads:
            raise web.HTTPNotFound(text="no such endpoint")
        own = Thread(own_id(session), session.fields["agent"]["name"], session.status, spent=session.spent)
        threads = [each.to_dict(session) for each in (own, *session.threads)]
        return server.page(request, None, threads, 20, 1000) | {"prev_page": None}

    async def list_events(request: web.Request) -> Any:
        session = server.sessions[request.match_info["id"]]
        threads = {each.id: each.events for each in session.threads}
        events = threads.get(request.match_info["thread"], session.events)
        return server.page(request, None, events, 1000, 1000)

    server.route("GET", "/v1/sessions/{id}/threads", list_threads)
    server.route("GET", "/v1/sessions/{id}/threads/{thread}/events", list_events)
