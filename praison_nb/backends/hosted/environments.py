"""The environments that sessions run in. Their names are unique in a workspace, which others may use too: one
with the same configuration is used again, and another configuration gets a name of its own."""

from __future__ import annotations

import functools
import itertools
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, ModelNotFoundError
from ..arguments import check_options
from .base import HostedBase
from .client import all_pages, transient_errors
from .creation import MARK, marked, once
from .records import Made, Workspace, digest_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
MOST_NAMES = 200
"""So many names are tried that others have taken."""


async def obtain(client: AsyncAnthropic, workspace: Workspace, params: dict[str, Any]) -> str:
    """The id of an environment of this configuration: one that there is, else a new one."""
    digest = digest_of(canonical(params["config"]))
    if known := await workspace.find("environment", name=params["name"], digest=digest):
        return known[0].id
    async with workspace.alone():
        if known := await workspace.find("environment", name=params["name"], digest=digest):
            return known[0].id
        environment, is_made_here = await _found_or_made(client, params, digest)
        if is_made_here:
            # Only then it is ours to end.
            made = Made(kind="environment", id=environment.id, name=params["name"], digest=digest)
            await workspace.add(made)
        return str(environment.id)


async def _found_or_made(client: AsyncAnthropic, params: dict[str, Any], digest: str) -> tuple[Any, bool]:
    """The environment, and whether it was made here."""
    environments = client.with_options(max_retries=0).beta.environments
    taken: set[str] = set()
    mark = uuid.uuid4().hex
    made_ids: list[str] = []

    async def make(name: str) -> Any:
        environment: Any = await environments.create(**{**params, "name": name, "metadata": marked({}, mark)})
        made_ids.append(environment.id)
        return environment

    while True:
        listed = await _listed(client)
        held = taken | {each.name for each in listed}
        names = list(itertools.islice(_names(params["name"], digest), MOST_NAMES))
        if (usable := _usable(listed, names, params, digest)) is not None:
            return usable, False
        name = next((each for each in names if each not in held), names[-1])

        async def find(name: str = name) -> Any:
            return _usable(await _listed(client), [name], params, digest)

        try:
            found = await once(functools.partial(make, name), find)
            is_marked = (getattr(found, "metadata", None) or {}).get(MARK) == mark
            return found, is_marked or found.id in made_ids
        except transient_errors() as error:
            # Some servers answer a name that is taken with 500.
            is_taken = getattr(error, "status_code", None) == 409
            if name in held or not (is_taken or any(each.name == name for each in await _listed(client))):
                raise
            taken.add(name)


def _names(name: str, digest: str) -> Iterator[str]:
    """The names that an environment of the configuration may have, in the order in which they are tried."""
    own = f"{name}-{digest}"
    return itertools.chain([name, own], (f"{own}-{n}" for n in itertools.count(2)))


def _usable(listed: Iterable[Any], names: list[str], params: dict[str, Any], digest: str) -> Any:
    """The first, in the order of `names`, that has the configuration; None without one."""
    wanted = canonical(params["config"])

    def fits(environment: Any) -> bool:
        has = canonical(environment.config.to_dict(mode="json") if environment.config else {})
        # A server may write packages in another way; what the container may reach is never taken on trust.
        is_own = f"-{digest}" in environment.name and has["networking"] == wanted["networking"]
        return environment.archived_at is None and (has == wanted or is_own)

    fitting = [each for each in listed if each.name in names and fits(each)]
    return min(fitting, key=lambda each: (names.index(each.name), each.created_at), default=None)


def canonical(config: dict[str, Any]) -> dict[str, Any]:
    """An environment's configuration with every default filled in, as it can be compared.

    >>> short = {"type": "cloud", "packages": {"pip": ["b", "a"]}}
    >>> long = {**short, "networking": {"type": "unrestricted"}, "packages": {"pip": ["a", "b"], "npm": []}}
    >>> canonical(short) == canonical(long)
    True
    """
    networking = config.get("networking") or {"type": "unrestricted"}
    packages = config.get("packages") or {}
    reach: dict[str, Any] = {"type": networking.get("type")}
    if reach["type"] == "limited":
        reach["allowed_hosts"] = sorted(networking.get("allowed_hosts") or ())
        for name in ("allow_mcp_servers", "allow_package_managers"):
            reach[name] = bool(networking.get(name))
    return {
        "type": config.get("type"),
        "networking": reach,
        "packages": {name: sorted(packages.get(name) or ()) for name in MANAGERS},
    }


async def _listed(client: AsyncAnthropic) -> list[Any]:
    return [each async for each in all_pages(client.beta.environments.list(include_archived=True, limit=100))]


async def resolve(client: AsyncAnthropic, key: str) -> str:
    """The id of the environment that the user names, by its id or its name. Raises ModelNotFoundError."""
    listed = await _listed(client)
    matches = [each for each in listed if key in (each.id, each.name)]
    usable = [each for each in matches if each.archived_at is None]
    if not usable:
        state = "is archived" if matches else "is not there, by id or by name"
        raise ModelNotFoundError(
            f"environment_id={key!r:.80} {state}. list_environments() has those that there are."
        )
    return next((each.id for each in usable if each.id == key), str(usable[0].id))


class EnvironmentMethods(HostedBase):
    """What one asks about environments, and how they end."""

    def list_environments(self, limit: int | None = None, **options: Any) -> list[dict[str, Any]]:
        """The environments on the server, as dicts; all of them, or `limit`. `options` are the API's
        filters (include_archived)."""

        async def listed(client: AsyncAnthropic) -> list[dict[str, Any]]:
            check_options("list_environments", options, client.beta.environments.list)
            pages = client.beta.environments.list(**options)
            return [each.to_dict(mode="json") async for each in all_pages(pages, limit)]

        return self._ask(listed)

    def retrieve_environment(self, environment_id: str | None = None) -> dict[str, Any]:
        """The agent's environment, or another one by its id, as a dict; {} before there is one."""
        if (key := environment_id or self.environment_id) is None:
            return {}
        environment = self._ask(lambda client: client.beta.environments.retrieve(key), _label(key))
        return environment.to_dict(mode="json")

    def archive_environment(self, environment_id: str | None = None) -> None:
        """Archive the agent's environment, or another one by its id: for good. Sessions that run in it go
        on; the next one gets another."""
        self._end_environment(environment_id, "archive")

    def delete_environment(self, environment_id: str | None = None) -> None:
        """Delete the agent's environment, or another one by its id."""
        self._end_environment(environment_id, "delete")

    def _end_environment(self, environment_id: str | None, how: str) -> None:
        if (key := environment_id or self.environment_id) is None:
            raise ConfigError(f"There is no environment yet: nothing to {how}.")

        async def end(client: AsyncAnthropic) -> None:
            await getattr(client.beta.environments, how)(key)
            await Workspace.of(client).forget("environment", key)

        self._ask(end, _label(key))
        if key == self.environment_id:
            self.environment_id = None


def _label(environment_id: str) -> str:
    return f"the environment {environment_id}"
