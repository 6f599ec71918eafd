"""The SDKs' clients, each made once, and their HTTP clients: what is asked of one server goes to no other."""

from __future__ import annotations

import functools
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from ..redaction import logs
from ..runtime import loop

if TYPE_CHECKING:
    import httpx2

C = TypeVar("C")
MOST_REDIRECTS = 5
MOST_OF_AN_ERROR = 1_000_000
"""Bytes of an error's body: the SDKs read all of it, and a user a line."""
IDLE_SECONDS = 3.0
"""A connection that nobody has used for so long is closed at the next request. Many servers (llama.cpp,
uvicorn, Node) close theirs after five seconds: a request that meets that is lost, and sent again."""
CLOSES_BEHIND_STREAMS = "llama.cpp"
"""The server, as it names itself, that closes its connection behind each streamed answer, though it says that
it keeps it: a request that follows at once would be lost, too."""

_clients: dict[tuple[Any, ...], Any] = {}
"""Those of a parent process, whose loop they share, stay here and are not touched."""


def shared(make: Callable[[], C], *key: object) -> C:
    """The SDK's client that `make()` returned for this key on this process's loop; it is closed when the
    process ends."""
    of_loop = (loop.get(), *key)
    if of_loop not in _clients:
        _clients[of_loop] = make()
    client: C = _clients[of_loop]
    return client


async def _close() -> None:
    for key in [key for key in _clients if key[0] is loop.get()]:
        await _clients.pop(key).close()


loop.at_exit(_close)


def client(
    kind: type[httpx2.AsyncClient],
    *,
    credentials: Credentials | None = None,
    has_tls: bool = True,
    **options: Any,
) -> httpx2.AsyncClient:
    """A client of the SDK's own `kind` that follows redirects to the same scheme, host and port only; any
    other 3xx is the answer. It logs no secrets. With `credentials` it sends no others. One for a server that
    `has_tls` not reads no certificates, and trusts none."""
    logs.guard()
    trust_env: bool = options.get("trust_env", True)
    verify = read_certificates(kind, trust_env) if has_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made = _same_origin(kind)(verify=verify, **options)  # type: ignore[arg-type]
    made.credentials = credentials  # type: ignore[attr-defined]
    return made


def read_certificates(kind: type[httpx2.AsyncClient], trust_env: bool = True) -> ssl.SSLContext:
    """What clients of this kind know servers by: read once, and again where a variable names others."""
    variables = tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"))
    return _tls(_httpx(kind), trust_env, variables)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one key that a server gets, and the names of the headers that its user set for it. An SDK takes
    more from the environment (an organization, a project, headers of all names), which are for its maker's
    own server: of other headers only those pass that every request needs."""

    key: str = field(repr=False)
    headers: frozenset[str] = frozenset()

    def apply(self, headers: httpx2.Headers) -> None:
        """Take out what is not this server's."""
        own = (self.key, f"Bearer {self.key}")
        for name in {name.lower() for name in headers} - self.headers:
            if name in _KEY_HEADERS:
                if headers[name] not in own:
                    del headers[name]
            elif name not in _PLAIN_HEADERS and not name.startswith("x-stainless-"):
                del headers[name]
        if not any(name in headers for name in _KEY_HEADERS):
            headers["authorization"] = own[1]


_KEY_HEADERS = ("authorization", "x-api-key")
_PLAIN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "anthropic-version", "connection", "content-length", "content-type"),
        *("host", "idempotency-key", "transfer-encoding", "user-agent"),
    }
)


def _httpx(kind: type[httpx2.AsyncClient]) -> Any:
    """What a client is of: older SDKs are made on httpx, newer ones on httpx2."""
    module = next(each for each in kind.__mro__ if each.__name__ == "AsyncClient").__module__
    return sys.modules[module.partition(".")[0]]


@functools.cache
def _tls(httpx: Any, trust_env: bool, variables: tuple[str | None, ...]) -> ssl.SSLContext:
    """One for all clients: to read the machine's certificates takes 40 ms. `variables` are those that say
    where they are."""
    context: ssl.SSLContext = httpx.create_ssl_context(trust_env=trust_env)
    return context


@functools.cache
def _same_origin(kind: type[httpx2.AsyncClient]) -> type[httpx2.AsyncClient]:
    httpx: Any = _httpx(kind)

    class Beginning(httpx.AsyncByteStream):  # type: ignore[misc]
        """What comes first of a body."""

        def __init__(self, whole: Any) -> None:
            self.whole = whole

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self.whole:
                yield piece
                size += len(piece)
                if size >= MOST_OF_AN_ERROR:
                    return

        async def aclose(self) -> None:
            await self.whole.aclose()

    class Body(httpx.AsyncByteStream):  # type: ignore[misc]
        """A body, at whose end somebody is called."""

        def __init__(self, whole: Any, end: Callable[[], Awaitable[None]]) -> None:
            self.whole, self.end = whole, end

        def __aiter__(self) -> Any:
            return aiter(self.whole)

        async def aclose(self) -> None:
            try:
                await self.whole.aclose()
            finally:
                await self.end()

    class SameOriginClient(kind):  # type: ignore[valid-type, misc]
        credentials: Credentials | None = None

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            # A pool looks at all of its connections at each request: each has one of its own.
            self._make = functools.partial(kind, **options)
            self._idle: list[tuple[float, Any]] = []
            """Clients without a request, the last used one at the end, and since when."""

        async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            options["follow_redirects"] = False
            if self.credentials is not None:
                self.credentials.apply(request.headers)
            first = request
            response = await self._send(request, **options)
            for _ in range(MOST_REDIRECTS):
                following = response.next_request
                if following is None or _origin(following.url) != _origin(request.url):
                    break
                await response.aclose()
                request = following
                response = await self._send(request, **options)
            # Where it was led to may be another place the next time.
            response.request = first
            if response.status_code >= 400 and not response.is_closed:
                response.stream = Beginning(response.stream)
            return response

        async def _send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            now = time.monotonic()
            while self._idle and self._idle[0][0] < now - IDLE_SECONDS:
                await self._idle.pop(0)[1].aclose()
            client = self._idle.pop()[1] if self._idle else self._make()

            async def keep() -> None:
                self._idle.append((time.monotonic(), client))

            try:
                response: httpx2.Response = await client.send(request, **options)
            except BaseException:
                await keep()
                raise
            if response.is_closed:
                await keep()
            else:
                is_kept = response.headers.get("server") != CLOSES_BEHIND_STREAMS
                response.stream = Body(response.stream, keep if is_kept else client.aclose)
            return response

        async def aclose(self) -> None:
            await super().aclose()
            while self._idle:
                await self._idle.pop()[1].aclose()

    return SameOriginClient


class Refused(Exception):
    """A response that is no answer, as the SDKs raise it: with its `status_code`, and its `body` as JSON or
    text."""

    body: Any

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(f"Error code: {response.status_code}")
        self.response, self.status_code, self.body = response, response.status_code, response.text
        with suppress(ValueError, RecursionError):
            self.body = response.json()


class Requests:
    """What an SDK's client makes of the first of some requests that differ in their bodies only. To make it
    takes the SDK longer than to send it."""

    def __init__(self) -> None:
        self._first: WeakKeyDictionary[Any, dict[object, httpx2.Request]] = WeakKeyDictionary()

    def note(self, client: Any, key: object, request: httpx2.Request) -> None:
        """`request` is the first one with this key."""
        if "idempotency-key" not in request.headers:
            # Without its body, which may be big.
            self._first.setdefault(client, {})[key] = _like(request)

    def next(self, client: Any, key: object, content: bytes) -> httpx2.Request | None:
        """One like it, with that body; None where there was none."""
        first = self._first.get(client, {}).get(key)
        if first is None:
            return None
        return _like(first, content)


def _like(request: httpx2.Request, content: bytes | None = None) -> httpx2.Request:
    headers = request.headers.copy()
    headers.pop("content-length", None)
    return type(request)(
        request.method, request.url, headers=headers, content=content, extensions=request.extensions
    )


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: the URL of openai's SDK before 3.0, which is httpx's, has no `origin`."""
    return url.scheme, url.host, url.port
