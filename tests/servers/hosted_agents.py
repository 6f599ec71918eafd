"""Agents of the hosted test server: their versions, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from anthropic.types.beta import BetaManagedAgentsAgent, agent_create_params, agent_update_params

from .hosted_resources import Resource, found, metadata, present, without_archived
from .hosted_types import check_request, check_response

if TYPE_CHECKING:
    from .hosted import HostedServer

ALLOW, ASK = {"type": "always_allow"}, {"type": "always_ask"}


def add_routes(server: HostedServer) -> None:
    """Add the agents' endpoints to the server."""
    agents = server.agents

    def versions_of(request: web.Request) -> list[Resource]:
        return found(agents, request.match_info["id"], "agent")

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

    server.route("POST", "/v1/agents", create_agent)
    server.route("GET", "/v1/agents", list_agents)
    server.route("GET", "/v1/agents/{id}", retrieve_agent)
    server.route("POST", "/v1/agents/{id}", update_agent)
    server.route("GET", "/v1/agents/{id}/versions", list_versions)
    server.route("POST", "/v1/agents/{id}/archive", archive_agent)


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
