"""The `anthropic` SDK's client for hosted agents, and what its errors mean there."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from ... import redaction
from ...errors import (
    AuthenticationError,
    MissingKeyError,
    ModelNotFoundError,
    PraisonError,
    RequestRejectedError,
    SessionError,
)
from ...imports import rare_collections
from .. import http_client
from ..config_base import check_address
from ..sdk_errors import Where, retry_after, translate, unchained
from .config import HostedAgentConfig

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

T = TypeVar("T")
KEY_VARIABLE = "ANTHROPIC_API_KEY"
ANTHROPICS_CONSOLE = "https://platform.claude.com/workspaces/default/sessions/{session_id}"
_NEVER_BETTER = ("authentication_error", "permission_error", "not_found_error", "invalid_request_error")


def client_of(config: HostedAgentConfig) -> AsyncAnthropic:
    """The client, shared by all agents with the same key and address. Raises MissingKeyError where there
    are no credentials of any kind that the SDK knows."""
    # With what is copied along, such as a line's end, no header can have it.
    api_key = (config.api_key or os.environ.get(KEY_VARIABLE, "")).strip()
    token = "" if api_key else os.environ.get("ANTHROPIC_AUTH_TOKEN", "")
    address = address_of(config)

    def make() -> AsyncAnthropic:
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        check_address(address, "base_url")
        redaction.register_address(address)
        http = http_client.client(DefaultAsyncHttpxClient)
        client = AsyncAnthropic(api_key=api_key or None, base_url=address or None, http_client=http)
        redaction.register(client.api_key or client.auth_token, KEY_VARIABLE)
        if not (client.api_key or client.auth_token or client.credentials):
            raise MissingKeyError(
                f"No key for hosted agents: set {KEY_VARIABLE} or give api_key=…. Without any key, "
                "LocalAgent with model='embedded' runs a small model on this machine."
            )
        return client if config.timeout is None else client.with_options(timeout=config.timeout)

    return http_client.shared(make, "anthropic", api_key, token, address, config.timeout)


def address_of(config: HostedAgentConfig) -> str:
    """The server's address, "" for Anthropic's own."""
    return config.base_url or os.environ.get("ANTHROPIC_BASE_URL", "")


async def ask(
    config: HostedAgentConfig, request: Callable[[AsyncAnthropic], Awaitable[T]], what: str = ""
) -> T:
    """What `request(client)` returns. On the background loop. What it raises becomes a PraisonError; `what`
    names the resource that a 404 means."""
    await asyncio.to_thread(load)
    try:
        return await request(client_of(config))
    except Exception as error:
        problem = explain(error, config, what)
    raise unchained(problem)


@rare_collections()
def load() -> None:
    """Import the SDK. That takes a second the first time: too long for the loop, where all turns run."""
    import anthropic  # noqa: F401


def session_url(config: HostedAgentConfig, session_id: str) -> str:
    """Where a session is shown: at `console_url`, for Anthropic's own server in its console, "" elsewhere."""
    address = address_of(config)
    is_anthropics = not address or urlsplit(address).hostname == "api.anthropic.com"
    url = config.console_url or (ANTHROPICS_CONSOLE if is_anthropics else "")
    return url.replace("{session_id}", quote(session_id, safe=""))


def where_of(config: HostedAgentConfig) -> Where:
    """What error messages need to know."""
    address = address_of(config)
    host = address.split("//")[-1].split("/")[0].split("@")[-1] or "Anthropic"
    return Where(host, address or "its address", config.model_name, KEY_VARIABLE)


def explain(error: BaseException, config: HostedAgentConfig, what: str = "") -> PraisonError:
    """The PraisonError for what the SDK raised; `what` names the resource that a 404 means."""
    if isinstance(error, PraisonError):
        return error
    where = where_of(config)
    status = getattr(error, "status_code", None)
    text = where.excerpt(str(getattr(error, "api_message", "") or ""))
    if status in (403, 404) and not what and config.model_name not in text:
        # The first that a session asks for is nobody's yet: its key may not have any.
        kind = AuthenticationError if status == 403 else ModelNotFoundError
        reason = f" It said: {text}" if text else ""
        return kind(
            f"{where.server} has no managed agents for this key ({status}). `-m {config.model_name}`, in "
            f"Python a LocalAgent, runs the model here with the same key.{reason}",
            status_code=status,
        )
    if status == 404 and what:
        return ModelNotFoundError(f"{where.server} does not know {what} (404). {text}", status_code=404)
    return translate(error, where)


def is_stale(error: BaseException) -> bool:
    """Whether an update was refused since the agent has a newer version."""
    status = getattr(error, "status_code", None)
    return status in (409, 412) or (status == 400 and "version" in str(error))


def transient_errors() -> tuple[type[Exception], ...]:
    """What a lost connection, a server in trouble, or a frame cut in two can raise."""
    import httpx2
    from anthropic import APIError

    return (APIError, httpx2.HTTPError, OSError, json.JSONDecodeError, UnicodeDecodeError)


def is_final(error: BaseException) -> bool:
    """Whether the same request would fail again: 3xx and 4xx, but time-out, conflict, rate limit."""
    status = getattr(error, "status_code", None)
    if status == 200:  # an error inside the stream
        return getattr(error, "type", None) in _NEVER_BETTER
    return isinstance(status, int) and 300 <= status < 500 and status not in (408, 409, 429)


def never_arrived(error: BaseException) -> bool:
    """Whether a request that failed so was certainly not carried out."""
    import httpx2

    if getattr(error, "status_code", None) == 429:
        return True
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)


def seconds_to_wait(error: BaseException) -> float:
    """Seconds that the server asks to wait, 0 where it does not; a minute at most."""
    return min(60.0, max(0.0, retry_after(error) or 0.0))


def with_hint(error: PraisonError, session_id: str) -> PraisonError:
    """`error`, saying that the session is still there, unless the server has just denied that."""
    if isinstance(error, ModelNotFoundError):
        return error
    hint = (
        f" The session still exists and may still work: ask again, or go on elsewhere with "
        f"resume_session({session_id!r})."
    )
    hinted = type(error)(f"{error}{hint}")
    vars(hinted).update(vars(error))
    return hinted


def explain_budget(error: PraisonError) -> PraisonError:
    """A message that the session refused since its budget is used up, explained."""
    if not isinstance(error, RequestRejectedError) or "budget" not in str(error):
        return error
    return SessionError(f"{BUDGET_HINT} ({error})")


BUDGET_HINT = (
    "The session's budget is used up: raise it with set_budget(USD), lift it with set_budget(None), or begin "
    "a new session with reset_session()."
)


async def all_pages(pages: Any, limit: int | None = None) -> AsyncIterator[Any]:
    """Every item of a list of the API, whatever the number of its pages; at most `limit`."""
    count = 0
    if limit is not None and limit <= 0:
        return
    async for item in pages:
        yield item
        count += 1
        if count == limit:
            return
