"""Whether a tool runs at once, after the user's yes, or never."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from ..errors import ConfigError
from ..text import shorten

Policy = Literal["allow", "ask", "deny"]
"""Whether a tool runs at once, after the user's yes, or never."""
policies: dict[str, Policy] = {}
"""What the user set in this process, by the tool's name. It wins over an agent's own settings."""
_by_command: dict[str, Policy] = {}
"""`policies` as the command set them, or as the user was notified of them. Code can write the other."""


def set_policy(tool: str, policy: Policy, *, by_code: bool = False) -> None:
    """Set the user's policy for a tool, as the command does; `by_code` where no user gives the command."""
    policies[tool] = policy
    if not by_code:
        _by_command[tool] = policy


def clear_policies() -> None:
    """Forget what the user set."""
    policies.clear()
    _by_command.clear()


def policy_notices(
    configured: Mapping[str, str], before: Mapping[str, str], own: Mapping[str, str]
) -> tuple[str, ...]:
    """A line for each policy that is another than before and that the command did not set. `configured` and
    `before` are an agent's settings now and at its last turn, `own` the tools' own. Each is reported once."""
    lines = []
    for tool in sorted({*policies, *_by_command, *configured, *before}):
        usual = own.get(tool, "allow")
        was = _by_command.get(tool) or before.get(tool) or usual
        now = policies.get(tool) or configured.get(tool) or usual
        if now != was:
            name = shorten(tool, 60)
            lines.append(
                f"policy of {name} was changed to {now!s:.20} by code in this kernel; "
                f"`%agent policy {name} {was}` restores it"
            )
    _by_command.clear()
    _by_command.update(policies)
    return tuple(lines)


def check_policy(tool: str, policy: object) -> Policy:
    """`policy` if it is one. Raises ConfigError."""
    for known in get_args(Policy):
        if policy == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"The policy of {tool} must be allow, ask or deny, not {policy!r:.60}.")


class CheckedPolicies(dict[str, Policy]):
    """Policies that named tools which there were. They stay as they are when the agent gets other tools.
    `given` is what they were when they were checked."""

    def __init__(self, policies: Mapping[str, Policy] = MappingProxyType({})) -> None:
        super().__init__(policies)
        self.given = MappingProxyType(dict(policies))

    def __reduce__(self) -> Any:
        return CheckedPolicies, (dict(self),)


def check_policies(policies: Mapping[str, str], tools: Iterable[str], also: str = "") -> CheckedPolicies:
    """`policies` if they are policies by the names of `tools`. Raises ConfigError, which says `also` where a
    tool is not among them."""
    if isinstance(policies, CheckedPolicies):
        return policies
    if not isinstance(policies, Mapping):
        raise ConfigError(f"policies must be a dict such as {{'run_python': 'ask'}}, not {policies!r:.60}.")
    known = dict.fromkeys(tools)
    for tool in policies:
        if tool not in known:
            raise ConfigError(
                f"policies: no tool {tool!r:.60} runs here. There are {', '.join(known)}.{also}"
            )
    return CheckedPolicies({tool: check_policy(tool, policy) for tool, policy in policies.items()})
