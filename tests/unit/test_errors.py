"""The mapping of the SDKs' exceptions is whole, and says nothing secret."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import praison_nb
from praison_nb import LocalAgentConfig, errors
from praison_nb.backends.local.providers import Server
from praison_nb.backends.sdk_errors import Where, translate
from praison_nb.redaction import redact

WHERE = Where("OpenAI", "http://127.0.0.1:1/v1", "gpt-4o-mini", "OPENAI_API_KEY")
# Whoever asks a server has its key.
Server("OpenAI", "http://127.0.0.1:1/v1", "gpt-4o-mini", api_key="very-secret-key")
REQUEST = httpx2.Request("POST", "http://127.0.0.1:1/v1/chat/completions")


def made(kind: type[Exception]) -> Exception:
    """An exception of the SDK's, as its constructor wants it."""
    parameters = inspect.signature(kind.__init__).parameters
    status = getattr(kind, "status_code", 418)
    response = httpx2.Response(status if isinstance(status, int) else 418, request=REQUEST, json={})
    known: dict[str, Any] = {
        "message": "told very-secret-key",
        "response": response,
        "body": {"error": {"message": "told very-secret-key"}},
        "request": REQUEST,
        "completion": SimpleNamespace(usage=None),
        "unsent_messages": [],
        "path": None,
    }
    if set(parameters) == {"self", "args", "kwargs"}:
        return kind("told very-secret-key")
    return kind(**{name: known[name] for name in parameters if name in known})


def kinds(sdk: ModuleType) -> Iterator[type[Exception]]:
    """Every exception of the SDK's tree. (The checks of webhooks, which raise ValueError, are not in it.)"""
    root = getattr(sdk, "OpenAIError", None) or sdk.AnthropicError
    found: set[type[Exception]] = set()
    for module in (sdk, sdk._exceptions):
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, root):
                found.add(value)
    yield from sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize(
    "kind", [*kinds(openai), *kinds(anthropic)], ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_every_exception_of_the_sdks_is_mapped(kind: type[Exception]) -> None:
    error = translate(made(kind), WHERE)
    # None falls through to the last resort, which is for exceptions that nobody knows.
    assert isinstance(error, errors.PraisonError)
    assert f"{kind.__name__}:" not in str(error), error
    assert "very-secret-key" not in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ReadError("gone"), errors.UnreachableError),
        (httpx2.RemoteProtocolError("gone"), errors.UnreachableError),
        (httpx2.ConnectError("refused"), errors.UnreachableError),
        (httpx2.ReadTimeout("slow"), errors.TurnTimeoutError),
        (httpx2.DecodingError("bad gzip"), errors.MalformedStreamError),
        (ConnectionResetError(), errors.UnreachableError),
        (TimeoutError(), errors.TurnTimeoutError),
        (json.JSONDecodeError("x", "y", 0), errors.MalformedStreamError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), errors.MalformedStreamError),
        (AttributeError("no choices"), errors.MalformedStreamError),
    ],
)
def test_what_streams_raise_below_the_sdk(error: Exception, kind: type[Exception]) -> None:
    assert type(translate(error, WHERE)) is kind


def known(kind: type[Exception]) -> set[str]:
    """The names of the errors of ours that are of this kind."""
    below = [each for each in kind.__subclasses__() if each.__module__.startswith("praison_nb.")]
    return {kind.__name__}.union(*(known(each) for each in below))


def test_every_error_of_ours_is_in_the_tree() -> None:
    for module in pkgutil.walk_packages(praison_nb.__path__, "praison_nb."):
        importlib.import_module(module.name)
    drawn = errors.__doc__ or ""
    assert "RateLimitError" in known(errors.PraisonError)
    for name in known(errors.PraisonError):
        assert re.search(rf"\b{name}\b", drawn), f"{name} is missing from the tree in the docstring"


@pytest.mark.parametrize(
    "key",
    ["sk-proj-abcdefgh12345678", "sk-ant-api03-abc_def-1234567", "AIzaSyA1234567890abc", "gsk_abcdefgh1234"],
)
def test_keys_are_redacted(key: str) -> None:
    assert key not in str(errors.PraisonError(f"Incorrect API key provided: {key}. Bearer {key}"))
    assert key not in redact(f'{{"key": "{key}"}}')


def test_an_error_is_one_line_for_ipython() -> None:
    error = errors.RateLimitError("Slow\n  down.", status_code=429, retry_after=2.0)
    assert error._render_traceback_() == ["RateLimitError: Slow down."]


def test_what_a_server_says_of_itself_drives_no_terminal() -> None:
    error = errors.ServerError("\x1b[2Jgone\u202e \x9b31m")
    assert str(error) == "[2Jgone 31m"
    assert error._render_traceback_() == ["ServerError: [2Jgone 31m"]


def test_a_secret_across_the_cut_is_hidden_whole() -> None:
    told = openai.APIError("x" * 290 + "very-secret-key", REQUEST, body=None)
    assert "very" not in str(translate(told, WHERE))


@pytest.mark.parametrize(
    "cause",
    ["refused by http://user:hunter22@127.0.0.1:1/v1", "hunter22", "user%3Ahunter22", "user:hunter22"],
)
def test_a_password_in_the_address_is_never_shown(cause: str) -> None:
    where = Server("S", "http://user:hunter22@127.0.0.1:1/v1", "m", api_key="very-secret-key").where
    for error in (
        OSError(cause),
        json.JSONDecodeError(cause, "y", 0),
        openai.APIError(cause, REQUEST, body=None),
    ):
        assert "hunter22" not in str(translate(error, where))
    assert "http://127.0.0.1:1/v1" in str(translate(OSError(cause), where))
    assert "hunter22" not in repr(where) and "secret" not in repr(where)
    config = LocalAgentConfig(model="m", base_url=where.base_url)
    assert "hunter22" not in repr(config)
