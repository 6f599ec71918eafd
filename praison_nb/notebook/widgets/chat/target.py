"""Which conversation `chat(value)` means."""

from __future__ import annotations

from typing import Any

from .... import backends
from ....backends.session import Session
from ....errors import ConfigError
from ...conversations.conversation import Conversation
from ...conversations.registry import Conversations


def conversation_of(value: Any, extension: Any) -> Conversation:
    """The conversation of a session's name (None: "main"), a backend, an Agent, or a Session that one has.
    Raises ConfigError."""
    conversations: Conversations = extension.conversations
    if isinstance(value, Session):
        found = next((each for each in conversations if each.backend.session is value), None)
        if found is None:
            raise ConfigError(
                "This session belongs to no conversation of the notebook: give chat() its backend."
            )
        return found
    if value is None or isinstance(value, str):
        existing = next((each for each in conversations if each.name == (value or "main")), None)
        return existing or _begin(value, extension)
    backend = backends.as_backend(value)
    existing = next((each for each in conversations if each.backend is backend), None)
    return existing or conversations.get(_free_name(conversations), backend, is_named=False)


def _begin(name: str | None, extension: Any) -> Conversation:
    """A conversation as a plain `%%agent` would begin it, or one of an earlier kernel."""
    magics, conversations = extension.magics, extension.conversations
    options = {"model": magics.model, "system": magics.system, "max_turns": magics.max_turns}
    kept = {key: option for key, option in options.items() if option}
    backend = extension.backend(magics.backend)
    begun: Conversation = conversations.get(name or "main", backend, is_named=bool(name), **kept)
    return begun


def _free_name(conversations: Conversations) -> str:
    taken = {each.name for each in conversations}
    names = (f"chat-{i}" if i > 1 else "chat" for i in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
