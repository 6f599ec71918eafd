"""A loopback server for Anthropic's Managed Agents API: agents, environments, sessions, events.

    from servers.hosted import HostedServer, Tokens, request, text

    with HostedServer() as server:
        server.script([request(text("Hello", deltas=3), usage=Tokens(12, 5), cents=2)])
        client = AsyncAnthropic(base_url=server.url, api_key=server.api_key)
        ...

What it sends and takes is checked against the SDK's own types (see `hosted_types`). Ids and timestamps are
the same on every run, so that the bytes of a turn are too: play it once, read `server.streams[0].body`, and
cut the next run at any offset in it with `server.cut(offset)`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from anthropic.types.shared import ErrorResponse

from . import (
    hosted_agents as agents,
    hosted_files as files,
    hosted_resources as resources,
    hosted_sessions as sessions,
    hosted_threads as threads,
    hosted_vaults as vaults,
)
from .base import Gate, LoopbackServer
from .hosted_manners import Manners
from .hosted_outcomes import evaluation
from .hosted_script import (
    Answer,
    Content,
    Step,
    Tokens,
    answer,
    ask,
    builtin_tool,
    custom_tool,
    delta,
    error,
    event,
    hang_up,
    hold,
    idle,
    mcp_tool,
    preview,
    raw,
    request,
    rescheduled,
    running,
    sse,
    terminated,
    text,
    thinking,
    usage_snapshot,
)
from .hosted_session import Event, Session
from .hosted_types import check_response

__all__ = [
    "HostedServer", "Manners", "Session", "Tokens", "ask", "builtin_tool", "custom_tool", "delta", "error",
    "event", "hang_up", "hold", "idle", "mcp_tool", "preview", "raw", "request", "rescheduled", "running",
    "sse", "terminated", "text", "thinking", "usage_snapshot",
]  # fmt: skip

BETA = "managed-agents-2026-04-01"
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class HostedServer(LoopbackServer):
    """The API. Scripts are played in order, one for each `user.message` of any session."""

    def __init__(self) -> None:
        super().__init__()
        self.api_key = "test-key"
        self.agents: dict[str, list[dict[str, Any]]] = {}
        """Every agent's versions, by id."""
        self.environments: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, Session] = {}
        self.vaults: dict[str, dict[str, Any]] = {}
        self.credentials: dict[str, dict[str, dict[str, Any]]] = {}
        """By the ids of their vaults, and their own."""
        self.memory_stores: dict[str, dict[str, Any]] = {}
        self.skills: dict[str, dict[str, Any]] = {}
        self.files: dict[str, files.File] = {}
        self.files_late = 0
        """How many requests do not list a file yet that an agent has written."""
        self.lists_all_files = False
        """Whether a session's files are listed with those of the others."""
        self.default: Callable[[str], Sequence[Step | Content]] = lambda prompt: [text(prompt, deltas=2)]
        """The script of a turn that has none, from the user's text: an echo."""
        self.answer: Answer | None = None
        """Answers with real text every turn that has no script."""
        self.interrupt_gate: Gate | None = None
        """Where an interrupt waits until it is applied."""
        self.replay: int = 0
        """How many of the last events of its history a new stream is sent first."""
        self.lag = self.lag_running = 0
        """How many requests about a session, after each idle, still find it running, as the API's do; and
        how many still find it idle when it runs."""
        self.manners = Manners()
        self.echoed_threads: list[str] = []
        """The threads that answers named."""
        self.name_conflict: int | None = 409
        """The status for the name of an environment that there is, archived ones too; None allows two."""
        self.slow_requests: dict[str, Gate] = {}
        """Where a request to a path waits before anything is done."""
        self.slow_answers: dict[str, Gate] = {}
        """Where it waits when all is done, and its answer is not sent yet."""
        self.page_size = 1000
        """At most so many items a page, whatever a request asks for."""
        self._scripts: deque[Sequence[Step | Content]] = deque()
        self._counters: Counter[str] = Counter()
        self._milliseconds = 0

    def script(self, *turns: Sequence[Step | Content]) -> None:
        """What the next turns do, one list of steps each."""
        self._scripts.extend(turns)

    def next_script(self, message: Event) -> Iterable[Step]:
        """The steps of the turn that this message starts."""
        if not self._scripts and self.answer is not None:
            return [answer(self.answer)]
        prompt = "".join(block.get("text", "") for block in message.get("content", []))
        if message["type"] == "user.define_outcome" and not self._scripts:
            self.script([*self.default(message["description"]), evaluation()])
        steps = self._scripts.popleft() if self._scripts else self.default(prompt)
        return [request(step, usage=step.usage) if isinstance(step, Content) else step for step in steps]

    # What the resources use

    def new_id(self, prefix: str) -> str:
        self._counters[prefix] += 1
        return f"{prefix}_{self._counters[prefix]:06d}"

    def now(self) -> str:
        """A timestamp that grows by a millisecond each time it is asked for, and is the same on every run."""
        self._milliseconds += 1
        moment = EPOCH + timedelta(milliseconds=self._milliseconds)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def body(self, request: web.Request) -> Any:
        """The request's JSON, or None where it has no body."""
        data = await request.read()
        try:
            return json.loads(data) if data else None
        except ValueError:
            raise web.HTTPBadRequest(text="the body is no JSON") from None

    def page(
        self, request: web.Request, item: Any, items: Sequence[dict[str, Any]], default: int, maximum: int
    ) -> dict[str, Any]:
        """One page of the items and the cursor to the next; each is checked, unless `item` is None."""
        try:
            limit = int(request.query.get("limit", default))
            start = int(request.query.get("page", "page_0").removeprefix("page_"))
        except ValueError:
            raise web.HTTPBadRequest(
                text="limit is a number, and page a cursor of an earlier response"
            ) from None
        if not 1 <= limit <= maximum:
            raise web.HTTPBadRequest(text=f"limit: 1 to {maximum}")
        end = start + min(limit, self.page_size)
        data = [each if item is None else check_response(item, each) for each in items[start:end]]
        return {"data": data, "next_page": f"page_{end}" if end < len(items) else None}

    def error(self, status: int, message: str, headers: dict[str, str]) -> web.Response:
        kind = ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": self.new_id("req"),
        }
        if kind != "conflict_error":  # the SDK names it, but has no type for it
            check_response(ErrorResponse, body)
        hints = {"request-id": str(body["request_id"])}
        if status in (408, 409, 429) or status >= 500:
            hints["retry-after-ms"] = "1"  # or the SDK's own retries make tests slow
        return web.json_response(body, status=status, headers=hints | headers)

    def route(
        self,
        method: str,
        path: str,
        handler: Callable[[web.Request], Awaitable[Any]],
        betas: Sequence[str] = (BETA,),
    ) -> None:
        """Add an endpoint for requests with a key and the beta's header. What it returns is sent as JSON."""

        async def handle(request: web.Request) -> web.StreamResponse:
            key, bearer = request.headers.get("x-api-key"), request.headers.get("Authorization")
            if key != self.api_key and bearer != f"Bearer {self.api_key}":
                raise web.HTTPUnauthorized(text="invalid API key")
            if "anthropic-version" not in request.headers:
                raise web.HTTPBadRequest(text="anthropic-version: header is required")
            if not set(betas) & set(request.headers.get("anthropic-beta", "").split(",")):
                raise web.HTTPBadRequest(text=f"anthropic-beta: this endpoint needs {betas[0]}")
            if request.method == "POST":
                # What was asked for is done, though the client has gone.
                result = await asyncio.shield(self._post(request, handler))
            else:
                if request.path in self.slow_requests:
                    await self.slow_requests[request.path].passed()
                result = await handler(request)
            return result if isinstance(result, web.StreamResponse) else web.json_response(result)

        self._router.add_route(method, path, handle)

    async def _post(self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]) -> Any:
        await request.read()
        if request.path in self.slow_requests:
            await self.slow_requests[request.path].passed()
        result = await handler(request)
        if request.path in self.slow_answers:
            await self.slow_answers[request.path].passed()
        return result

    def routes(self, router: web.UrlDispatcher) -> None:
        self._router = router
        agents.add_routes(self)
        resources.add_routes(self)
        sessions.add_routes(self)
        files.add_routes(self)
        threads.add_routes(self)
        vaults.add_routes(self)
