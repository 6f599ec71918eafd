"""What this user made on the server and has not ended, and how it is ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import PraisonError
from . import api
from .agent_versions import GONE
from .base import HostedBase, sessions_here
from .client import all_pages
from .records import Made, Workspace
from .session import HostedSession

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

WORKING = ("running", "rescheduling")


@dataclass(frozen=True, slots=True)
class Remaining:
    """An agent, environment or session that is still there; `kind` is which. `sessions` counts those that use
    it, other people's too."""

    kind: str
    id: str
    name: str
    created: str
    sessions: int
    is_unused: bool


class InventoryMethods(HostedBase):
    """What one asks about all that was made."""

    def list_made(self, in_use: Collection[str] = ()) -> list[Remaining]:
        """The sessions, agents and environments of this key that were made from this computer and are neither
        archived nor deleted. Unused are sessions whose ids are not `in_use`, that no HostedAgent of this
        process is in and that do not run, and what no other session uses."""
        return self._ask(lambda client: _made(client, {*in_use, *sessions_here(self.config)}))

    def end_made(self, made: Iterable[Remaining]) -> list[str]:
        """Archive them for good, sessions first, environments last, and return a line for each that could not
        be. An environment of which nothing remains is deleted, so that its name is free again."""
        order = ("session", "agent", "environment")
        sorted_made = sorted(made, key=lambda each: order.index(each.kind))
        return self._ask(lambda client: _end(client, sorted_made))


async def _made(client: AsyncAnthropic, in_use: set[str]) -> list[Remaining]:
    beta = client.beta
    sessions = {each.id: each async for each in all_pages(beta.sessions.list(limit=100))}
    recorded = await _still_there(client, "session", sessions)
    unused = {key for key in recorded if key not in in_use and sessions[key].status not in WORKING}
    remaining = [_remaining("session", sessions[key], 0, key in unused) for key in recorded]
    users = {
        "agent": [each.agent.id for each in sessions.values() if each.agent],
        "environment": [each.environment_id for each in sessions.values()],
    }
    still_used = {
        "agent": {each.agent.id for key, each in sessions.items() if key not in unused and each.agent},
        "environment": {each.environment_id for key, each in sessions.items() if key not in unused},
    }
    for kind in ("agent", "environment"):
        listed = getattr(beta, f"{kind}s").list(limit=100)
        there = {each.id: each async for each in all_pages(listed)}
        counts = Counter(users[kind])
        for key in await _still_there(client, kind, there):
            remaining.append(_remaining(kind, there[key], counts[key], key not in still_used[kind]))
    return remaining


async def _still_there(client: AsyncAnthropic, kind: str, there: dict[str, Any]) -> list[str]:
    """The ids of what was made of the kind and is there still; the records forget the rest. What the server
    has and `there`, its list, lacks is put there: lists lag behind."""
    workspace = Workspace.of(client)
    recorded: list[Made] = await workspace.find(kind)
    ids = list(dict.fromkeys(each.id for each in recorded))
    for key in [key for key in ids if key not in there]:
        try:
            found = await getattr(client.beta, f"{kind}s").retrieve(key)
        except Exception as error:
            if getattr(error, "status_code", None) not in GONE:
                raise
            found = None
        if found is None or found.archived_at is not None:
            await workspace.forget(kind, key)
        else:
            there[key] = found
    return [key for key in ids if key in there]


def _remaining(kind: str, listed: Any, sessions: int, is_unused: bool) -> Remaining:
    name = listed.title if kind == "session" else listed.name
    return Remaining(kind, listed.id, name or "", str(listed.created_at or ""), sessions, is_unused)


async def _end(client: AsyncAnthropic, made: list[Remaining]) -> list[str]:
    workspace, problems = Workspace.of(client), []
    for each in made:
        try:
            if each.kind == "session":
                await api.archive_session(client, HostedSession(each.id))
            elif each.kind == "agent":
                await client.beta.agents.archive(each.id)
            else:
                await _end_environment(client, each.id)
        except Exception as error:
            if not (isinstance(error, PraisonError) or hasattr(error, "status_code")):
                raise
            problems.append(f"{each.kind} {each.id}: {error}")
            continue
        await workspace.forget(each.kind, each.id)
    return problems


async def _end_environment(client: AsyncAnthropic, environment_id: str) -> None:
    from anthropic import APIStatusError

    environments = client.with_options(max_retries=0).beta.environments
    try:
        await environments.delete(environment_id)
    except APIStatusError:
        # Archived sessions still show it.
        await client.beta.environments.archive(environment_id)
