"""The mapping of the SDKs' exceptions is whole, and says nothing secret."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import pkgutil
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import praison_nb
from praison_nb import LocalAgentConfig, errors
from praison_nb.backends.local.providers import Server
from praison_nb.backends.sdk_errors import Where, error_in_answer, is_retryable, retry_after, translate
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
            # isinstance would ask lazy clients for their class, for which they import all that they need.
            if issubclass(type(value), type) and issubclass(value, root):
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


def refused(status: int, said: Any, **headers: str) -> errors.PraisonError:
    """What the SDK's exception for this answer becomes."""
    kind = headers.pop("kind", "application/json")
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    response = httpx2.Response(
        status, request=REQUEST, content=body, headers={"content-type": kind, **_dashed(headers)}
    )
    return translate(client()._make_status_error_from_response(response), WHERE)


@functools.cache
def client() -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1")


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": text, **more}}


PAGE = "<html>\n<head><title>403 Forbidden</title></head><body><h1>Blocked</h1></body></html>"
RAW = {"message": "Provider returned error", "code": 400, "metadata": {"raw": "no tool_choice here"}}


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (400, [message("Bad schema.", code=400, status="INVALID_ARGUMENT")], "Bad schema."),
        (404, {"detail": "Not Found"}, "Not Found"),
        (
            422,
            {"detail": [{"loc": ["body", "messages", 0], "msg": "field required"}]},
            "messages.0: field req",
        ),
        (422, {"message": {"detail": [{"loc": ["body", "n"], "msg": "too big"}]}}, "n: too big"),
        (400, {"error": RAW}, "no tool_choice here"),
        (400, {"error": {**RAW, "metadata": {"raw": json.dumps(message("inner"))}}}, "(inner)"),
        (401, {"error": "invalid_client", "error_description": "The client is gone"}, "The client is gone"),
        (400, {"error": "model requires more memory"}, "model requires more memory"),
        (400, {"error": ["one", "two"]}, "one; two"),
        (400, {"errors": [{"message": "from a worker"}], "success": False}, "from a worker"),
        (400, {"Message": "no such thing", "__type": "ValidationException"}, "no such thing"),
        (
            200,
            {"choices": None, "base_resp": {"status_code": 1004, "status_msg": "login fail"}},
            "login fail",
        ),
        (400, {"title": "Bad", "detail": "The reason", "status": 400}, "The reason"),
        (400, {"fault": {"faultstring": "over the line"}}, "over the line"),
        (
            400,
            message('gateway: Error - {"error": {"message": "the deep reason"}}'),
            "gateway: Error: the deep",
        ),
        (400, message("bad value", param="temperature"), "temperature: bad value"),
        (500, {"error": {"type": "weird_error"}}, "weird_error"),
        (500, "plain words", "plain words"),
        (502, PAGE, "403 Forbidden"),
        (400, {"error": {"message": None}, "message": "outside"}, "outside"),
    ],
)
def test_the_reason_is_found_wherever_it_stands(status: int, said: Any, told: str) -> None:
    error = refused(status, said)
    assert told in str(error) and "{" not in str(error) and "<" not in str(error), str(error)


CONTEXT = [
    "Input tokens exceed the configured limit of 272000 tokens. Please reduce the length of the messages.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Please reduce the length of the messages or completion.",
    "The decoder prompt (length 40960) is longer than the maximum model length of 32768.",
    "Input is too long for requested model.",
    "This model's maximum prompt length is 131072 but the request contains 500000 tokens.",
    "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000",
    "Range of input length should be [1, 129024]",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    "the request exceeds the available context size, try increasing it",
    "Prompt contains 50000 tokens, too large for model with 32768 maximum context length",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",
    "Your request exceeded model token limit: 262144 (requested: 300000)",
    "The input (200000 tokens) is longer than the model's context length (32768 tokens).",
    "prompt token count of 130000 exceeds the limit of 128000",
    "too many tokens: total number of tokens in the prompt exceeds the limit",
    "Request too large for m on tokens per min (TPM): Limit 10000, Requested 15000.",
]
NO_CONTEXT = [
    (400, "max_tokens is too large: 100000. This model supports at most 16384 completion tokens."),
    (400, "max_tokens (100000) exceeds the maximum number of tokens allowed (64000)"),
    (400, "Invalid 'input[3].name': string too long. Expected a string with maximum length 64."),
    (400, "messages.0.content.1: image exceeds 5 MB maximum"),
    (429, "This request would exceed the rate limit of 40,000 input tokens per minute."),
    (400, "Invalid value for 'temperature'."),
]


@pytest.mark.parametrize("words", CONTEXT)
@pytest.mark.parametrize("status", [400, 413, 500])
def test_a_context_that_is_full_in_every_servers_words(words: str, status: int) -> None:
    assert type(refused(status, message(words))) is errors.ContextTooLongError


@pytest.mark.parametrize(("status", "words"), NO_CONTEXT)
def test_what_only_sounds_like_a_full_context(status: int, words: str) -> None:
    assert type(refused(status, message(words))) is not errors.ContextTooLongError


QUOTA = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("status", "said", "kind", "again"),
    [
        (400, message("x", code="context_length_exceeded"), errors.ContextTooLongError, False),
        (400, message("x", type="exceed_context_size_error"), errors.ContextTooLongError, False),
        (413, "<html><title>413 Request Entity Too Large</title></html>", errors.ContextTooLongError, False),
        (429, message(QUOTA, code="insufficient_quota"), errors.RateLimitError, False),
        (429, message(QUOTA), errors.RateLimitError, False),
        (402, message("Insufficient credits"), errors.RateLimitError, False),
        (400, message("Your credit balance is too low to access the API."), errors.RateLimitError, False),
        (403, message("x", type="billing_error"), errors.RateLimitError, False),
        (429, message("Rate limit reached", code="rate_limit_exceeded"), errors.RateLimitError, True),
        (429, message("slow down"), errors.RateLimitError, True),
        (400, message("x", code="model_not_found"), errors.ModelNotFoundError, False),
        (400, message("gpt-4o-mini is not a valid model ID"), errors.ModelNotFoundError, False),
        (400, message("Model Not Exist"), errors.ModelNotFoundError, False),
        (404, message("model: claude-x", type="not_found_error"), errors.ModelNotFoundError, False),
        (404, {"error": 'model "x" not found, try pulling it first'}, errors.ModelNotFoundError, False),
        (404, message("x", code="DeploymentNotFound"), errors.ModelNotFoundError, False),
        (404, message("No endpoints found for gpt-4o-mini."), errors.ModelNotFoundError, False),
        (404, message("No endpoints found that support tool use."), errors.RequestRejectedError, False),
        (400, message("API key not valid.", status="INVALID_ARGUMENT"), errors.AuthenticationError, False),
        (400, message("x", code="invalid_api_key"), errors.AuthenticationError, False),
        (401, "", errors.AuthenticationError, False),
        (400, message("No tools for this model."), errors.RequestRejectedError, False),
        (409, message("locked"), errors.RequestRejectedError, True),
        (500, message("oops"), errors.ServerError, True),
        (501, message("not here"), errors.ServerError, False),
        (529, message("Overloaded", type="overloaded_error"), errors.ServerError, True),
        (504, "<html><title>504 Gateway Time-out</title></html>", errors.TurnTimeoutError, True),
        (407, "", errors.UnreachableError, False),
    ],
)
def test_codes_come_before_words_and_words_before_the_status(
    status: int, said: Any, kind: type[errors.ProviderError], again: bool
) -> None:
    error = refused(status, said)
    assert type(error) is kind, str(error)
    assert is_retryable(error) is again
    if kind is errors.RateLimitError:
        assert ("Try again" in str(error)) is again


@pytest.mark.parametrize(
    "said", [{"detail": "Not Found"}, "404 page not found", "", PAGE, message("File Not Found")]
)
def test_an_address_that_is_wrong_is_no_model_that_is_missing(said: Any) -> None:
    error = refused(404, said)
    assert type(error) is errors.RequestRejectedError and "/v1" in str(error) and "no model" not in str(error)


@pytest.mark.parametrize(
    ("said", "is_key"),
    [
        (message("Country, region, or territory not supported"), False),
        (PAGE, False),
        (message("Your request was flagged."), False),
        (message("Your API key has no access to this."), True),
        (message("Authentication Fails"), True),
    ],
)
def test_a_403_may_be_about_the_key_or_not(said: Any, is_key: bool) -> None:
    assert ("refused the key" in str(refused(403, said))) is is_key


@pytest.mark.parametrize(
    ("headers", "said", "seconds"),
    [
        ({"retry_after": "7"}, "x", 7),
        ({"retry_after_ms": "1500", "retry_after": "9"}, "x", 1.5),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, "x", 0),
        ({"retry_after": "soon"}, "x", None),
        ({"retry_after": "-3"}, "x", None),
        ({"retry_after": "nan"}, "x", None),
        ({}, "Rate limit reached. Please try again in 1m26.4s. Visit us.", 86.4),
        ({}, "Rate limit reached. Please try again in 850ms.", 0.85),
        ({}, "Please retry after 12 seconds", 12),
        ({}, "Please try again in a while", None),
    ],
)
def test_when_to_ask_again(headers: dict[str, str], said: str, seconds: float | None) -> None:
    error = refused(429, message(said), **headers)
    assert isinstance(error, errors.RateLimitError) and is_retryable(error)
    assert error.retry_after == retry_after(error) == (None if seconds is None else pytest.approx(seconds))


def test_when_to_ask_again_as_a_date() -> None:
    then = datetime.now(UTC) + timedelta(seconds=100)
    error = refused(503, message("x"), retry_after=format_datetime(then, usegmt=True))
    assert 90 < (retry_after(error) or 0) <= 100


@pytest.mark.parametrize(
    ("status", "seconds", "text"),
    [
        (503, "86400", "Ask again in 86400 s."),
        (503, "-5", "Ask again. "),
        (503, "0", "Ask again. "),
        (429, "86400", "Try again in 86400 s, or"),
        (429, "-5", "Try again later, or"),
        (429, "0", "Try again, or"),
    ],
)
def test_the_time_that_a_server_asks_for_is_in_the_message(status: int, seconds: str, text: str) -> None:
    assert text in str(refused(status, message("x"), retry_after=seconds))


def test_a_quota_of_a_minute_is_one_that_comes_back() -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    error = refused(429, [message(QUOTA, status="RESOURCE_EXHAUSTED", details=[detail])])
    assert is_retryable(error) and retry_after(error) == 34


@pytest.mark.parametrize(("wish", "again"), [("true", True), ("false", False)])
def test_a_server_may_not_want_another_attempt(wish: str, again: bool) -> None:
    assert is_retryable(refused(503, message("x"), x_should_retry=wish)) is again
    assert not is_retryable(refused(401, message("x"), x_should_retry=wish))


@pytest.mark.parametrize(
    ("said", "kind", "again"),
    [
        ({"message": "Overloaded", "type": "overloaded_error"}, errors.ServerError, True),
        ({"message": "Rate limited", "code": 429}, errors.RateLimitError, True),
        ({"message": "gone", "code": 502, "metadata": {"raw": "upstream"}}, errors.ServerError, True),
        ({"message": "x", "code": "context_length_exceeded"}, errors.ContextTooLongError, False),
        ({"message": "prompt is too long"}, errors.ContextTooLongError, False),
        ({"code": "insufficient_quota", "message": QUOTA}, errors.RateLimitError, False),
        ("the model ran away", errors.ServerError, False),
        (None, errors.ServerError, False),
        ({"type": "invalid_request_error", "message": "no"}, errors.RequestRejectedError, False),
    ],
)
def test_an_error_in_the_place_of_an_answer(said: Any, kind: type[Exception], again: bool) -> None:
    error = error_in_answer(said, WHERE)
    assert type(error) is kind and is_retryable(error) is again


@pytest.mark.parametrize(
    "said",
    [
        "x" * 10_000_000,
        "{" * 1_000_000,
        "<!doctype html>" + "<p" * 1_000_000,
        "<html><script>" * 100_000,
        json.dumps({"error": {"message": "input " * 1_000_000}}),
        json.dumps({"errors": [{"message": f"m{n}"} for n in range(100_000)]}),
        "prompt" * 1_000_000,
        '{"error":' * 900 + "1" + "}" * 900,
    ],
)
def test_whatever_a_server_says_is_short_and_soon_read(said: str) -> None:
    began = time.process_time()
    error = refused(400, said)
    assert len(str(error)) < 700 and time.process_time() - began < 3


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
