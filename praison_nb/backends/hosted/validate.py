"""What the API of hosted agents would reject, said before anything is sent: one line that names the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ...errors import ConfigError

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOOLSET = re.compile(r"agent_toolset_\d{8}")
_BUILTINS = ("bash", "edit", "read", "write", "glob", "grep", "web_fetch", "web_search")
_POLICIES = ("always_allow", "always_ask", "auto")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
_RESOURCES = {"file": "file_id", "github_repository": "url", "memory_store": "memory_store_id"}


def text(name: str, value: Any, *, least: int = 1, most: int | None = None) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, not {type(value).__name__}.")
    if len(value.strip()) < least:
        raise ConfigError(f"{name} must not be empty.")
    if most is not None and len(value) > most:
        raise ConfigError(f"{name} may have {most:,} characters at most; it has {len(value):,}.")


def mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        kinds = "a function, a built-in tool's name or " if name == "tools" else ""
        raise ConfigError(f"{name}: {value!r:.60} is not {kinds}a dict as the API has it.")
    return dict(value)


def sequence(name: str, value: Any) -> None:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise ConfigError(f"{name} must be a list, not {type(value).__name__}.")


def strings(name: str, value: Any) -> list[str]:
    sequence(name, value)
    for item in value:
        text(name, item)
    return list(value)


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r:.60}.")


def model(value: Any) -> None:
    if isinstance(value, str):
        if not value.strip():
            raise ConfigError("model must name a model, such as 'claude-sonnet-4-6'.")
        return
    value = mapping("model", value)
    text("model['id']", value.get("id"))
    effort = value.get("effort")
    if effort is not None:
        one_of("model['effort']", effort["type"] if isinstance(effort, Mapping) else effort, _EFFORTS)
    if value.get("speed") is not None:
        one_of("model['speed']", value["speed"], ("standard", "fast"))


def tools(declared: list[dict[str, Any]]) -> None:
    if len(declared) > 256:
        raise ConfigError(f"tools may be 256 at most; these are {len(declared)}.")
    names = []
    for tool in declared:
        kind = tool.get("type")
        if kind == "custom":
            names.append(str(tool.get("name")))
            if not _TOOL_NAME.fullmatch(str(tool.get("name") or "")):
                raise ConfigError(
                    f"tools: the name {tool.get('name')!r:.60} must be 1 to 128 letters, digits, _ or -."
                )
            text(f"tools: the description of {tool['name']}", tool.get("description"))
            schema = tool.get("input_schema")
            if not isinstance(schema, Mapping) or schema.get("type") != "object":
                raise ConfigError(f"tools: the input_schema of {tool['name']} must be of type 'object'.")
        elif kind == "mcp_toolset":
            text("tools: mcp_server_name of an mcp_toolset", tool.get("mcp_server_name"), most=255)
            _permissions(tool, None)
        elif isinstance(kind, str) and _TOOLSET.fullmatch(kind):
            _permissions(tool, _BUILTINS)
        else:
            raise ConfigError(
                f"tools: the type {kind!r:.60} is none of custom, mcp_toolset, agent_toolset_20260401."
            )
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"tools: two are named {min(twice)}: rename one.")


def _permissions(toolset: Mapping[str, Any], names: Iterable[str] | None) -> None:
    configs = toolset.get("configs") or ()
    sequence("tools: configs", configs)
    for config in configs:
        config = mapping("tools: configs", config)
        text("tools: the name in configs", config.get("name"), most=128)
        if names is not None:
            one_of("tools: the name in configs", config["name"], names)
    for config in (toolset.get("default_config") or {}, *configs):
        policy = config.get("permission_policy")
        if policy is not None:
            one_of("tools: permission_policy", mapping("permission_policy", policy).get("type"), _POLICIES)


def mcp_servers(servers: Any, declared: list[dict[str, Any]]) -> None:
    sequence("mcp_servers", servers)
    if len(servers) > 20:
        raise ConfigError(f"mcp_servers may be 20 at most; these are {len(servers)}.")
    names = set()
    for server in servers:
        server = mapping("mcp_servers", server)
        one_of("mcp_servers: type", server.get("type"), ("url",))
        text("mcp_servers: name", server.get("name"), most=255)
        text("mcp_servers: url", server.get("url"))
        if server["name"] in names:
            raise ConfigError(f"mcp_servers: two are named {server['name']}: rename one.")
        names.add(server["name"])
    used = {tool["mcp_server_name"] for tool in declared if tool["type"] == "mcp_toolset"}
    if unused := names - used:
        raise ConfigError(
            f"mcp_servers: no tool uses {min(unused)}: add "
            f'{{"type": "mcp_toolset", "mcp_server_name": "{min(unused)}"}} to tools.'
        )
    if unknown := used - names:
        raise ConfigError(f"tools: an mcp_toolset names {min(unknown)}, which is not in mcp_servers.")


def skills(value: Any) -> None:
    sequence("skills", value)
    for skill in value:
        skill = mapping("skills", skill)
        one_of("skills: type", skill.get("type"), ("anthropic", "custom"))
        text("skills: skill_id", skill.get("skill_id"))


def multiagent(value: Any) -> None:
    if value is None:
        return
    value = mapping("multiagent", value)
    one_of("multiagent: type", value.get("type"), ("coordinator", "multiagent_20261001"))
    if value["type"] == "coordinator":
        agents = value.get("agents") or ()
        sequence("multiagent: agents", agents)
        if not 1 <= len(agents) <= 20:
            raise ConfigError(f"multiagent: a coordinator has 1 to 20 agents, not {len(agents)}.")


def metadata(value: Any) -> None:
    value = mapping("metadata", value)
    if len(value) > 16:
        raise ConfigError(f"metadata may have 16 keys at most; it has {len(value)}.")
    for key, content in value.items():
        text("metadata: a key", key, most=64)
        text(f"metadata[{key!r}]", content, least=0, most=512)


def environment(networking: dict[str, Any], packages: dict[str, Any]) -> None:
    one_of("networking: type", networking.get("type"), ("unrestricted", "limited"))
    if networking["type"] == "limited":
        strings("networking: allowed_hosts", networking.get("allowed_hosts") or [])
    for manager, names in packages.items():
        if manager == "type":
            continue
        one_of("packages: a package manager", manager, _MANAGERS)
        strings(f"packages[{manager!r}]", names or [])
    wanted = any(packages.get(manager) for manager in _MANAGERS)
    if wanted and networking["type"] == "limited" and not networking.get("allow_package_managers"):
        raise ConfigError("packages need networking with allow_package_managers=True when it is limited.")


def resources(value: Any) -> None:
    sequence("resources", value)
    for resource in value:
        if not isinstance(resource, Mapping):
            # Without its repr, which may hold a token.
            raise ConfigError(f"resources must be dicts as the API has them, not {type(resource).__name__}.")
        one_of("resources: type", resource.get("type"), _RESOURCES)
        key = _RESOURCES[resource["type"]]
        text(f"resources: {key}", resource.get(key))
        text("resources: instructions", resource.get("instructions") or "", least=0, most=4096)


def cents(dollars: Any) -> str:
    """USD as whole cents, written out."""
    try:
        amount = Decimal(str(dollars)) * 100
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(dollars, bool) or not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise ConfigError(f"budget must be USD above 0 in whole cents, not {dollars!r:.60}.")
    return str(int(amount))


def budget(value: dict[str, Any]) -> dict[str, Any]:
    limit = value.get("max_list_cost")
    amount = limit.get("amount") if isinstance(limit, Mapping) else None
    if value.get("type") != "limit" or not isinstance(amount, str) or not re.fullmatch(r"[1-9]\d*", amount):
        raise ConfigError(
            'budget must be USD, or {"type": "limit", "max_list_cost": {"amount": "250", "currency": "USD"}} '
            "with the amount in cents."
        )
    one_of("budget: currency", mapping("budget", limit).get("currency"), ("USD",))
    return value


def connection(base_url: Any, timeout: Any, reconnect_seconds: Any) -> None:
    if base_url is not None and not re.match(r"https?://.", str(base_url)):
        raise ConfigError("base_url must begin with http:// or https://.")
    if timeout is not None and not _is_number(timeout, above=0):
        raise ConfigError(f"timeout must be a number of seconds above 0, not {timeout!r:.60}.")
    if not _is_number(reconnect_seconds, least=0):
        raise ConfigError(f"reconnect_seconds must be a number from 0, not {reconnect_seconds!r:.60}.")


def _is_number(value: Any, *, above: float | None = None, least: float | None = None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (above is None or value > above) and (least is None or value >= least)
