"""Sessions and their events: the endpoints of the hosted test server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from aiohttp import web
from anthropic.types.beta import (
    BetaManagedAgentsDeletedSession,
    BetaManagedAgentsDeltaType,
    session_create_params,
    session_update_params,
)
from anthropic.types.beta.sessions import (
    BetaManagedAgentsSendSessionEvents,
    BetaManagedAgentsSessionEventType,
    event_send_params,
)

from .hosted_agents import agent_fields, session_agent
from .hosted_files import mount
from .hosted_history import Subscriber, frame
from .hosted_resources import environment_of_session, found, metadata
from .hosted_rules import check_budget, check_budget_update
from .hosted_session import Session
from .hosted_types import check_request, check_response
from .hosted_vaults import check_attached

if TYPE_CHECKING:
    from .hosted import HostedServer


def add_routes(server: HostedServer) -> None:
    """Add the sessions' endpoints to the server."""

    def session_of(request: web.Request) -> Session:
        session: Session = found(server.sessions, request.match_info["id"], "session")
        return session

    def idle_session_of(request: web.Request, verb: str) -> Session:
        session = session_of(request)
        if session.seen_status() in ("running", "rescheduling"):
            text = f"session {session.id} cannot be {verb} while it is running; interrupt it first"
            raise web.HTTPBadRequest(text=text)
        return session

    async def create(request: web.Request) -> Any:
        body = check_request(session_create_params.SessionCreateParams, await server.body(request))
        check_budget(body.get("budget"))
        check_attached(server, body)
        fields = {
            "agent": session_agent(body["agent"], server.agents),
            "environment_id": environment_of_session(body["environment_id"], server.environments)["id"],
            "title": body.get("title"),
            "metadata": metadata(body.get("metadata"), {}),
            "budget": body.get("budget"),
            "vault_ids": list(body.get("vault_ids", [])),
            "resources": [],
        }
        session = Session(server, fields)
        for each in body.get("resources", []):
            fields["resources"].append(mounted(server, session.id, each, fields["resources"]))
        if first := body.get("initial_events"):
            session.receive(first)
        server.sessions[session.id] = session
        return session.to_dict()

    async def retrieve(request: web.Request) -> Any:
        session = session_of(request)
        return session.to_dict(session.seen_status())

    async def update(request: web.Request) -> Any:
        session = session_of(request)
        body = check_request(session_update_params.SessionUpdateParams, await server.body(request))
        if "vault_ids" in body:
            raise web.HTTPBadRequest(text="vault_ids: not yet supported")
        if session.archived_at:
            raise web.HTTPBadRequest(text="the session is archived")
        changes: dict[str, Any] = {key: body[key] for key in ("title",) if key in body}
        if "budget" in body:
            check_budget_update(session, body["budget"])
            changes["budget"] = body["budget"]
        if "metadata" in body:
            changes["metadata"] = metadata(body["metadata"], session.fields["metadata"])
        if "agent" in body:
            idle_session_of(request, "given other tools")
            new = agent_fields(body["agent"], server.agents, session.fields["agent"] | {"metadata": {}})
            changes["agent"] = {key: new[key] for key in session.fields["agent"]}
        changes = {key: value for key, value in changes.items() if value != session.fields[key]}
        if changes:
            session.fields |= changes
            session.emit({"type": "session.updated", **changes})
        return session.to_dict()

    async def list_sessions(request: web.Request) -> Any:
        query = request.query
        wanted = [
            session.to_dict()
            for session in server.sessions.values()
            if (query.get("include_archived") == "true" or not session.archived_at)
            and session.fields["agent"]["id"] == query.get("agent_id", session.fields["agent"]["id"])
            and session.status in query.getall("statuses[]", [session.status])
        ]
        if query.get("order", "desc") == "desc":
            wanted.reverse()
        return server.page(request, None, wanted, 20, 1000) | {"prev_page": None}

    async def delete(request: web.Request) -> Any:
        session = idle_session_of(request, "deleted")
        session.emit({"type": "session.deleted"})
        session.send("end")
        del server.sessions[session.id]
        return check_response(BetaManagedAgentsDeletedSession, {"id": session.id, "type": "session_deleted"})

    async def archive(request: web.Request) -> Any:
        session = idle_session_of(request, "archived")
        session.archived_at = session.archived_at or server.now()
        if session.status != "terminated":
            session.emit({"type": "session.status_terminated"})
        return session.to_dict()

    async def list_events(request: web.Request) -> Any:
        events = session_of(request).events
        if types := request.query.getall("types[]", []):
            if unknown := set(types) - set(get_args(BetaManagedAgentsSessionEventType)):
                raise web.HTTPBadRequest(text=f"types: {', '.join(unknown)}")
            events = [each for each in events if each["type"] in types]
        if request.query.get("order") == "desc":
            events = events[::-1]
        # A raw event of a newer server is listed as it is.
        return server.page(request, None, events, 1000, 1000)

    async def send_events(request: web.Request) -> Any:
        session = session_of(request)
        data = await server.body(request)
        threads = [
            each.pop("session_thread_id", None) for each in data["events"] if server.manners.takes_threads
        ]
        server.echoed_threads += filter(None, threads)
        body = check_request(event_send_params.EventSendParams, data)
        received = session.receive(body["events"])
        return check_response(BetaManagedAgentsSendSessionEvents, {"data": received})

    async def stream_events(request: web.Request) -> web.StreamResponse:
        session = session_of(request)
        previews = frozenset(request.query.getall("event_deltas[]", []))
        if unknown := previews - set(get_args(BetaManagedAgentsDeltaType)):
            raise web.HTTPBadRequest(text=f"event_deltas: {', '.join(unknown)}")
        subscriber = Subscriber(previews)
        # From here on nothing is missed, and the client learns of it when the headers arrive.
        session.subscribers.append(subscriber)
        for event in session.events[len(session.events) - server.replay :]:
            subscriber.frames.put_nowait(frame(event))
        try:
            stream = await server.stream(request)
            while (data := await subscriber.frames.get()) != "end":
                if isinstance(data, bytes):
                    await stream.write(data)
                else:
                    await stream.abort(reset=data == "reset")
            return stream.response
        finally:
            session.subscribers.remove(subscriber)
            server.changed()

    server.route("POST", "/v1/sessions", create)
    server.route("GET", "/v1/sessions", list_sessions)
    server.route("GET", "/v1/sessions/{id}", retrieve)
    server.route("POST", "/v1/sessions/{id}", update)
    server.route("DELETE", "/v1/sessions/{id}", delete)
    server.route("POST", "/v1/sessions/{id}/archive", archive)
    server.route("GET", "/v1/sessions/{id}/events", list_events)
    server.route("POST", "/v1/sessions/{id}/events", send_events)
    server.route("GET", "/v1/sessions/{id}/events/stream", stream_events)


def mounted(
    server: HostedServer, session_id: str, params: dict[str, Any], others: list[Any]
) -> dict[str, Any]:
    """A resource as a session has it; a repository's token is never given back."""
    kept = {key: value for key, value in params.items() if key != "authorization_token" and value is not None}
    if params["type"] == "memory_store":
        return {"access": "read_write", **kept}
    if params["type"] == "file":
        return mount(server, session_id, params, others)
    name = params["url"].rstrip("/").rsplit("/", 1)[-1]
    now = server.now()
    default = {"id": server.new_id("sesrsc"), "mount_path": f"/workspace/{name}"}
    return {**default, "created_at": now, "updated_at": now, **kept}
