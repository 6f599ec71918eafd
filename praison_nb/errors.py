"""Every error that praison_nb raises, in one tree.

    PraisonError
    ├── ConfigError                a setting that cannot work; the message names the field
    │   └── MissingKeyError        no API key; the message names the variable
    ├── ProviderError              the model's server refused, or could not be understood
    │   ├── AuthenticationError    401, 403: not with this key, or not for this user
    │   ├── ModelNotFoundError     404: no such model, agent or session
    │   ├── RateLimitError         429, 402: too many requests, or what the key may spend is used up
    │   ├── ContextTooLongError    the conversation no longer fits the model
    │   ├── RequestRejectedError   any other 4xx
    │   ├── ServerError            5xx
    │   ├── UnreachableError       refused, unknown host, cut off
    │   ├── TurnTimeoutError       no answer in time
    │   └── MalformedStreamError   the answer was not what the protocol allows
    ├── EmbeddedModelError         the embedded model cannot be had, or its process ended
    ├── BackendError               a user's own backend raised
    ├── InvalidAnswerError         the answer has not the type that was asked for
    ├── SessionError               the session ended, or refuses to go on (refusal, budget, terminated)
    ├── LedgerError                the ledger cannot be read or written
    ├── StoreError                 the store of sessions cannot be read or written
    └── TurnStopped                somebody stopped the turn that a script was waiting for

The message is one line that says what to do next. `turn` is the Turn as it was, with its text and usage,
wherever one was under way. Nothing here carries a key: each message goes through `redaction.redact`.

>>> from praison_nb.errors import RateLimitError
>>> str(RateLimitError("Too many requests. Try again in 20 s.", retry_after=20.0))
'Too many requests. Try again in 20 s.'
"""

from __future__ import annotations

from typing import Any

from .redaction import redact
from .text import shorten, strip_control_chars

_LONGEST = 20_000
"""Characters of a message."""


class PraisonError(Exception):
    """The root. `str(error)` is one line; `turn` is the Turn so far, or None when none was under way.

    >>> from praison_nb import Agent, PraisonError, ScriptedBackend
    >>> from praison_nb.errors import RateLimitError
    >>> try:
    ...     Agent("helper", ScriptedBackend([RateLimitError("Too many requests.")])).start("Hi")
    ... except PraisonError as error:
    ...     print(error, error.turn.status)
    Too many requests. error
    """

    turn: Any = None

    def __init__(self, message: str) -> None:
        # What a server says of itself may drive a terminal as well as what a model says.
        line = redact(strip_control_chars(" ".join(message[: 2 * _LONGEST].split())))
        super().__init__(shorten(line, _LONGEST) if len(line) > _LONGEST else line)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the one line. The package's own frames are of no use to a user."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(PraisonError):
    """A setting that cannot work."""


class MissingKeyError(ConfigError):
    """No API key was found."""


class ProviderError(PraisonError):
    """The model's server refused, or could not be understood. `status_code` is its HTTP status, None when
    there was no response; `retry_after` is for how many seconds it wants no more requests, None where it did
    not say; `is_retryable` tells whether the same request may succeed a little later."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retry_after: float | None = None,
        is_retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after
        self.is_retryable = is_retryable


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


class InvalidAnswerError(PraisonError):
    """The answer has not the type that was asked for, twice; `turn` has its text."""


class SessionError(PraisonError):
    """The session ended, or refuses to go on."""


class LedgerError(PraisonError):
    """The ledger cannot be read or written. The message says why, and what to do."""


class StoreError(PraisonError):
    """The store of sessions cannot be read or written. The message says why, and what to do."""


class TurnStopped(PraisonError):
    """The turn was stopped; `turn` has what there was."""
