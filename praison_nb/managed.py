"""The contract for backends, at the import path that users of PraisonAI know.

A backend of your own is a class with these five methods, sync or async:

>>> class Echo:
...     def execute(self, prompt, **kwargs):
...         return prompt
...     def stream(self, prompt, **kwargs):
...         yield prompt
...     def reset_session(self): ...
...     def reset_all(self): ...
...     def retrieve_session(self):
...         return {"id": "echo-1", "status": "idle"}
>>> from praison_nb import ManagedBackendProtocol
>>> isinstance(Echo(), ManagedBackendProtocol)
True
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from .session import SessionInfo, Status, Usage

__all__ = ["ManagedBackendProtocol", "SessionInfo", "Status", "Usage"]


@runtime_checkable
class ManagedBackendProtocol(Protocol):
    """What `Agent`, `%%agent` and all views can run. The methods may be plain ones too: `execute` may
    return a str, `stream` may be a plain generator. What they raise ends the turn, as its error.

    `kwargs` are for callers of the object itself, such as PraisonAI: praison_nb gives the prompt alone, so an
    object of your own may have them or not.

    Used where present, and not required: `interrupt()` when a turn is stopped; `update_agent(**fields)`, with
    the fields to change by name; `list_sessions(**options)`, with what `Backend.list_sessions` was given.

    >>> from praison_nb import ManagedBackendProtocol, ScriptedBackend
    >>> isinstance(ScriptedBackend([]), ManagedBackendProtocol), isinstance("text", ManagedBackendProtocol)
    (True, False)
    """

    async def execute(self, prompt: str, **kwargs: Any) -> str:
        """Send `prompt` and return the whole answer, Markdown. Used where `stream` raises
        NotImplementedError or returns None."""
        ...

    def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
        """Send `prompt` and yield the answer in pieces, which are joined as they are. An awaitable of an
        iterator will do too."""
        ...

    def reset_session(self) -> None:
        """Forget the session: the next prompt begins a new one."""
        ...

    def reset_all(self) -> None:
        """Forget everything that was created, the session included."""
        ...

    def retrieve_session(self) -> dict[str, Any]:
        """The session as `{"id": str, "status": str, "title": str, "usage": {"input_tokens": int,
        "output_tokens": int}}`. `status` is one of `praison_nb.session.Status`; the counts are of the whole
        session, so that a turn used what they grew by. What is missing is taken for empty; without tokens, or
        with counts that do not grow, those of a turn are estimated."""
        ...
