"""Agents and environments of the hosted test server: what is stored, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta import (
    BetaEnvironment,
    BetaEnvironmentDeleteResponse,
    BetaManagedAgentsAgent,
    agent_create_params,
    agent_update_params,
    environment_create_params,
    environment_update_params,
)

from .hosted_types import check_request, check_response

if TYPE_CHECKING:
    from .hosted import HostedServer

Resource = dict[str, Any]
ALLOW, ASK = {"type": "always_allow"}, {"type": "always_ask"}
PACKAGE_MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")


def add_routes(server: HostedServer) -> None:
    """Add the agents' and the environments' endpoints to the server."""
    agents, environments = server.agents, server.environments

    def versions_of(request: web.Request) -> list[Resource]:
        return found(agents, request.match_info["id"], "agent")

    def environment_of(request: web.Request) -> Resource:
        environment: Resource = found(environments, request.match_info["id"], "environment")
        return environment

    async def create_agent(request: web.Request) -> Any:
        body = check_request(agent_create_params.AgentCreateParams, await server.body(request))
        now = server.now()
        agent = {
            "type": "agent",
            "id": server.new_id("agent"),
            "version": 1,
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
            "execution_identity": {"type": "service_account"},
            **agent_fields(body, agents),
        }
        agents[agent["id"]] = [agent]
        return check_response(BetaManagedAgentsAgent, agent)

    async def retrieve_agent(request: web.Request) -> Any:
        version = request.query.get("version")
        return check_response(BetaManagedAgentsAgent, version_of(versions_of(request), version))

    async def update_agent(request: web.Request) -> Any:
        versions = versions_of(request)
        current = versions[-1]
        body = dict(check_request(agent_update_params.AgentUpdateParams, await server.body(request)))
        if (version := body.pop("version", None)) not in (None, current["version"]):
            text = f"version {version} is not the current version of the agent, {current['version']}"
            raise web.HTTPConflict(text=text)
        if current["archived_at"]:
            raise web.HTTPBadRequest(text="the agent is archived")
        changed = agent_fields(body, agents, current)
        if changed != current:
            versions.append(changed | {"version": current["version"] + 1, "updated_at": server.now()})
        return check_response(BetaManagedAgentsAgent, versions[-1])

    async def list_agents(request: web.Request) -> Any:
        newest = [versions[-1] for versions in reversed(agents.values())]
        return server.page(request, BetaManagedAgentsAgent, without_archived(request, newest), 20, 100)

    async def list_versions(request: web.Request) -> Any:
        return server.page(request, BetaManagedAgentsAgent, versions_of(request)[::-1], 20, 100)

    async def archive_agent(request: web.Request) -> Any:
        agent = versions_of(request)[-1]
        agent["archived_at"] = agent["archived_at"] or server.now()
        return check_response(BetaManagedAgentsAgent, agent)

    async def create_environment(request: web.Request) -> Any:
        body = check_request(environment_create_params.EnvironmentCreateParams, await server.body(request))
        if server.name_conflict and any(each["name"] == body["name"] for each in environments.values()):
            return server.error(server.name_conflict, "an environment of this name exists already", {})
        now = server.now()
        environment = {
            "type": "environment",
            "id": server.new_id("env"),
            "name": body["name"],
            "description": body.get("description"),
            "config": environment_config(body.get("config") or {"type": "cloud"}, {}),
            "metadata": metadata(body.get("metadata"), {}),
            "created_at": now,
            "updated_at": now,
            "archived_at": None,
        }
        environments[environment["id"]] = environment
        return check_response(BetaEnvironment, environment)

    async def retrieve_environment(request: web.Request) -> Any:
        return check_response(BetaEnvironment, environment_of(request))

    async def update_environment(request: web.Request) -> Any:
        environment = environment_of(request)
        body = check_request(environment_update_params.EnvironmentUpdateParams, await server.body(request))
        if environment["archived_at"]:
            raise web.HTTPBadRequest(text="the environment is archived")
        changes = {key: body[key] for key in ("name", "description") if key in body}
        if body.get("config"):
            changes["config"] = environment_config(body["config"], environment["config"])
        changes["metadata"] = metadata(body.get("metadata"), environment["metadata"])
        environment.update(changes, updated_at=server.now())
        return check_response(BetaEnvironment, environment)

    async def list_environments(request: web.Request) -> Any:
        newest = without_archived(request, reversed(environments.values()))
        return server.page(request, BetaEnvironment, newest, 20, 100)

    async def archive_environment(request: web.Request) -> Any:
        environment = environment_of(request)
        environment["archived_at"] = environment["archived_at"] or server.now()
        return check_response(BetaEnvironment, environment)

    async def delete_environment(request: web.Request) -> Any:
        used = {session.fields["environment_id"] for session in server.sessions.values()}
        if environment_of(request)["id"] in used:
            raise web.HTTPConflict(text="sessions use the environment; archive it")
        gone = environments.pop(environment_of(request)["id"])
        return check_response(
            BetaEnvironmentDeleteResponse, {"id": gone["id"], "type": "environment_deleted"}
        )

    server.route("POST", "/v1/agents", create_agent)
    server.route("GET", "/v1/agents", list_agents)
    server.route("GET", "/v1/agents/{id}", retrieve_agent)
    server.route("POST", "/v1/agents/{id}", update_agent)
    server.route("GET", "/v1/agents/{id}/versions", list_versions)
    server.route("POST", "/v1/agents/{id}/archive", archive_agent)
    server.route("POST", "/v1/environments", create_environment)
    server.route("GET", "/v1/environments", list_environments)
    server.route("GET", "/v1/environments/{id}", retrieve_environment)
    server.route("POST", "/v1/environments/{id}", update_environment)
    server.route("DELETE", "/v1/environments/{id}", delete_environment)
    server.route("POST", "/v1/environments/{id}/archive", archive_environment)


def found(store: dict[str, Any], key: str, kind: str) -> Any:
    if key not in store:
        raise web.HTTPNotFound(text=f"{kind} {key} was not found")
    return store[key]


def without_archived(request: web.Request, resources: Iterable[Resource]) -> list[Resource]:
    """The resources, without those that are archived unless the request includes them."""
    wanted = request.query.get("include_archived") == "true"
    return [each for each in resources if wanted or not each["archived_at"]]


def version_of(versions: list[Resource], version: Any) -> Resource:
    """The agent's version asked for; the latest where None."""
    if version is None:
        return versions[-1]
    for agent in versions:
        if str(agent["version"]) == str(version):
            return agent
    raise web.HTTPNotFound(text=f"the agent has no version {version}")


def session_agent(reference: Any, agents: dict[str, list[Resource]]) -> Resource:
    """A session's snapshot of its agent: by id, by id and version, or with overrides."""
    reference = {"id": reference} if isinstance(reference, str) else reference
    agent = version_of(found(agents, reference["id"], "agent"), reference.get("version"))
    if agents[agent["id"]][-1]["archived_at"]:
        raise web.HTTPBadRequest(text="the agent is archived; a new session cannot use it")
    overrides = {key: reference[key] for key in reference if key not in ("type", "id", "version")}
    snapshot = snapshot_of(agent_fields(overrides, agents, agent))
    if snapshot["multiagent"]:
        entries = snapshot["multiagent"]["agents"]
        members = [version_of(found(agents, each["id"], "agent"), each["version"]) for each in entries]
        callable_agents = [
            {key: value for key, value in snapshot_of(each).items() if key != "multiagent"}
            for each in members
        ]
        snapshot["multiagent"] = {"type": "coordinator", "agents": callable_agents}
    return snapshot


def snapshot_of(agent: Resource) -> Resource:
    left_out = ("created_at", "updated_at", "archived_at", "metadata")
    return {key: value for key, value in agent.items() if key not in left_out}


def environment_of_session(key: str, environments: dict[str, Resource]) -> Resource:
    environment: Resource = found(environments, key, "environment")
    if environment["archived_at"]:
        raise web.HTTPBadRequest(text="the environment is archived; a new session cannot use it")
    return environment


def agent_fields(
    body: Resource, agents: dict[str, list[Resource]], current: Resource | None = None
) -> Resource:
    """What a request makes of an agent's fields; one left out stays as it is, or is empty when new."""
    empty = {
        "description": None,
        "system": None,
        "multiagent": None,
        "metadata": {},
        "mcp_servers": [],
        "skills": [],
    }
    fields: Resource = {"tools": [], **empty} if current is None else dict(current)
    fields |= {key: body[key] for key in ("name", "description", "system", "mcp_servers") if key in body}
    fields["mcp_servers"] = fields["mcp_servers"] or []
    if "model" in body:
        fields["model"] = model(body["model"])
    if "skills" in body:
        fields["skills"] = [{"version": "1", **present(skill)} for skill in body["skills"] or []]
    if "tools" in body:
        fields["tools"] = [tool(each) for each in body["tools"] or []]
    if "multiagent" in body:
        fields["multiagent"] = roster(body["multiagent"], agents)
    fields["metadata"] = metadata(body.get("metadata"), fields["metadata"])
    check_agent(fields)
    return fields


def check_agent(agent: Resource) -> None:
    servers = [each["name"] for each in agent["mcp_servers"]]
    wired = {each["mcp_server_name"] for each in agent["tools"] if each["type"] == "mcp_toolset"}
    custom = [each["name"] for each in agent["tools"] if each["type"] == "custom"]
    refusals = {
        "name: 1 to 256 characters": not 1 <= len(agent["name"]) <= 256,
        "system: at most 100,000 characters": len(agent["system"] or "") > 100_000,
        "mcp_servers: at most 20, with different names": len(servers) > 20
        or len(set(servers)) < len(servers),
        "mcp_servers: each must be named by an mcp_toolset in tools": not wired >= set(servers),
        "tools: an mcp_toolset names no server of mcp_servers": not wired <= set(servers),
        "tools: at most 256": len(agent["tools"]) > 256,
        "tools: two custom tools have one name": len(set(custom)) < len(custom),
        "tools: a custom tool's name is 1 to 128 letters, digits, _ and -": not all(
            re.fullmatch(r"[A-Za-z0-9_-]{1,128}", name) for name in custom
        ),
    }
    for text, refused in refusals.items():
        if refused:
            raise web.HTTPBadRequest(text=text)


def present(params: Resource) -> Resource:
    return {key: value for key, value in params.items() if value is not None}


def model(value: Any) -> Resource:
    config = {"speed": "standard", **present({"id": value} if isinstance(value, str) else value)}
    if isinstance(config.get("effort"), str):
        config["effort"] = {"type": config["effort"]}
    return config


def tool(params: Resource) -> Resource:
    """A tool as the API gives it back: every default filled in."""
    if params["type"] == "custom":
        return params
    is_mcp = params["type"] == "mcp_toolset"
    default = {"enabled": True, "permission_policy": ASK if is_mcp else ALLOW}
    default |= present(params.get("default_config") or {})
    configs = [
        ({} if is_mcp else {"type": config["name"]}) | default | present(config)
        for config in params.get("configs") or []
    ]
    return params | {"default_config": default, "configs": configs}


def roster(params: Resource | None, agents: dict[str, list[Resource]]) -> Resource | None:
    """The agents that a coordinator may call, each with its version. Other kinds are not modelled here."""
    if params is None:
        return None
    if params["type"] != "coordinator":
        raise NotImplementedError("the test server knows multiagent of type coordinator only")
    entries = [{"id": each} if isinstance(each, str) else each for each in params["agents"]]
    members = [version_of(found(agents, each["id"], "agent"), each.get("version")) for each in entries]
    references = [{"type": "agent", "id": each["id"], "version": each["version"]} for each in members]
    return {"type": "coordinator", "agents": references}


def metadata(patch: dict[str, str | None] | None, current: dict[str, str]) -> dict[str, str]:
    """The metadata after a patch: a key of None goes, any other is set."""
    merged = {key: value for key, value in (current | (patch or {})).items() if value is not None}
    if len(merged) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in merged.items()):
        text = "metadata: at most 16 keys of up to 64 characters, with values of up to 512"
        raise web.HTTPBadRequest(text=text)
    return merged


def environment_config(params: Resource, current: Resource) -> Resource:
    """The whole configuration; what a request leaves out stays as it is, or is the default when new."""
    if params["type"] == "self_hosted":
        return {"type": "self_hosted"}
    networking = params.get("networking") or current.get("networking") or {"type": "unrestricted"}
    if networking["type"] == "limited":
        closed = {"allow_mcp_servers": False, "allow_package_managers": False, "allowed_hosts": []}
        networking = closed | present(networking)
    packages = {"type": "packages", **{manager: [] for manager in PACKAGE_MANAGERS}}
    packages |= current.get("packages", {}) | present(params.get("packages") or {})
    asks_for_any = any(packages[manager] for manager in PACKAGE_MANAGERS)
    if asks_for_any and networking["type"] == "limited" and not networking["allow_package_managers"]:
        text = "config.packages: limited networking needs allow_package_managers to be true"
        raise web.HTTPBadRequest(text=text)
    return {"type": "cloud", "networking": networking, "packages": packages}
