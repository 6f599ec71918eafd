"""What the API of hosted agents takes, so that what it would reject is known before anything is sent. To be
imported when there is something to check: pydantic takes its time to load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, model_validator

from ..validation import Address, Filled, Flag, Items, Part, Seconds, Text, written_as, wrong_form


def _type_of(value: Any) -> Any:
    return value.get("type", "") if isinstance(value, Mapping) else value


def _without_type(value: Any) -> Any:
    return {key: value[key] for key in value if key != "type"} if isinstance(value, Mapping) else value


def _kind_of_tool(tool: Any) -> Any:
    kind = _type_of(tool)
    return TOOLSET if isinstance(kind, str) and re.fullmatch(r"agent_toolset_\d{8}", kind) else kind


def _declared(tool: Any) -> Any:
    if not isinstance(tool, Mapping):
        raise wrong_form("be a function, the name of a built-in tool, or a dict as the API has it")
    return tool


def _model_of(model: Any) -> Any:
    if not isinstance(model, str | Mapping):
        raise wrong_form("be a model's name, or a dict as the API has it")
    return {"id": model} if isinstance(model, str) else model


Effort = Literal["low", "medium", "high", "xhigh", "max"]
Builtin = Literal["bash", "edit", "read", "write", "glob", "grep", "web_fetch", "web_search"]
TOOLSET = "agent_toolset_20260401"
Manager = Literal["apt", "cargo", "gem", "go", "npm", "pip"]


Page = Annotated[
    Text,
    written_as(r"(https?://[^\s/]+/\S*\{session_id\}\S*)?", "be an http(s) address with {session_id} in it"),
]
Name = Annotated[Text, written_as(r"(?:\S(?:.*\S)?)?", "be an id or a name, without blanks around it")]


class ModelOptions(Part):
    id: Filled
    effort: Annotated[Effort | None, BeforeValidator(_type_of)] = None
    speed: Literal["standard", "fast"] | None = None


class Policy(Part):
    type: Literal["always_allow", "always_ask", "auto"]


class ToolDefaults(Part):
    permission_policy: Policy | None = None


class BuiltinTool(ToolDefaults):
    name: Builtin


class McpTool(ToolDefaults):
    name: Annotated[Filled, Field(max_length=128)]


class AgentToolset(Part):
    default_config: ToolDefaults | None = None
    configs: Items[BuiltinTool] | None = None


class McpToolset(Part):
    mcp_server_name: Annotated[Filled, Field(max_length=255)]
    default_config: ToolDefaults | None = None
    configs: Items[McpTool] | None = None


class InputSchema(Part):
    type: Literal["object"]


class CustomTool(Part):
    name: Annotated[Text, written_as("[A-Za-z0-9_-]{1,128}", "be 1 to 128 letters, digits, _ or -")]
    description: Filled
    input_schema: InputSchema


Tool = Annotated[
    Annotated[AgentToolset, Tag(TOOLSET)]
    | Annotated[McpToolset, Tag("mcp_toolset")]
    | Annotated[CustomTool, Tag("custom")],
    Discriminator(_kind_of_tool),
    BeforeValidator(_declared),
]


class McpServer(Part):
    type: Literal["url"]
    name: Annotated[Filled, Field(max_length=255)]
    url: Filled


class Skill(Part):
    type: Literal["anthropic", "custom"]
    skill_id: Filled


class Coordinator(Part):
    type: Literal["coordinator"]
    agents: Annotated[Items[Any], Field(min_length=1, max_length=20)]


class Multiagent(Part):
    type: Literal["multiagent_20261001"]


class Networking(Part):
    type: Literal["unrestricted", "limited"]
    allowed_hosts: Items[Filled] | None = None
    allow_mcp_servers: Flag = False
    allow_package_managers: Flag = False


class Resource(Part):
    instructions: Annotated[Text, Field(max_length=4096)] | None = None


class File(Resource):
    type: Literal["file"]
    file_id: Filled


class Repository(Resource):
    type: Literal["github_repository"]
    url: Filled


class MemoryStore(Resource):
    type: Literal["memory_store"]
    memory_store_id: Filled


def _as_skill(skill: Any) -> Any:
    return {"type": "custom", "skill_id": skill} if isinstance(skill, str) else skill


def _as_store(store: Any) -> Any:
    return {"memory_store_id": store} if isinstance(store, str) else store


class MemoryMount(Resource):
    memory_store_id: Filled
    access: Literal["read_write", "read_only"] | None = None


class StaticBearer(Part):
    type: Literal["static_bearer"]
    token: Filled
    mcp_server_url: Filled


class McpOauth(Part):
    type: Literal["mcp_oauth"]
    access_token: Filled
    mcp_server_url: Filled


class CredentialNetworking(Part):
    type: Literal["unrestricted", "limited"]
    allowed_hosts: Annotated[Items[Filled], Field(max_length=16)] | None = None


class EnvironmentVariable(Part):
    type: Literal["environment_variable"]
    secret_name: Filled
    secret_value: Filled
    networking: CredentialNetworking


class CredentialSettings(BaseModel):
    auth: Annotated[StaticBearer | McpOauth | EnvironmentVariable, Discriminator("type")]


class HostedSettings(BaseModel):
    agent_id: Name
    agent_version: Annotated[int, Field(strict=True, ge=1)] | None
    environment_id: Name
    name: Annotated[Filled, Field(max_length=256)]
    model: Annotated[ModelOptions, BeforeValidator(_model_of)]
    system: Annotated[Text, Field(max_length=100_000)]
    description: Text
    title: Text
    session_title: Text
    tools: Annotated[Items[Tool], Field(max_length=256)]
    mcp_servers: Annotated[Items[McpServer], Field(max_length=20)]
    skills: Items[Annotated[Skill, BeforeValidator(_as_skill)]]
    memory_stores: Annotated[Items[Annotated[MemoryMount, BeforeValidator(_as_store)]], Field(max_length=8)]
    multiagent: Annotated[Coordinator | Multiagent, Discriminator("type")] | None
    metadata: Annotated[
        dict[Annotated[Filled, Field(max_length=64)], Annotated[Text, Field(max_length=512)]],
        Field(max_length=16),
    ]
    env_name: Filled
    networking: Networking
    packages: Annotated[dict[Manager, Items[Filled] | None], BeforeValidator(_without_type)]
    resources: Items[Annotated[File | Repository | MemoryStore, Discriminator("type")]]
    vault_ids: Items[Filled]
    api_key: Text | None
    base_url: Address | None
    console_url: Page
    timeout: Seconds | None
    reconnect_seconds: Annotated[float, Field(strict=True, ge=0)]

    @model_validator(mode="after")
    def _fits_together(self) -> HostedSettings:
        _unique("tools", [tool.name for tool in self.tools if isinstance(tool, CustomTool)])
        servers = _unique("mcp_servers", [server.name for server in self.mcp_servers])
        used = {tool.mcp_server_name for tool in self.tools if isinstance(tool, McpToolset)}
        if unused := servers - used:
            toolset = f'{{"type": "mcp_toolset", "mcp_server_name": "{min(unused)}"}}'
            raise ValueError(f"mcp_servers: no tool uses {min(unused)}: add {toolset} to tools")
        if unknown := used - servers:
            raise ValueError(f"tools: an mcp_toolset names {min(unknown)}, which is not in mcp_servers")
        if self.agent_version is not None and not self.agent_id:
            raise ValueError("agent_version is of the agent that agent_id names: give both")
        own = [name for name in ("description", "multiagent") if getattr(self, name)]
        if self.agent_id and own:
            raise ValueError(f"{own[0]} is the agent's own: leave it out with agent_id")
        if self.environment_id and (self.networking.type == "limited" or any(self.packages.values())):
            raise ValueError("environment_id uses an environment as it is: leave out packages and networking")
        is_closed = self.networking.type == "limited" and not self.networking.allow_package_managers
        if is_closed and any(self.packages.values()):
            raise ValueError("packages need networking with allow_package_managers=True when it is limited")
        return self


def _unique(field: str, names: list[str]) -> set[str]:
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{field}: two are named {min(twice)}: rename one")
    return set(names)
