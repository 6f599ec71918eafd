"""One attempt at one request: the official client's raw response, as the events that it holds.

    deadline = Deadline(config.timeout or TIMEOUT)
    async with open_stream(server, wire.path, body, deadline) as stream:
        async for event in stream:              # dicts
            ...reader.read(event)...
            if reader.reply.progress > before:
                deadline.extend()
    if stream.end == "done":
        ...reader.end()...

What it raises, at its opening and between two events, is a PraisonError that says what to do; its cause is
the SDK's, so that it is to be raised as `unchained(problem)`. `is_retryable(problem)` tells whether the same
request may do better; it is never asked again here.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections import deque
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from ...errors import ConfigError, PraisonError, TurnTimeoutError
from ...text import describe_exception
from ..body import Body
from ..error_reasons import find
from ..http_client import Refused, Requests
from ..request_body import Encoder
from ..sdk_errors import error_in_answer, no_api, translate
from ..sse import Parser
from .client import TIMEOUT, client_of, http_client_of, load
from .providers import Server

T = TypeVar("T")
_requests = Requests()
End = Literal["", "done", "closed"]
"""How a stream ended: the server said that this was all ([DONE], the last event of its API, one whole JSON
body), it closed the response in peace, or not (yet)."""
# Of a whole body, in the three APIs.
_ANSWERS = ("choices", "output", "content")
_SECONDS_FOR_THE_END = 0.1
_OPTIONAL = ("stream_options", "include", "prompt_cache_key")
"""Fields that not every server knows, and without which the answer is the same."""
_NAMED = (
    r"""['"`]{0}(\[\d+\])?['"`]|\b{0}(\[\d+\])?: |(argument|field|input|parameter|propert)[^.]*[ :]{0}\b"""
)
"""How errors name a field: in quotes, before a colon, or as one; "include" is a verb, too."""


@dataclass(eq=False)
class Deadline:
    """How long a server may leave its reader without anything new: `seconds` of waiting for it, however many
    pings come. `extend` when there is something new. What the reader does meanwhile takes nothing from it."""

    seconds: float = TIMEOUT
    left: float = field(init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)
    _waiting: asyncio.Task[Any] | None = field(default=None, init=False, repr=False)
    _since: float = field(default=0.0, init=False, repr=False)
    _has_expired: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        self.extend()

    def extend(self) -> None:
        """There was something new."""
        self.left = self.seconds

    async def wait(self, for_what: Awaitable[T]) -> T:
        """What it comes to. Raises TimeoutError, and cancels it, where nothing is left."""
        # asyncio.timeout() makes a timer for each time, which costs as much as reading a chunk.
        loop = asyncio.get_running_loop()
        task = self._waiting = asyncio.current_task()
        assert task is not None
        cancelling, self._since = task.cancelling(), loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.left, self._look)
        try:
            return await for_what
        except asyncio.CancelledError as error:
            if self._has_expired and task.uncancel() <= cancelling:
                raise TimeoutError from error
            raise
        finally:
            self._waiting = None
            self.left -= loop.time() - self._since

    def stop(self) -> None:
        """There is nothing more to wait for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            # The reader is busy, and will come back.
            return
        loop = asyncio.get_running_loop()
        left = self.left - (loop.time() - self._since)
        if left > 0:
            self._timer = loop.call_later(left, self._look)
        else:
            self._has_expired = True
            self._waiting.cancel()


class Stream:
    """The events of one answer. `end` says how it ended, once there are no more."""

    def __init__(
        self, server: Server, path: str, body: Mapping[str, Any], deadline: Deadline, encoder: Encoder
    ) -> None:
        self.end: End = ""
        self._server, self._url = server, address_of(server, path)
        self._body, self._deadline, self._encoder = body, deadline, encoder
        self._response: Any = None
        self._bytes: Body
        self._parser = Parser()
        self._ready: list[dict[str, Any]] = []
        self._left: deque[dict[str, Any]] = deque()
        self._problem: PraisonError | None = None
        self._has_events = self._is_over = False

    async def __aenter__(self) -> Self:
        """Ask. Raises a PraisonError where the server refuses or cannot be reached."""
        try:
            # What loading takes on a slow machine is not the server's time.
            await load(self._server)
            self._response = await self._deadline.wait(self._open())
            self._encoder.clear()
        except BaseException as error:
            self._deadline.stop()
            if not isinstance(error, Exception):
                raise
            raise self._translated(error) from error
        self._bytes = Body(self._response)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadline.stop()
        await self._bytes.aclose()

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the answer."""
        found: Mapping[str, str] = self._response.headers
        return found

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        """The next event, of those of `batch`. Raises what that raises."""
        if not self._left:
            self._left.extend(await self.batch())
        if not self._left:
            raise StopAsyncIteration
        return self._left.popleft()

    async def batch(self) -> list[dict[str, Any]]:
        """The next events, all that came together; none at the end. One JSON body in place of a stream is one
        event. Raises a PraisonError where the answer is cut, stays away past the deadline, or is none."""
        while not self._ready:
            if self._problem is not None:
                raise self._problem
            if self._is_over:
                return []
            await self._read()
        self._has_events = True
        ready, self._ready = self._ready, []
        return ready

    async def _read(self) -> None:
        parser = self._parser
        try:
            piece = await self._deadline.wait(self._bytes.read())
        except Exception as error:
            # The events so far first.
            self._ready += parser.close()
            self._problem = self._translated(error)
            self._problem.__cause__ = error
            return
        self._ready += parser.feed(piece) if piece else parser.close()
        if parser.is_done or not piece:
            self._is_over = True
            self.end = "done" if parser.is_done else "closed"
            self._judge()
            if piece:
                await self._bytes.drain(_SECONDS_FOR_THE_END)

    def _judge(self) -> None:
        """The answer is over: was it one?"""
        where, parser, status = self._server.where, self._parser, self._response.status_code
        if parser.is_whole:
            body = self._ready[0] if self._ready else {}
            if not any(body.get(name) is not None for name in _ANSWERS):
                self._ready.clear()
                nothing = no_api("JSON without anything in it", where, status)
                self._problem = error_in_answer(body, where) if body else nothing
        elif parser.is_damaged or (parser.excerpt and not self._has_events and not self._ready):
            self._problem = no_api(parser.excerpt, where, status)

    @property
    def last_words(self) -> str:
        """What came that is no event, as a sentence for the user; "" where there was none."""
        reason = self._server.where.excerpt(find(self._parser.excerpt).text)
        return f" It said: {reason}" if reason else ""

    async def _open(self) -> Any:
        body = {**self._body, "stream": True}
        headers = {str(name): value for name, value in dict(body.pop("extra_headers", None) or {}).items()}
        options = {
            "headers": {**headers, "X-Stainless-Raw-Response": "stream"},
            "params": dict(body.pop("extra_query", None) or {}),
        }
        body.pop("timeout", None)
        body |= body.pop("extra_body", None) or {}
        client: Any = client_of(self._server, frozenset(name.lower() for name in headers))
        key = self._url, repr(sorted(headers.items())), repr(options["params"])
        while True:
            try:
                content = self._encoder.body(body)
                if content and (request := _requests.next(client, key, content)):
                    response = await http_client_of(client).send(request, stream=True)
                    if not response.is_success:
                        await response.aread()
                        raise Refused(response)
                    return response
                answer = await client.post(
                    self._url, cast_to=object, options=options, **_written(body, content, client)
                )
                _requests.note(client, key, answer.http_response.request)
                return answer.http_response
            except Exception as error:
                if content is None and isinstance(error, TypeError | ValueError):
                    reason = describe_exception(error)
                    raise ConfigError(f"options cannot be written as JSON ({reason}).") from None
                unknown = _unknown_field(error, body)
                if not unknown:
                    raise
            del body[unknown]

    def _translated(self, error: Exception) -> PraisonError:
        if isinstance(error, TimeoutError) and self._deadline.left <= 0:
            return TurnTimeoutError(
                f"{self._server.name} sent nothing new for {self._deadline.seconds:g} s. Ask again, or "
                "give it more time with timeout=… (seconds)."
            )
        return translate(error, self._server.where)


def open_stream(
    server: Server, path: str, body: Mapping[str, Any], deadline: Deadline, encoder: Encoder | None = None
) -> Stream:
    """Ask the server, once, for a stream, as `async with`. `body` needs no `stream`; where the server refuses
    a field by its name, and the answer is the same without, it is asked again without. `extra_headers`,
    `extra_query` and `extra_body` are what the SDKs' methods make of them. An `encoder` may have written
    some of the body already."""
    return Stream(server, path, body, deadline, encoder or Encoder())


def _written(body: Mapping[str, Any], content: bytes | None, client: Any) -> dict[str, Any]:
    """The body as SDKs take it: those that would look through all of it first take it as it is, and a long
    conversation has thousands of parts. What is no JSON an SDK may know how to send."""
    if content and "content" in inspect.signature(client.post).parameters:
        return {"content": content}
    return {"body": body}


def _unknown_field(error: Exception, body: Mapping[str, Any]) -> str:
    """The optional field that the server refused, "" where it was something else."""
    if getattr(error, "status_code", None) not in (400, 422):
        return ""
    reason = str(getattr(error, "body", ""))
    return next((name for name in _OPTIONAL if name in body and re.search(_NAMED.format(name), reason)), "")


def address_of(server: Server, path: str) -> str:
    """Where a wire's path is: before a query that base_url has, and once where that has it too. The Messages
    API is behind /v1, which other base_urls have at their end, and those of Anthropic's SDK have not.

    >>> address_of(Server("S", "https://example.org/v1/?api-version=1", "m"), "/chat/completions")
    'https://example.org/v1/chat/completions?api-version=1'
    >>> address_of(Server("S", "https://example.org/anthropic", "m", wire="messages"), "/messages")
    'https://example.org/anthropic/v1/messages'
    """
    path = path.strip("/")
    base, mark, query = server.base_url.partition("#")[0].partition("?")
    base = base.rstrip("/").removesuffix(f"/{path}").rstrip("/")
    if server.wire == "messages" and not re.search(r"/v\d+$", base):
        base += "/v1"
    return f"{base}/{path}{mark}{query}"
