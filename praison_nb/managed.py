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
    return a str, `stream` may be a plain generator.

    Used where present, and not required: `interrupt()`, `update_agent(**fields)`, `list_sessions(**options)`.
    """

    async def execute(self, prompt: str, **kwargs: Any) -> str:
        """Send `prompt` and return the whole answer."""
        ...

    def stream(self, prompt: str, **kwargs: Any) -> AsyncIterator[str]:
        """Send `prompt` and yield the answer in pieces."""
        ...

    def reset_session(self) -> None:
        """Forget the session: the next prompt begins a new one."""
        ...

    def reset_all(self) -> None:
        """Forget everything that was created, the session included."""
        ...

    def retrieve_session(self) -> dict[str, Any]:
        """The session as `{"id", "status", "title", "usage": {"input_tokens", "output_tokens"}}`."""
        ...
