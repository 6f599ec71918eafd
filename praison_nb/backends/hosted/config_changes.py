"""What a change of a config changes on the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .config import AGENT_FIELDS, HostedAgentConfig, names_of


def changed_config(
    config: HostedAgentConfig, changes: dict[str, Any], restored_tools: frozenset[str]
) -> tuple[HostedAgentConfig, frozenset[str]]:
    """`config` with the changes, and which fields of the agent on the server that changes. `restored_tools`
    are on the server already, whether they run here by now or not yet. Raises ConfigError."""
    tools = changes.get("tools")
    if restored_tools and isinstance(tools, list | tuple) and (named := names_of(tools)) <= restored_tools:
        kept = [tool for tool in config.tools if tool not in tools and not names_of([tool]) & named]
        changes = {**changes, "tools": [*tools, *kept]}
    changed = replace(config, **changes)
    before, after = config.agent_params(), changed.agent_params()
    for params in (before, after):
        declared = params.get("tools", ())
        params["tools"] = [tool for tool in declared if tool.get("name") not in restored_tools]
    names = AGENT_FIELDS & {"tools" if name == "output" else name for name in changes}
    return changed, frozenset(name for name in names if before.get(name) != after.get(name))


def update_params(
    before: HostedAgentConfig, after: HostedAgentConfig, changed: frozenset[str]
) -> dict[str, Any]:
    """The changed fields as an update has them: what is empty clears, and metadata is a patch."""
    full = after.agent_params()
    params = {name: full.get(name) for name in changed}
    if "metadata" in changed:
        params["metadata"] = {**dict.fromkeys(before.metadata), **after.metadata}
    return params
