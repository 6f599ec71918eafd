"""One conversation of a kernel, and the agent that it is had with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ... import backends
from ...backends.base import Backend
from ...runtime.run import Run
from ...store import StoredSession
from .day import Day
from .recorder import Recorder

AGENT_CHANGED = "begins a new session: the agent was changed"


@dataclass
class Conversation:
    """One name's conversation. `requested_backend` is a backend's name, an object, or None for what this
    machine offers. `notes` are lines for the user, shown with the next turn. `unfinished_turn` is the session
    as it was stored where its kernel did not see the end of a turn that a server went on with."""

    name: str
    requested_backend: Any
    backend: Backend
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unfinished_turn: StoredSession | None = None

    def __post_init__(self) -> None:
        self.recorder = Recorder(self)
        self.day = Day(self.runs)

    @property
    def effective_backend(self) -> Any:
        """The requested backend; where that was left to this machine, the name of what it came to."""
        return self.backend.name if self.requested_backend is None else self.requested_backend

    @property
    def run(self) -> Run | None:
        """The last turn, None before the first."""
        return self.runs[-1] if self.runs else None


def make_backend(backend: Any, options: dict[str, Any]) -> Backend:
    """The backend of this name, the user's own, or for None what this machine offers, with these options.
    Raises ConfigError."""
    if backend is None:
        return backends.choose(**options)
    if isinstance(backend, str):
        return backends.create(backend, **options)
    made = backends.as_backend(backend)
    if options:
        made.update_agent(**_with_declared(options, getattr(made, "config", None)))
    return made


def update(conversation: Conversation, options: dict[str, Any]) -> None:
    """Change the agent where `options` are not what it has already. Where it goes on in a new session, the
    next turn says so. Raises ConfigError."""
    backend = conversation.backend
    config, session = getattr(backend, "config", None), backend.session
    options = _with_declared(options, config)
    changes = {key: value for key, value in options.items() if _option(config, key) != value}
    if changes:
        backend.update_agent(**changes)
    if session.id and backend.session is not session:
        conversation.notes, conversation.unfinished_turn = [AGENT_CHANGED], None


def _with_declared(options: dict[str, Any], config: Any) -> dict[str, Any]:
    """The options with the tools that the config declares as dicts, such as those of a container: whoever
    names functions does not take them away."""
    if "tools" not in options:
        return options
    declared = [each for each in getattr(config, "tools", ()) if isinstance(each, Mapping)]
    return {**options, "tools": [*options["tools"], *declared]}


def _option(config: Any, key: str) -> Any:
    value = getattr(config, key, None)
    return list(value) if isinstance(value, tuple) else value
