"""`%agent policy`, and which tools the names of `-t` mean."""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from ...runtime.approvals import digest_of
from ...runtime.deadlock import callers
from ...runtime.main_thread import main_thread_is_busy
from ...tools.builtin.registry import NAMES
from ...tools.policy import check_policy, policies, set_policy
from ..views import tables

USUAL = "as the agent is set; else functions of yours run, and run_python, write_file, execute_command ask"


def tools_named(names: str | None, variables: dict[str, Any]) -> list[Any] | None:
    """The tools that `-t` names: the notebook's functions, else ours by name. Raises ConfigError."""
    if names is None:
        return None
    return [_tool(name.strip(), variables) for name in names.split(",") if name.strip()]


def _tool(name: str, variables: dict[str, Any]) -> Any:
    # A module may be called inspect: only what can be called stands before ours.
    if name in NAMES and not callable(variables.get(name)):
        return name
    if name not in variables:
        raise ConfigError(
            f"No function {name!r} in this notebook: define it before you name it with -t. "
            f"Built in are {', '.join(NAMES)}."
        )
    return variables[name]


def policy_command(extension: Any, rest: str) -> None:
    """`%agent policy [TOOL allow|ask|deny]`: for all agents of this kernel, and at once."""
    words = rest.split()
    if not words:
        rows = [[name, policies.get(name, "—")] for name in [*NAMES, *policies]]
        tables.table(
            extension.shell,
            ["tool", "policy"],
            list(map(list, dict.fromkeys(map(tuple, rows)))),
            [f"—: {USUAL}."],
        )
        return
    if len(words) != 2:
        raise ConfigError("Say `%agent policy TOOL allow`, `ask` or `deny`.")
    name, policy = words[0], check_policy(words[0], words[1])
    if not _runs_here(extension, name):
        raise ConfigError(
            f"No tool {name!r:.60} runs here: built in are {', '.join(NAMES)}; others are your "
            "functions. For what runs in a hosted agent's container its permission_policy decides."
        )
    # What a model's code says is not the user's word.
    set_policy(name, policy, by_code=main_thread_is_busy() or bool(callers()))
    for conversation in extension.conversations:
        # A yes for the session was given before this.
        conversation.backend.session.allowed_tools.discard(name)
        for run in conversation.runs:
            for call in run.turn.waiting:
                if call.name == name and policy != "ask":
                    # The question that stands is answered by this.
                    if policy == "allow":
                        run.approve(call.id, digest_of(call))
                    else:
                        run.deny(call.id)
    said = {"allow": "runs without asking", "ask": "asks before each call", "deny": "never runs"}[policy]
    tables.show(extension.shell, f"{name} {said}, for all agents of this kernel.")


def _runs_here(extension: Any, name: str) -> bool:
    if name in NAMES or callable(extension.shell.user_ns.get(name)):
        return True
    configs = [getattr(each.backend, "config", None) for each in extension.conversations]
    tools = [tool for config in configs for tool in getattr(config, "tools", None) or ()]
    return name in {getattr(tool, "__name__", "") for tool in tools}
