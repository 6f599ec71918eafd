"""What every loopback server of the tests is: an HTTP server on its own thread, driven from a test.

    class Hello(LoopbackServer):
        def routes(self, router):
            router.add_get("/hello", self.hello)

        async def hello(self, request):
            stream = await self.stream(request)
            await stream.write(b"hel")
            await self.pause.passed()       # a Gate: stops here until the test opens it
            await stream.write(b"lo")
            return stream.response

    with Hello() as server:
        pause = server.pause = server.gate()
        server.refuse(2, status=503)        # the next two requests fail
        server.cut(4)                       # the next stream ends after four bytes of its body
        ...                                 # GET server.url + "/hello"
        server.wait_for(lambda: pause.reached)
        pause.open()

State belongs to the server's thread. A test reads it through `wait_for` (or `await until`), and changes
it with `call`. An exception in the server is raised again when the `with` ends, so no test passes by it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import web
from multidict import CIMultiDictProxy, MultiMapping

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds after which a condition that never came true fails the test."""
LOOK_AGAIN = 0.1


@dataclass(frozen=True)
class Recorded:
    """A request as it came in."""

    method: str
    path: str
    query: MultiMapping[str]
    headers: CIMultiDictProxy[str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        """None where the body was empty or no JSON. Read when it is asked for: a bench's clock goes on."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None


@dataclass
class Refusal:
    """How the next `times` requests fail; a status of None resets the connection."""

    times: int
    status: int | None
    method: str | None
    path: str | None
    message: str
    headers: dict[str, str]

    def meets(self, request: web.Request) -> bool:
        return (
            self.times > 0
            and self.method in (None, request.method)
            and (self.path is None or self.path in request.path)
        )


class Cut(Exception):
    """The stream's connection was ended on purpose; carries the response that it ended."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response


class Gate:
    """A point where the server stops until the test opens it. `reached` says that it stands there."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self.reached = False
        self.is_open = False

    def open(self) -> None:
        """Let the server go on, now and every later time. Any thread may call it."""
        self.is_open = True
        self._server.call_soon(self._server.changed)

    async def passed(self) -> None:
        self.reached = True
        self._server.changed()
        await self._server.holds(lambda: self.is_open)


class ByteStream:
    """A response body whose bytes leave exactly as written: one HTTP chunk for each `write`, or for each
    `server.chunk_size` bytes of it. `body` is what was sent; `server.cut` counts its bytes."""

    def __init__(self, request: web.Request, content_type: str, chunk_size: int | None, cut: Cutting | None):
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        self.response = web.StreamResponse(headers=headers)
        self.response.enable_chunked_encoding()
        self.body = bytearray()
        self._request = request
        self._chunk_size = chunk_size
        self._cut = cut

    async def open(self) -> None:
        await self.response.prepare(self._request)
        await self._cut_where_due()

    async def write(self, data: bytes) -> None:
        size = self._chunk_size or max(len(data), 1)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self._cut is not None:
                piece = piece[: self._cut.at - len(self.body)]
            if piece:
                await self.response.write(piece)
                self.body += piece
            await self._cut_where_due()

    async def abort(self, *, reset: bool = False) -> None:
        """End the connection after what has been written: closed in mid-body, or reset."""
        await abort(self._request, reset=reset)
        raise Cut(self.response)

    async def _cut_where_due(self) -> None:
        if self._cut is not None and len(self.body) >= self._cut.at:
            await self.abort(reset=self._cut.reset)


@dataclass(frozen=True)
class Cutting:
    """Where a stream ends early, in bytes of its body."""

    at: int
    reset: bool


async def abort(request: web.Request, *, reset: bool) -> None:
    """Close the request's connection once its bytes have left; `reset` sends RST instead of FIN."""
    transport = request.transport
    if transport is None:
        return
    if not reset:
        transport.close()
        return
    transport.set_write_buffer_limits(0)
    await request.writer.drain()
    if not transport.is_closing():
        linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing sends RST
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()


class LoopbackServer:
    """An aiohttp application on 127.0.0.1, port 0, on a thread of its own; subclasses add `routes`."""

    def __init__(self) -> None:
        self.url = ""
        """`http://127.0.0.1:<port>`; kept after the end, when nothing listens there any more."""
        self.requests: list[Recorded] = []
        self.streams: list[ByteStream] = []
        """Every stream opened, in order; `streams[0].body` is what it sent."""
        self.chunk_size: int | None = None
        self._refusals: list[Refusal] = []
        self._cuts: deque[Cutting | None] = deque()
        self._cut_each: Cutting | None = None
        self._failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._condition = threading.Condition()
        self._wakeups: set[asyncio.Event] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # What a subclass has

    def routes(self, router: web.UrlDispatcher) -> None:
        """Add the server's routes."""
        raise NotImplementedError

    def error(self, status: int, message: str, headers: dict[str, str]) -> web.Response:
        """An error response in the form of the API that the server speaks."""
        return web.json_response({"error": {"message": message}}, status=status, headers=headers)

    async def stream(self, request: web.Request, content_type: str = "text/event-stream") -> ByteStream:
        """Open a streamed response; its handler returns `stream.response` at the end."""
        cut = self._cuts.popleft() if self._cuts else self._cut_each
        stream = ByteStream(request, content_type, self.chunk_size, cut)
        self.streams.append(stream)
        self.changed()
        await stream.open()
        return stream

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside the requests; it is cancelled at the end, and its exception fails the test."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def changed(self) -> None:
        """Say that state may have changed, to whoever waits for a condition. On the server's thread."""
        for wakeup in self._wakeups:
            wakeup.set()
        with self._condition:
            self._condition.notify_all()

    async def holds(self, predicate: Callable[[], bool]) -> None:
        """Wait, on the server's loop, until the predicate is true."""
        wakeup = asyncio.Event()
        self._wakeups.add(wakeup)
        try:
            while not predicate():
                await wakeup.wait()
                wakeup.clear()
        finally:
            self._wakeups.discard(wakeup)

    # What a test has

    def gate(self) -> Gate:
        return Gate(self)

    def refuse(
        self,
        times: int = 1,
        *,
        status: int | None = 503,
        method: str | None = None,
        path: str | None = None,
        message: str = "refused by the test",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Fail the next `times` requests with this HTTP status, or reset them with `status=None`.

        `method` and `path` (a part of it) narrow it to some requests.
        """
        self._refusals.append(Refusal(times, status, method, path, message, headers or {}))

    def cut(self, *offsets: int | None, each: bool = False, reset: bool = False) -> None:
        """End the next streams early, one offset each (None: whole), or every stream with `each`."""
        cuts = [None if at is None else Cutting(at, reset) for at in offsets]
        if each:
            (self._cut_each,) = cuts
        else:
            self._cuts.extend(cuts)

    def seen(self, method: str, path: str) -> list[Recorded]:
        """The requests so far of this method whose path ends so."""
        return [r for r in list(self.requests) if r.method == method and r.path.endswith(path)]

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run the function on the server's thread and return what it returns."""

        async def run() -> T:
            result = function(*args)
            self.changed()
            return result

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Run the function on the server's thread, soon. Nothing happens where the server has ended."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def wait_for(self, predicate: Callable[[], object]) -> None:
        """Block until the predicate is true. In a coroutine use `until`."""
        deadline = time.monotonic() + PATIENCE
        with self._condition:
            # What the server does is told at once; what happens elsewhere, in a file say, is looked for.
            while not self._condition.wait_for(lambda: bool(predicate()) or bool(self._failures), LOOK_AGAIN):
                if time.monotonic() > deadline:
                    raise AssertionError(f"it never came true; requests so far: {self._summary()}")
        if self._failures:
            raise self._failures.pop(0)

    async def until(self, predicate: Callable[[], object]) -> None:
        """`wait_for`, without blocking the loop of the test."""
        await asyncio.to_thread(self.wait_for, predicate)

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name=type(self).__name__)
        self._thread.start()
        started.result(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        self.call_soon(self._stop.set)
        self._thread.join()
        if exc is None and self._failures:
            raise self._failures[0]

    # The thread

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as exc:
            if started.done():
                self._failures.append(exc)
            else:
                started.set_exception(exc)

    async def _serve(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        app = web.Application(middlewares=[self._middleware], client_max_size=1 << 26)
        self.routes(app.router)
        # A client that goes away ends its handler, and the end of the server ends them all at once.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        try:
            await web.SockSite(runner, listening).start()
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            started.set_result(None)
            await self._stop.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # Closed between accepting a connection and making its transport, asyncio's server leaves a socket
            # to the collector (Python 3.11). So no more are accepted, and then the last ones are made.
            self._loop.remove_reader(listening)
            for _ in range(5):
                await asyncio.sleep(0)
            await runner.cleanup()

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        body = await request.read()
        record = Recorded(request.method, request.path, request.query, request.headers, body)
        self.requests.append(record)
        self.changed()
        for refusal in self._refusals:
            if refusal.meets(request):
                refusal.times -= 1
                if refusal.status is not None:
                    return self.error(refusal.status, refusal.message, refusal.headers)
                await abort(request, reset=True)
                return web.Response()
        try:
            response: web.StreamResponse = await handler(request)
            return response
        except Cut as cut:
            return cut.response
        except web.HTTPException as exc:
            return self.error(exc.status, exc.text or exc.reason, {})
        except ConnectionError:
            raise
        except Exception as exc:
            self._failures.append(exc)
            self.changed()
            return self.error(500, f"the test server failed: {exc!r}", {})

    def _spawned(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._failures.append(exc)
            self.changed()

    def _summary(self) -> list[str]:
        return [f"{r.method} {r.path}" for r in list(self.requests)]
