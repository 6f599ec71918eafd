"""The kernel's conversations by name, and the backend that each one runs on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import backends
from ..backends.base import Backend
from ..backends.providers import PROVIDERS, is_embedded
from ..errors import ConfigError
from ..run import Run


@dataclass
class Conversation:
    """One name's conversation. `asked_for` is the backend that it was made for."""

    name: str
    asked_for: Any
    backend: Backend
    runs: list[Run] = field(default_factory=list)

    @property
    def run(self) -> Run | None:
        """The last turn, None before the first."""
        return self.runs[-1] if self.runs else None


class Conversations:
    """All conversations of a kernel."""

    def __init__(self) -> None:
        self._by_name: dict[str, Conversation] = {}

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def find(self, name: str) -> Conversation:
        """The conversation `name`. Raises ConfigError that lists those there are."""
        if name not in self._by_name:
            known = ", ".join(self._by_name) or "none yet"
            raise ConfigError(f"No session {name!r}. There are: {known}.")
        return self._by_name[name]

    def get(self, name: str, backend: Any, *, new: bool = False, **options: Any) -> Conversation:
        """The conversation `name`, made on `backend` (a name, an object, or None for what this machine
        offers) when it is new. `options` (model, system, tools, max_turns; None where not given) change
        the agent of one that exists."""
        options = {key: value for key, value in options.items() if value is not None}
        if backend is None:
            backend = backend_of(options.get("model"))
        existing = self._by_name.get(name)
        if existing is not None and (backend is None or _same(existing.asked_for, backend)):
            if new:
                existing.backend.reset_session()
            if options:
                existing.backend.update_agent(**options)
            return existing
        if existing is not None and not new:
            raise ConfigError(
                f"Session {name!r} runs on {existing.backend.name}. Start it over there with --new, or give "
                "another name with -s."
            )
        made = _make(backend, options)
        if existing is not None:
            existing.backend.reset_session()
        conversation = self._by_name[name] = Conversation(name, backend, made)
        return conversation

    def forget(self, name: str) -> None:
        """Forget the conversation `name`; a turn under way is stopped."""
        if conversation := self._by_name.pop(name, None):
            conversation.backend.reset_session()

    def stop(self) -> None:
        """Stop all turns."""
        for conversation in self:
            conversation.backend.interrupt()


def backend_of(model: str | None) -> str | None:
    """The backend that a model's name speaks of, None where it says nothing.

    >>> backend_of("ollama/llama3.2"), backend_of("embedded"), backend_of("claude-sonnet-4-6")
    ('local', 'embedded', None)
    """
    if not model:
        return None
    if is_embedded(model):
        return "embedded"
    return (
        "local" if model.split("/")[0] in PROVIDERS or model.startswith(("gpt-", "o1", "o3", "o4")) else None
    )


def _same(asked_for: Any, backend: Any) -> bool:
    local = ("local", "embedded")
    both_local = isinstance(asked_for, str) and isinstance(backend, str) and {asked_for, backend} <= {*local}
    return both_local or asked_for is backend or (isinstance(backend, str) and asked_for == backend)


def _make(backend: Any, options: dict[str, Any]) -> Backend:
    if backend is None:
        return backends.choose(**options)
    if isinstance(backend, str):
        return backends.create(backend, **options)
    made = backends.as_backend(backend)
    if options:
        made.update_agent(**options)
    return made
