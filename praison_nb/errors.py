"""Every error that praison_nb raises, in one tree.

    PraisonError
    ├── ConfigError                a setting that cannot work; the message names the field
    │   └── MissingKeyError        no API key; the message names the variable
    ├── ProviderError              the model's server said no, or could not be understood
    │   ├── AuthenticationError    401, 403
    │   ├── ModelNotFoundError     404: no such model, agent or session
    │   ├── RateLimitError         429; `retry_after` in seconds where the server gave it
    │   ├── ContextTooLongError    the conversation no longer fits the model
    │   ├── RequestRejectedError   any other 4xx
    │   ├── ServerError            5xx
    │   ├── UnreachableError       refused, unknown host, cut off
    │   ├── TurnTimeoutError       no answer in time
    │   └── MalformedStreamError   the answer was not what the protocol allows
    ├── EmbeddedModelError         the embedded model cannot be had, or its process ended
    ├── BackendError               a user's own backend raised
    ├── SessionError               the session ended, or refuses to go on (refusal, budget, terminated)
    ├── LedgerError                the ledger cannot be used (praison_nb.usage)
    ├── StoreError                 the store of sessions cannot be used (praison_nb.store)
    └── TurnStopped                somebody stopped the turn that a script was waiting for

The message is one line that says what to do next. `turn` is the Turn as it was, with its text and usage,
wherever one was under way. Nothing here carries a key: providers' texts go through `redact` first.

>>> from praison_nb.errors import RateLimitError
>>> str(RateLimitError("Too many requests. Try again in 20 s.", retry_after=20.0))
'Too many requests. Try again in 20 s.'
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import plain

if TYPE_CHECKING:
    from .turn import Turn


class PraisonError(Exception):
    """The root. `str(error)` is one line; `turn` is the Turn so far, or None when none was under way."""

    turn: Turn | None = None

    def __init__(self, message: str) -> None:
        # What a server says of itself may drive a terminal as well as what a model says.
        super().__init__(redact(plain.clean(" ".join(message.split()))))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the one line. Our frames would tell a user nothing."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(PraisonError):
    """A setting that cannot work."""


class MissingKeyError(ConfigError):
    """No API key was found."""


class ProviderError(PraisonError):
    """The model's server said no. `status_code` is its HTTP status, or None when there was no response."""

    def __init__(
        self, message: str, *, status_code: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after


class AuthenticationError(ProviderError):
    """The key is wrong, or may not do this."""


class ModelNotFoundError(ProviderError):
    """The server does not know this model, agent or session."""


class RateLimitError(ProviderError):
    """Too many requests, or a quota is used up."""


class ContextTooLongError(ProviderError):
    """The conversation no longer fits the model's context."""


class RequestRejectedError(ProviderError):
    """The server understood the request and will not do it."""


class ServerError(ProviderError):
    """The server failed."""


class UnreachableError(ProviderError):
    """The server could not be reached, or the connection was cut."""


class TurnTimeoutError(ProviderError):
    """The server did not answer in time."""


class MalformedStreamError(ProviderError):
    """The answer was not what the protocol allows."""


class EmbeddedModelError(PraisonError):
    """The embedded model cannot be had, or its process ended."""


class BackendError(PraisonError):
    """A user's own backend raised; the cause is chained."""


class SessionError(PraisonError):
    """The session ended, or refuses to go on."""


class TurnStopped(PraisonError):
    """The turn was stopped; `turn` has what there was."""


# What no name is made of: a long run of letters and digits. (Longer where no digit gives it away.)
_RUN = r"(?:(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}|[A-Za-z0-9]{24,})"
# Keys as the providers write them. `pk_customer_id`, `xai-explainability` and "Bearer of" are none. Every
# part that can be tried at many places is bounded, so that no text takes long.
_SECRET = re.compile(
    r"(?<=[Bb]earer )(?![A-Za-z][a-z]{0,13}(?:-[a-z]{1,13}){0,3}(?![\w~+/=-]))[\w.~+/=-]*[\w~+/=-]"
    r"|AIza[\w-]{10,}"
    r"|(?<![A-Za-z])(?:"
    r"sk-(?:ant|proj|or|svcacct|admin)-[\w-]{8,}"
    r"|gsk_(?=[A-Za-z]*\d)[A-Za-z0-9]{12,}"
    rf"|(?:[spr]k|gsk|xai|hf|r8|gh[oprsu]|github_pat)[-_](?:[A-Za-z0-9]{{1,12}}[-_]){{0,3}}{_RUN}[\w-]*"
    # One that has `-` and `_` in it has no such run: letters, cases and digits are mixed within its parts.
    r"|[spr]k-(?=[\w-]{0,80}[A-Za-z]\d)(?=[\w-]{0,80}(?:\d[A-Za-z]|[a-z][A-Z]))[\w-]{20,}"
    # Longer than a date.
    r"|[spr]k-(?:[A-Za-z]{1,12}[-_]){0,3}[A-Za-z]{0,12}\d{9,}[\w-]*"
    r")",
    re.ASCII,
)


def redact(text: str, *secrets: str) -> str:
    """`text` with everything that looks like a key, and each of `secrets`, replaced by "[key]".

    >>> redact("Incorrect API key provided: sk-abcdefgh12345678.")
    'Incorrect API key provided: [key].'
    """
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[key]")
    return _SECRET.sub("[key]", text)
