"""The providers' exceptions, mapped to those of the package. The `openai` and `anthropic` SDKs name theirs
alike, so one mapping serves both; what a stream raises below the SDK (httpx, JSON, UTF-8) is here too."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from ..errors import (
    AuthenticationError,
    ConfigError,
    ContextTooLongError,
    MalformedStreamError,
    MissingKeyError,
    ModelNotFoundError,
    PraisonError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
    TurnTimeoutError,
    UnreachableError,
)
from ..redaction import redact
from ..text import shorten

log = logging.getLogger(__name__)

_CONTEXT = re.compile(
    r"context[_ ](length|window|size)|maximum context|prompt is too long|exceed_context|too many tokens", re.I
)


@dataclass(frozen=True, slots=True)
class Where:
    """What the messages need to know of the server that was asked: its name, address and key variable."""

    server: str
    base_url: str = field(repr=False)
    model: str
    key_variable: str

    @property
    def address(self) -> str:
        """`base_url` without a user's name and password."""
        return _USER.sub("//", self.base_url)

    def excerpt(self, text: str) -> str:
        """What the server or the SDK said, in one short line and without secrets."""
        # A key that is cut in two would not be known for one.
        return shorten(redact(text.strip()[:_MOST_READ]), 300)


_MOST_READ = 4000
"""Characters of what a server says: it may answer with a whole page."""
_USER = re.compile(r"//[^/\s]*@")


def translate(error: BaseException, where: Where) -> PraisonError:
    """The PraisonError that says what `error` means and what to do."""
    if isinstance(error, PraisonError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    text = where.excerpt(_server_message(error))
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 300 <= status < 400:
        return _redirected(status, error, where)
    # An error inside a stream carries the response's own status, which is 200.
    if isinstance(status, int) and status >= 400:
        return _by_status(status, error, text, where)
    if names & {"CredentialsError", "SubjectTokenProviderError", "WorkloadIdentityError"}:
        return MissingKeyError(f"No usable credentials for {where.server}: {text} Set {where.key_variable}.")
    if names & {"APITimeoutError", "TimeoutException"} or isinstance(error, TimeoutError):
        return TurnTimeoutError(
            f"{where.server} did not answer in time. Ask again, or give more time with timeout=… (seconds)."
        )
    if names & {"APIResponseValidationError", "DecodingError"} or isinstance(
        error, json.JSONDecodeError | UnicodeDecodeError
    ):
        return _malformed(where, text)
    if names & {"APIConnectionError", "TransportError", "RetryableError"} or isinstance(error, OSError):
        return UnreachableError(_unreachable(error, where))
    if names & {"LengthFinishReasonError", "ContentFilterFinishReasonError"}:
        return RequestRejectedError(f"{where.server} ended the answer early: {text}")
    if "APIError" in names:
        # An error inside the stream, after the response had begun.
        return _by_text(text, where) or ServerError(f"{where.server} failed in mid-answer: {text}")
    if names & {"OpenAIError", "AnthropicError"}:
        return ConfigError(f"{where.server}: {text}")
    return _malformed(where, f"{type(error).__name__}: {text}")


def error_in_answer(said: object, where: Where) -> PraisonError:
    """The PraisonError for what a server said in the place of an answer: an error's JSON, or text."""
    raise NotImplementedError


def unchained(problem: PraisonError) -> PraisonError:
    """`problem` without what it came of: an SDK's exception holds the request with its key, and what the
    server said of it. To be raised where no exception is being handled, which would be its context."""
    log.debug("a request failed: %s", problem, exc_info=problem.__cause__ or problem.__context__)
    problem.__cause__ = problem.__context__ = None
    return problem


def _by_status(status: int, error: BaseException, text: str, where: Where) -> PraisonError:
    if status in (401, 403):
        return AuthenticationError(
            f"{where.server} refused the key ({status}). Check {where.key_variable}. It said: {text}",
            status_code=status,
        )
    if status == 404:
        return ModelNotFoundError(
            f"{where.server} has no model {where.model!r} (404). Choose another one with -m or model=…. "
            f"It said: {text}",
            status_code=status,
        )
    if status == 429:
        wait = retry_after(error)
        again = f"Try again in {wait:.0f} s" if wait is not None else "Try again later"
        return RateLimitError(
            f"{where.server} is rate limiting this key (429). {again}, or ask less at once. It said: {text}",
            status_code=status,
            retry_after=wait,
        )
    if status in (408, 504):
        return TurnTimeoutError(f"{where.server} did not answer in time ({status}).", status_code=status)
    if status >= 500:
        line = f"{where.server} failed ({status}). Ask again. It said: {text}"
        return ServerError(line, status_code=status)
    return _by_text(text, where) or RequestRejectedError(
        f"{where.server} rejected the request ({status}): {text}", status_code=status
    )


def _redirected(status: int, error: BaseException, where: Where) -> PraisonError:
    response: Any = getattr(error, "response", None)
    location = response.headers.get("location", "")
    asked = urlsplit(str(response.request.url))
    try:
        target = urlsplit(urljoin(asked.geturl(), location))
    except ValueError:
        target = asked
    origins = [f"{url.scheme}://{url.netloc.rpartition('@')[2]}" for url in (asked, target)]
    if not location or origins[0] == origins[1]:
        line = f"{where.server} answers with a redirect ({status}) that leads nowhere. Check its address."
    else:
        line = (
            f"{origins[0]} redirects ({status}) to {shorten(origins[1], 100)}: a prompt is not sent to "
            "another host than the one that you named. If that is the right one, set base_url to its address."
        )
    return RequestRejectedError(line, status_code=status)


def _by_text(text: str, where: Where) -> PraisonError | None:
    if not _CONTEXT.search(text):
        return None
    return ContextTooLongError(
        f"The conversation no longer fits the context of {where.model}. Start over with --new (or "
        f"reset_session()), or choose a model with more context. {where.server} said: {text}",
        status_code=400,
    )


def _malformed(where: Where, text: str) -> MalformedStreamError:
    return MalformedStreamError(
        f"{where.server} sent an answer that cannot be understood ({text}). Ask again; if it stays, check "
        f"that {where.address or 'the address'} is an API of the right kind."
    )


def _unreachable(error: BaseException, where: Where) -> str:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = where.excerpt(str(cause)) or type(cause).__name__
    names = {kind.__name__ for kind in type(cause).__mro__}
    if names & {"RemoteProtocolError", "ReadError", "IncompleteRead"}:
        return f"The connection to {where.server} was cut in mid-answer; the text so far is kept. Ask again."
    return f"Cannot reach {where.server} at {where.address} ({reason}). Is it running, is the address right?"


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, None where it says nothing."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _server_message(error: BaseException) -> str:
    """What the server said."""
    body: Any = getattr(error, "body", None)
    for _ in range(2):
        if isinstance(body, dict):
            body = body.get("error", body.get("message", body))
    if isinstance(body, dict):
        kind, message = str(body.get("type") or ""), str(body.get("message") or "")
        text = message if kind in message else f"{message} ({kind})"
    else:
        text = body if isinstance(body, str) else str(error)
    return text.strip() or type(error).__name__
