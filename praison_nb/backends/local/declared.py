"""Tools that a config declares as hosted agents have them, as a local agent can run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import ConfigError
from ...tools.tool import Tool

Local = Callable[..., Any] | str | Tool
"""A function, the name of a built-in tool, or a tool."""

HERE = {"bash": "execute_command", "read": "read_file", "write": "write_file", "glob": "list_files"}
"""The built-in tools by their names in a toolset of hosted agents."""


def declared(tools: Iterable[Any], on_custom_tool: Callable[..., Any] | None = None) -> list[Local]:
    """The tools: an `agent_toolset` is the built-in tools that it has switched on, and a `custom` dict a tool
    that `on_custom_tool(name, arguments)` answers. Raises ConfigError for what runs only elsewhere.

    >>> declared([{"type": "agent_toolset_20260401", "configs": [{"name": "write", "enabled": False}]}])
    ['execute_command', 'read_file', 'list_files']
    """
    made: list[Local] = []
    for tool in tools:
        if isinstance(tool, str):
            # By either of its names.
            made.append(HERE.get(tool, tool))
        elif not isinstance(tool, Mapping):
            made.append(tool)
        elif str(tool.get("type")).startswith("agent_toolset"):
            made += [name for name in _switched_on(tool) if name not in made]
        elif tool.get("type") == "custom":
            made.append(_custom(tool, on_custom_tool))
        else:
            raise ConfigError(
                f"tools: {str(tool.get('type'))!r:.40} runs with HostedAgent only: give a Python function, "
                "the name of a built-in tool, or a custom tool."
            )
    return made


def asking(tools: Iterable[Any]) -> dict[str, str]:
    """The policies that toolsets have: what asks there asks here. What is allowed there, in a container, is
    not for that allowed here."""
    found: dict[str, str] = {}
    for tool in tools:
        if isinstance(tool, Mapping) and str(tool.get("type")).startswith("agent_toolset"):
            default, configs = _parts(tool)
            for name, here in HERE.items():
                policy = configs.get(name, {}).get("permission_policy", default.get("permission_policy"))
                if policy == {"type": "always_ask"}:
                    found[here] = "ask"
    return found


def _parts(toolset: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Mapping[str, Any]]]:
    """The toolset's default and its tools by name."""
    default, configs = toolset.get("default_config") or {}, toolset.get("configs") or ()
    is_right = isinstance(default, Mapping) and isinstance(configs, list | tuple)
    if not is_right or not all(isinstance(each, Mapping) and each.get("name") for each in configs):
        raise ConfigError('tools: write a toolset as {"type": …, "configs": [{"name": "bash"}]}.')
    return default, {str(each["name"]): each for each in configs}


def _switched_on(toolset: Mapping[str, Any]) -> list[str]:
    default, configs = _parts(toolset)
    for name, each in configs.items():
        if name not in HERE and each.get("enabled", True):
            raise ConfigError(
                f"tools: {name!r:.40} of a toolset runs with HostedAgent only; here run {', '.join(HERE)}."
            )
    usual = default.get("enabled", True)
    return [here for name, here in HERE.items() if configs.get(name, {}).get("enabled", usual)]


def _custom(tool: Mapping[str, Any], on_custom_tool: Callable[..., Any] | None) -> Tool:
    name, schema = str(tool.get("name")), tool.get("input_schema")

    def call(**arguments: Any) -> Any:
        if on_custom_tool is None:
            raise ConfigError(f"Nothing answers the tool {name}: give LocalAgent on_custom_tool=….")
        return on_custom_tool(name, arguments)

    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise ConfigError(f'tools: {name!r:.60} needs an input_schema {{"type": "object", …}}.')
    call.__name__ = name
    return replace(Tool.of(call), description=str(tool.get("description") or ""), schema=dict(schema))
