"""The `openai` SDK's client, one for each server and key, living on the background loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import urlsplit

from .. import http_client
from .providers import Server

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk

    Stream: TypeAlias = AsyncStream[ChatCompletionChunk]


async def open_stream(client: AsyncOpenAI, request: dict[str, Any]) -> Stream:
    """The stream of one completion. A server that does not know `stream_options` is asked without it."""
    from openai import BadRequestError, UnprocessableEntityError

    request = {**request, "stream": True}
    try:
        return cast("Stream", await client.chat.completions.create(**request))
    except (BadRequestError, UnprocessableEntityError) as error:
        if "stream_options" not in str(error.body):
            raise
        del request["stream_options"]
        return cast("Stream", await client.chat.completions.create(**request))


def client_of(server: Server, timeout: float | None) -> AsyncOpenAI:
    """The client for a server, shared by all agents that ask it."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    def make() -> AsyncOpenAI:
        # A proxy of the environment's is for the world outside, not for a server on this machine.
        is_here = urlsplit(server.base_url).hostname in ("127.0.0.1", "localhost", "::1")
        client = AsyncOpenAI(
            base_url=server.base_url,
            # Servers without keys still want the header to be there.
            api_key=server.api_key or "none",
            http_client=http_client.client(DefaultAsyncHttpxClient, trust_env=not is_here),
        )
        return client if timeout is None else client.with_options(timeout=timeout)

    return http_client.shared(make, "openai", server.base_url, server.api_key, timeout)
