"""After a day of failing turns nothing that is left of them holds a key."""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from praison_nb import Agent, HostedAgent, HostedAgentConfig, LocalAgent, LocalAgentConfig, errors as e
from praison_nb.backends.local import attempts
from servers.base import LoopbackServer

KEY, PASSWORD, HEADER = "vtk-babbage-1791", "d1fference", "an4lytical-engine"
SECRETS = (KEY, PASSWORD, HEADER)
BROKEN = b'data: {"choices": [{"index": 0, "delta": {"content": "Half'


class Failing(LoopbackServer):
    """Fails as the path says, and repeats all that it was sent."""

    def routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/{how}/{path:.*}", self._fail)

    async def _fail(self, request: web.Request) -> web.StreamResponse:
        said = f"bad {dict(request.headers)} {KEY} at http://ada:{PASSWORD}@host {HEADER}"
        how = request.match_info["how"]
        if how.isdecimal():
            headers = {"retry-after-ms": "1"}
            return web.json_response({"error": {"message": said}}, status=int(how), headers=headers)
        if how == "page":
            return web.Response(text=f"<html><title>{said}</title></html>", content_type="text/html")
        if how == "redirect":
            raise web.HTTPFound(f"http://ada:{PASSWORD}@example.invalid/?key={KEY}")
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "x-request-id": KEY})
        await response.prepare(request)
        if how == "broken":
            await response.write(BROKEN)
        elif how == "error":
            await response.write(b'event: error\ndata: {"error": {"message": "%s"}}\n\n' % said.encode())
        elif how == "noise":
            await response.write(b"data: %s\n\n" % said.encode())
        else:
            # Longer than anybody waits.
            await asyncio.sleep(1)
        assert request.transport is not None
        request.transport.abort()
        return response


HOW = ("400", "401", "403", "404", "429", "500", "503", "page", "redirect", "broken", "error", "noise")


def everything(error: BaseException) -> Iterator[str]:
    """What an error says, what it came of, and what stands in the package's frames on its way."""
    seen = [error]
    for each in seen:
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
        yield "".join(traceback.format_exception(each))
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if "praison_nb" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
                yield f"{frame.f_code.co_qualname} {frame.f_locals!r}"
        seen += [other for other in (each.__cause__, each.__context__) if other and other not in seen]


def left_of(agent: Agent, error: e.PraisonError) -> Iterator[str]:
    turn, backend = error.turn, agent.backend
    assert turn is not None
    yield from everything(error)
    for each in (agent, backend, backend.config, turn, turn.error):
        yield from (repr(each), str(each))
        # Some are not to be pickled.
        with suppress(TypeError, AttributeError, pickle.PicklingError):
            yield repr(pickle.dumps(each))
    yield turn._repr_html_()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What every logger logs."""
    written, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def backend(wire: str, url: str) -> LocalAgent | HostedAgent:
    if wire == "hosted":
        agent = HostedAgent(HostedAgentConfig(api_key=KEY, base_url=url, timeout=0.2, reconnect_seconds=0.0))
        agent.backoff_seconds = (0.0, 0.01)
        return agent
    address = url.replace("://", f"://ada:{PASSWORD}@")
    options = {"extra_headers": {"X-Auth-Token": HEADER}}
    return LocalAgent(
        config=LocalAgentConfig(
            model="m", wire=wire, api_key=KEY, base_url=f"{address}/v1", timeout=0.3, options=options
        )
    )


@contextmanager
def unknown_issuer(certificate: tuple[Path, Path]) -> Iterator[str]:
    """The address of a server whose certificate nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("wire", ["chat", "responses", "messages", "hosted"])
def test_nothing_that_is_left_holds_a_key(
    wire: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[Path, Path],
    log: io.StringIO,
) -> None:
    monkeypatch.setattr(attempts, "FIRST_PAUSE", 0.01)
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(tmp_path / "ledger.sqlite"))
    kinds = set()
    with Failing() as server, unknown_issuer(certificate) as tls:
        urls = [f"{server.url}/{how}" for how in (*HOW, "silent")]
        nobody = "http://127.0.0.1:1"
        if wire == "hosted":
            # Its SDK takes half a second and more before each of its attempts to connect.
            urls = [*urls[:5], nobody]
        else:
            urls += [tls, server.url.replace("http:", "https:"), nobody]
        for url in urls:
            agent = Agent(name="a", backend=backend(wire, url))
            with pytest.raises(e.PraisonError) as caught:
                agent.start("Hi")
            kinds.add(type(caught.value).__name__)
            for text in left_of(agent, caught.value):
                assert not any(secret in text for secret in SECRETS), f"{url}\n{text}"
    assert len(kinds) >= 4, kinds
    logged = log.getvalue()
    assert "praison_nb" in logged or "httpcore" in logged
    lines = [line for line in logged.splitlines() if any(secret in line for secret in SECRETS)]
    assert not lines, lines[:5]
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert files
    for file in files:
        assert not any(secret.encode() in file.read_bytes() for secret in SECRETS), file
