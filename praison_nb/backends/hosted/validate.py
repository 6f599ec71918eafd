"""What the API of hosted agents takes, so that what it would reject is known before anything is sent. To be
imported when there is something to check: pydantic takes its time to load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from ...errors import ConfigError
from ...text import shorten


def validate(settings: Mapping[str, Any]) -> None:
    """Check the fields of a HostedAgentConfig. Raises ConfigError, one line that names the field."""
    try:
        Settings.model_validate(settings)
        return
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
    # Not while the other one is handled: it knows what was put in, which may be a token.
    path = [part for part in problem["loc"] if part != "[key]"]
    if len(path) > 3 and path[0] in ("tools", "resources"):
        del path[2]  # the name of the kind that was taken, which nobody wrote
    parts = (f"[{part}]" if isinstance(part, int) else f".{shorten(part, 60)}" for part in path)
    where = "".join(parts).removeprefix(".")
    message = shorten(problem["msg"].removeprefix("Value error, ").replace(" after validation", ""), 500)
    raise ConfigError(f"{where}: {message}." if where else f"{message}.")


def _list(value: Any) -> Any:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ValueError(f"Input should be a list, not {type(value).__name__}")
    return list(value)


def _type_of(value: Any) -> Any:
    return value.get("type", "") if isinstance(value, Mapping) else value


def _without_type(value: Any) -> Any:
    return {key: value[key] for key in value if key != "type"} if isinstance(value, Mapping) else value


def _kind_of_tool(tool: Any) -> Any:
    kind = _type_of(tool)
    return "agent_toolset" if isinstance(kind, str) and re.fullmatch(r"agent_toolset_\d{8}", kind) else kind


T = TypeVar("T")
Items = Annotated[list[T], BeforeValidator(_list)]
Text = Annotated[str, Field(strict=True)]
Filled = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1)]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
Builtin = Literal["bash", "edit", "read", "write", "glob", "grep", "web_fetch", "web_search"]
Manager = Literal["apt", "cargo", "gem", "go", "npm", "pip"]


class ModelOptions(BaseModel):
    id: Filled
    effort: Annotated[Effort | None, BeforeValidator(_type_of)] = None
    speed: Literal["standard", "fast"] | None = None


class Policy(BaseModel):
    type: Literal["always_allow", "always_ask", "auto"]


class ToolDefaults(BaseModel):
    permission_policy: Policy | None = None


class BuiltinTool(ToolDefaults):
    name: Builtin


class McpTool(ToolDefaults):
    name: Annotated[Filled, Field(max_length=128)]


class AgentToolset(BaseModel):
    default_config: ToolDefaults | None = None
    configs: Items[BuiltinTool] | None = None


class McpToolset(BaseModel):
    mcp_server_name: Annotated[Filled, Field(max_length=255)]
    default_config: ToolDefaults | None = None
    configs: Items[McpTool] | None = None


class InputSchema(BaseModel):
    type: Literal["object"]


class CustomTool(BaseModel):
    name: Annotated[Text, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    description: Filled
    input_schema: InputSchema


_TOOL = "Input should be a function, a built-in tool's name, or a dict of type {}"
Tool = Annotated[
    Annotated[AgentToolset, Tag("agent_toolset")]
    | Annotated[McpToolset, Tag("mcp_toolset")]
    | Annotated[CustomTool, Tag("custom")],
    Discriminator(_kind_of_tool, "tool", _TOOL.format("agent_toolset_20260401, mcp_toolset or custom")),
]


class McpServer(BaseModel):
    type: Literal["url"]
    name: Annotated[Filled, Field(max_length=255)]
    url: Filled


class Skill(BaseModel):
    type: Literal["anthropic", "custom"]
    skill_id: Filled


class Coordinator(BaseModel):
    type: Literal["coordinator"]
    agents: Annotated[Items[Any], Field(min_length=1, max_length=20)]


class Multiagent(BaseModel):
    type: Literal["multiagent_20261001"]


class Networking(BaseModel):
    type: Literal["unrestricted", "limited"]
    allowed_hosts: Items[Filled] | None = None
    allow_package_managers: Any = False


class Resource(BaseModel):
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


class Settings(BaseModel):
    name: Annotated[Filled, Field(max_length=256)]
    model: Annotated[ModelOptions, BeforeValidator(lambda it: {"id": it} if isinstance(it, str) else it)]
    system: Annotated[Text, Field(max_length=100_000)]
    description: Text
    session_title: Text
    tools: Annotated[Items[Tool], Field(max_length=256)]
    mcp_servers: Annotated[Items[McpServer], Field(max_length=20)]
    skills: Items[Skill]
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
    base_url: Annotated[Text, Field(pattern="^https?://.")] | None
    timeout: Annotated[float, Field(strict=True, gt=0)] | None
    reconnect_seconds: Annotated[float, Field(strict=True, ge=0)]

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        _unique("tools", [tool.name for tool in self.tools if isinstance(tool, CustomTool)])
        servers = _unique("mcp_servers", [server.name for server in self.mcp_servers])
        used = {tool.mcp_server_name for tool in self.tools if isinstance(tool, McpToolset)}
        if unused := servers - used:
            toolset = f'{{"type": "mcp_toolset", "mcp_server_name": "{min(unused)}"}}'
            raise ValueError(f"mcp_servers: no tool uses {min(unused)}: add {toolset} to tools")
        if unknown := used - servers:
            raise ValueError(f"tools: an mcp_toolset names {min(unknown)}, which is not in mcp_servers")
        is_closed = self.networking.type == "limited" and not self.networking.allow_package_managers
        if is_closed and any(self.packages.values()):
            raise ValueError("packages need networking with allow_package_managers=True when it is limited")
        return self


def _unique(field: str, names: list[str]) -> set[str]:
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{field}: two are named {min(twice)}: rename one")
    return set(names)
