"""The official SDKs' clients, one for each server and key, living on the background loop."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ...errors import ConfigError
from ...imports import rare_collections
from .. import http_client
from ..http_client import Credentials
from ..network_errors import is_loopback, unusable
from .providers import Server

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    Client: TypeAlias = AsyncOpenAI | AsyncAnthropic

TIMEOUT = 600.0
"""Seconds without anything new for the reader, where the config says nothing: what the SDKs allow, since a
model may think for minutes without a sign."""
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, with its TLS and the proxy's: twice what the SDKs allow, for slow networks."""
_SETTING = re.compile(r"(openai|anthropic|ssl)_.*|.*_proxy", re.I)
# What an SDK takes from the environment beside the key goes to its maker's server and no other.
_MAKERS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
_loaded: set[str] = set()
"""SDKs that are whole; of one in sys.modules another thread may be importing the rest."""


async def load(server: Server) -> None:
    """Import the server's SDK, beside the loop: the first time it takes a second."""
    name = _sdk(server)
    if name not in _loaded:
        await asyncio.to_thread(rare_collections()(importlib.import_module), name)
        _loaded.add(name)


def client_of(server: Server, headers: frozenset[str] = frozenset()) -> Client:
    """The client for a server, shared by all agents that ask it: it waits for an answer for ever, and asks
    once. `headers` are the names, in lower case, of those that its user gives to each request. Raises
    ConfigError for a key that no server takes."""
    sdk = _sdk(server)
    # Servers without keys still want the header to be there.
    key = checked_key(server.api_key, server.key_variable or "api_key=") or "none"
    address = urlsplit(server.base_url)
    host, has_tls = address.hostname or "", address.scheme != "http"
    is_makers = host == _MAKERS[sdk] or host.endswith(f".{_MAKERS[sdk]}")

    # A proxy of the environment's is for the world outside, not for a server on this machine.
    trust_env = not is_loopback(host)
    credentials = None if is_makers else Credentials(key, headers)

    def http(kind: Any) -> Any:
        try:
            return http_client.client(kind, credentials=credentials, has_tls=has_tls, trust_env=trust_env)
        except Exception as error:
            raise unusable(error) from error

    def make() -> Client:
        module: Any = importlib.import_module(sdk)
        http_client = http(module.DefaultAsyncHttpxClient)
        kind = module.AsyncAnthropic if sdk == "anthropic" else module.AsyncOpenAI
        made: Client = kind(
            base_url=server.base_url,
            api_key=key,
            max_retries=0,
            timeout=module.Timeout(None, connect=CONNECT_TIMEOUT),
            http_client=http_client,
        )
        _http_clients[made] = http_client
        return made

    # A variable that an error told its reader to set counts from then on.
    return http_client.shared(make, sdk, server.base_url, key, headers, _settings())


_known_settings: tuple[Mapping[Any, Any], frozenset[tuple[str, str]]] = {}, frozenset()


def _settings() -> frozenset[tuple[str, str]]:
    """The variables that SDKs read."""
    global _known_settings
    # os.environ decodes each variable when it is walked, at each request.
    environment = getattr(os.environ, "_data", os.environ)
    if _known_settings[0] != environment:
        found = frozenset((name, value) for name, value in os.environ.items() if _SETTING.fullmatch(name))
        _known_settings = dict(environment), found
    return _known_settings[1]


_http_clients: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def http_client_of(client: Client) -> Any:
    """What `client`, which `client_of` returned, sends its requests by."""
    return _http_clients[client]


def _sdk(server: Server) -> str:
    return "anthropic" if server.wire == "messages" else "openai"


def checked_key(key: str, variable: str) -> str:
    """The key without the blanks around it. Raises ConfigError, which names the variable that it is from,
    where it cannot be one.

    >>> checked_key(" sk-1234\\n", "OPENAI_API_KEY")
    'sk-1234'
    >>> checked_key("Bearer sk-1234", "OPENAI_API_KEY")
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: OPENAI_API_KEY begins with 'Bearer': give the key alone.
    """
    key = key.strip()
    if match := re.match(r"(bearer|authorization|x-api-key)\b[\s:]", key, re.I):
        raise ConfigError(f"{variable} begins with {match[1]!r}: give the key alone.")
    if key[:1] in ("'", '"') or key[-1:] in ("'", '"'):
        raise ConfigError(f"{variable} has quotes around the key: give it without.")
    if match := re.search(r"[^!-~]", key):
        what = "a blank or a line end" if match[0].isspace() else "one that no key has (no plain ASCII)"
        at = match.start() + 1
        raise ConfigError(f"{variable} cannot be a key: its character {at} is {what}. Copy it again.")
    return key
