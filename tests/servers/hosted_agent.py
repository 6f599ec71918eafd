"""A HostedAgent on the loopback server, and what was said between the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from praison_nb import HostedAgent, HostedAgentConfig, Turn
from praison_nb.events import Event

from .hosted import HostedServer

KEY = "sk-ant-test-0123456789"


def hosted(
    server: HostedServer, *, on_tool_confirmation: Any = None, on_custom_tool: Any = None, **fields: Any
) -> HostedAgent:
    """An agent on the server that does not wait before it connects again."""
    agent = HostedAgent(
        HostedAgentConfig(**{"api_key": server.api_key, "base_url": server.url, **fields}),
        on_tool_confirmation=on_tool_confirmation,
        on_custom_tool=on_custom_tool,
    )
    agent.backoff_seconds = (0.0, 0.01)
    return agent


def play(agent: HostedAgent, prompt: str = "Hi") -> tuple[Turn, list[Event]]:
    """The turn, and every event of it."""
    told: list[Event] = []
    return agent.begin(prompt, subscribers=(lambda event, turn: told.append(event),)).wait(), told


def of(kind: type[Any], told: list[Event]) -> list[Any]:
    """The events of one kind."""
    return [event for event in told if isinstance(event, kind)]


def calls(server: HostedServer, method: str, path: str) -> int:
    """How many requests there were."""
    return len(server.seen(method, path))


def created(server: HostedServer) -> list[int]:
    """How many agents, environments and sessions were asked for."""
    return [calls(server, "POST", f"/v1/{kind}") for kind in ("agents", "environments", "sessions")]


def sent(server: HostedServer, kind: str) -> list[dict[str, Any]]:
    """What clients sent of this kind, and the server took."""
    sessions = server.sessions.values()
    events = [event for session in sessions for event in session.events if event["type"] == kind]
    dropped = ("id", "type", "processed_at")
    return [{key: value for key, value in event.items() if key not in dropped} for event in events]


def messages(server: HostedServer) -> list[str]:
    """The texts of all user messages that reached the sessions."""
    return [event["content"][0]["text"] for event in sent(server, "user.message")]


def names(server: HostedServer) -> list[str]:
    """The names of all environments, archived ones too."""
    return [each["name"] for each in server.environments.values()]


def left(server: HostedServer) -> list[str]:
    """The ids of what is neither archived nor deleted."""
    versions = [each[-1] for each in server.agents.values()]
    made = [*versions, *server.environments.values()]
    sessions = [key for key, each in server.sessions.items() if not each.archived_at]
    return sorted([*(each["id"] for each in made if not each["archived_at"]), *sessions])


def other_computer(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on the records of what was made are another computer's."""
    monkeypatch.setenv("PRAISON_NB_LEDGER", str(folder / "ledger.sqlite"))
