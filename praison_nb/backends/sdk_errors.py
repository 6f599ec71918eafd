"""The providers' exceptions, mapped to those of the package. The `openai` and `anthropic` SDKs name theirs
alike, so one mapping serves both; what a stream raises below the SDK (httpx, JSON, UTF-8) is here too."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
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
    ProviderError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
    TurnTimeoutError,
    UnreachableError,
)
from ..redaction import redact
from ..text import shorten
from . import error_reasons, network_errors
from .error_kinds import Kind, kind_of, status_in
from .error_reasons import MOST_READ, Reason

log = logging.getLogger(__name__)


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
        return shorten(redact(text.strip()[:MOST_READ]), 300)


_USER = re.compile(r"//[^/\s]*@")


def translate(error: BaseException, where: Where) -> PraisonError:
    """The PraisonError that says what `error` means and what to do."""
    if isinstance(error, PraisonError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 300 <= status < 400:
        return _redirected(status, error, where)
    reason = error_reasons.find(_said(error))
    text = where.excerpt(reason.text or ", ".join(reason.codes) or str(error) or type(error).__name__)
    # An error inside a stream carries the response's own status, which is 200.
    if isinstance(status, int) and status >= 400:
        wait = retry_after(error)
        reason = replace(reason, retry_after=reason.retry_after if wait is None else wait)
        return _problem(status, reason, text, where, _headers(error).get("x-should-retry", ""))
    if names & {"CredentialsError", "SubjectTokenProviderError", "WorkloadIdentityError"}:
        return MissingKeyError(f"No usable credentials for {where.server}: {text} Set {where.key_variable}.")
    if problem := network_errors.explain(error, where.server, where.base_url, where.excerpt):
        return problem
    if names & {"APIResponseValidationError", "DecodingError"} or isinstance(
        error, json.JSONDecodeError | UnicodeDecodeError
    ):
        return _malformed(where, text)
    if names & {"LengthFinishReasonError", "ContentFilterFinishReasonError"}:
        return RequestRejectedError(f"{where.server} ended the answer early: {text}")
    if "APIError" in names:
        return error_in_answer(_said(error), where)
    if names & {"OpenAIError", "AnthropicError"}:
        return ConfigError(f"{where.server}: {text}")
    return _malformed(where, f"{type(error).__name__}: {text}")


def error_in_answer(body: object, where: Where) -> PraisonError:
    """The PraisonError for what a server said in the place of an answer: an error's JSON, or text."""
    reason = error_reasons.find(body)
    text = where.excerpt(reason.text or ", ".join(reason.codes) or str(body))
    return _problem(status_in(reason), reason, text, where)


def no_api(excerpt: str, where: Where, status: int | None) -> PraisonError:
    """The PraisonError for an answer that is no API's: `excerpt` is its beginning."""
    reason = error_reasons.find(excerpt)
    if not reason.is_page:
        return _malformed(where, where.excerpt(reason.text or excerpt))
    title = where.excerpt(reason.text)
    return MalformedStreamError(
        f"{where.address} is no API: it answers with a web page ({title}). Check base_url, which ends in /v1 "
        "at most servers, and whether a login or a proxy stands before it.",
        status_code=status,
    )


def is_retryable(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, ProviderError) and error.is_retryable


def unchained(problem: PraisonError) -> PraisonError:
    """`problem` without what it came of: an SDK's exception holds the request with its key, and what the
    server said of it. To be raised where no exception is being handled, which would be its context."""
    log.debug("a request failed: %s", problem, exc_info=problem.__cause__ or problem.__context__)
    problem.__cause__ = problem.__context__ = None
    return problem


def _problem(
    status: int | None, reason: Reason, text: str, where: Where, should_retry: str = ""
) -> ProviderError:
    """`should_retry` is "true" or "false" where the server says it in a header."""
    server, model, number = where.server, where.model, f" ({status})" if status else ""
    error: type[ProviderError] = RequestRejectedError
    again = False
    match kind_of(status, reason, model):
        case Kind.KEY:
            error = AuthenticationError
            line = f"{server} refused the key{number}. Check {where.key_variable}. It said: {text}"
        case Kind.FORBIDDEN:
            error = AuthenticationError
            line = f"{server} does not allow this{number}: {text}"
        case Kind.MODEL:
            error = ModelNotFoundError
            line = (
                f"{server} has no model {model!r}{number}. Choose another one with -m or model=…. "
                f"It said: {text}"
            )
        case Kind.PATH:
            line = (
                f"{server} has nothing at this address{number}: is base_url right? At most servers it ends "
                f"in /v1; it is {where.address}. It said: {text}"
            )
        case Kind.QUOTA:
            error = RateLimitError
            line = (
                f"What this key may spend at {server} is used up{number}: look at its plan and billing. "
                f"It said: {text}"
            )
        case Kind.RATE:
            error, again = RateLimitError, True
            when = "Try again later" if reason.retry_after is None else f"Try again{_in(reason)}"
            line = f"{server} is rate limiting this key{number}. {when}, or ask less at once. It said: {text}"
        case Kind.CONTEXT:
            error = ContextTooLongError
            line = (
                f"The conversation no longer fits the context of {model}. Start over with --new (or "
                f"reset_session()), or choose a model with more context. {server} said: {text}"
            )
        case Kind.TIMEOUT:
            error, again = TurnTimeoutError, True
            line = f"{server} did not answer in time{number}. Ask again. It said: {text}"
        case Kind.PROXY:
            error, line = UnreachableError, network_errors.proxy_wants_password(where.base_url)
        case Kind.SERVER:
            error, again = ServerError, status not in (501, 505)
            line = f"{server} failed{number}. Ask again{_in(reason)}. It said: {text}"
        case Kind.REJECTED:
            again = status in (409, 425)
            line = f"{server} rejected the request{number}: {text}"
        case None:
            error, line = ServerError, f"{server} sent an error in place of the answer: {text}"
    # A server may ask for another attempt, where one can help at all.
    again = again if should_retry not in ("true", "false") or not again else should_retry == "true"
    wait = reason.retry_after if again else None
    return error(line, status_code=status, retry_after=wait, is_retryable=again)


def _in(reason: Reason) -> str:
    return f" in {reason.retry_after:.0f} s" if reason.retry_after else ""


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


def _malformed(where: Where, text: str) -> MalformedStreamError:
    return MalformedStreamError(
        f"{where.server} sent an answer that cannot be understood ({text}). Ask again; if it stays, check "
        f"that {where.address or 'the address'} is an API of the right kind."
    )


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, None where it says nothing."""
    if isinstance(error, ProviderError):
        return error.retry_after
    headers = _headers(error)
    thousandths = error_reasons.seconds(headers.get("retry-after-ms"))
    if thousandths is not None:
        return thousandths / 1000
    text = headers.get("retry-after", "")
    if (number := error_reasons.seconds(text)) is not None:
        return number
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _headers(error: BaseException) -> Mapping[str, str]:
    return getattr(getattr(error, "response", None), "headers", None) or {}


def _said(error: BaseException) -> Any:
    """What the server said: the SDKs keep a part of it in `body`."""
    body = getattr(error, "body", None)
    try:
        text = getattr(error, "response", None).text  # type: ignore[union-attr]
    except Exception:
        # No response, or one that was not read.
        text = ""
    return text if text and getattr(error, "status_code", None) not in (None, 200) else body
