"""Which conversation `chat(value)` means."""

from __future__ import annotations

from typing import Any

from .... import backends
from ....backends.session import Session
from ....errors import ConfigError
from ...conversations.conversation import Conversation
from ...conversations.stored_sessions import first_free
from ...extension import Extension


def conversation_of(value: Any, extension: Extension) -> Conversation:
    """The conversation of a session's name (None: "main"), a backend, an Agent, or a Session that one has.
    Raises ConfigError."""
    conversations = extension.conversations
    if isinstance(value, Session):
        found = next((each for each in conversations if each.backend.session is value), None)
        if found is None:
            raise ConfigError(
                "This session belongs to no conversation of the notebook: give chat() its backend."
            )
        return found
    if value is None or isinstance(value, str):
        return conversations.named(value or "main") or _begin(value, extension)
    backend = backends.as_backend(value)
    existing = next((each for each in conversations if each.backend is backend), None)
    return existing or conversations.get(first_free("chat", conversations.named), backend, is_named=False)


def _begin(name: str | None, extension: Extension) -> Conversation:
    """A conversation as a plain `%%agent` would begin it, or one of an earlier kernel."""
    magics, conversations = extension.magics, extension.conversations
    options = {"model": magics.model, "system": magics.system, "max_turns": magics.max_turns}
    kept: dict[str, Any] = {key: option for key, option in options.items() if option}
    backend = extension.backend(magics.backend)
    return conversations.get(name or "main", backend, is_named=bool(name), **kept)
