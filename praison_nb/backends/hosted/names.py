"""Skills, memory stores and vaults that a config names: each is looked up once for a server and a key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import ConfigError, ModelNotFoundError
from ...text import did_you_mean
from .client import all_pages
from .config import HostedAgentConfig
from .records import Workspace

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

SKILLS_BETA = "skills-2025-10-02"


class _Kind(NamedTuple):
    field: str
    id_form: str
    """What is an id, and not looked up."""
    name: str
    """What people know it by."""
    list: Callable[[AsyncAnthropic], Any]


SKILL = _Kind(
    "skills", r"skill_\w+", "display_name", lambda client: client.beta.skills.list(betas=[SKILLS_BETA])
)
MEMORY_STORE = _Kind(
    "memory_stores", r"memstore_\w+", "name", lambda client: client.beta.memory_stores.list(limit=100)
)
VAULT = _Kind("vault_ids", r"vlt_\w+", "display_name", lambda client: client.beta.vaults.list(limit=100))

_found: dict[tuple[Workspace, str, str], dict[str, Any]] = {}


async def with_ids(client: AsyncAnthropic, config: HostedAgentConfig) -> HostedAgentConfig:
    """The config with ids where it has names. Raises ModelNotFoundError for a name that there is not, with
    the nearest, and ConfigError for one that several have."""

    async def skill(given: Any) -> Any:
        return await _skill(client, given) if isinstance(given, str) else given

    async def store(given: dict[str, Any]) -> dict[str, Any]:
        found = await find(client, MEMORY_STORE, given["memory_store_id"])
        return {**given, "memory_store_id": found}

    changes: dict[str, Any] = {
        "skills": [await skill(each) for each in config.skills],
        "memory_stores": [await store(each) for each in config.memory_resources],
        "vault_ids": [await find(client, VAULT, each) for each in config.vault_ids],
    }
    changes = {name: value for name, value in changes.items() if value}
    return replace(config, **changes) if changes else config


async def find(client: AsyncAnthropic, kind: _Kind, key: str) -> str:
    """The id of what has the id or name."""
    if not isinstance(key, str) or not key.strip():
        raise ConfigError(f"{kind.field}: {key!r:.80} must be an id or a name.")
    return key if re.fullmatch(kind.id_form, key) else str((await _look_up(client, kind, key))["id"])


async def _skill(client: AsyncAnthropic, key: str) -> dict[str, Any]:
    if re.fullmatch(SKILL.id_form, key):
        return {"type": "custom", "skill_id": key}
    found = await _look_up(client, SKILL, key)
    source = str(found["source"]["type"])
    return {"type": "anthropic" if source.startswith("anthropic") else "custom", "skill_id": found["id"]}


async def _look_up(client: AsyncAnthropic, kind: _Kind, key: str) -> dict[str, Any]:
    place = Workspace.of(client), kind.field, key
    if place not in _found:
        there = [each.to_dict(mode="json") async for each in all_pages(kind.list(client))]
        there = [each for each in there if each.get("archived_at") is None]
        matches = [each for each in there if each["id"] == key] or [
            each for each in there if each[kind.name] == key
        ]
        if not matches:
            near = did_you_mean(key, [str(each[name]) for each in there for name in (kind.name, "id")])
            what = "" if near else ", by id or by name: the server has none like it"
            raise ModelNotFoundError(f"{kind.field}: {key!r:.80} is not there{what}{near}")
        if len(matches) > 1:
            ids = ", ".join(each["id"] for each in matches[:5])
            raise ConfigError(f"{kind.field}: several are called {key!r:.80}: give the id of one, of {ids}.")
        _found[place] = matches[0]
    return _found[place]
