"""Tab completion of what `%%agent` and `%agent` take."""

from __future__ import annotations

import inspect
from typing import Any

from .. import backends
from ..backends.base import Backend
from ..backends.catalog import suggested
from ..tools.builtin.registry import NAMES
from .commands import sessions
from .commands.table import COMMANDS


def complete(extension: Any, shell: Any, event: Any) -> list[str]:
    """What can stand at the cursor. `event.line` is the line so far, `event.symbol` the word begun."""
    words = event.line.split()
    before = words[-1] if event.line.endswith(" ") or len(words) < 2 else words[-2]
    if event.line.startswith("%%"):
        options = extension.magics.agent.parser._option_string_actions
        option = options.get(before)
        if option is None or option.nargs == 0:
            return list(options)
        return _values(option.dest, extension, shell, event.symbol)
    match before:
        case "use":
            return _backends(shell)
        case "-s" | "show" | "resume" | "archive" | "delete" | "rename" | "forget":
            return sessions.names(extension.conversations)
        case "stop" | "allow" | "deny" | "reset":
            return [conversation.name for conversation in extension.conversations]
        case "policy":
            return list(NAMES)
    return list(COMMANDS) if before == words[0] else []


def _values(option: str, extension: Any, shell: Any, begun: str) -> list[str]:
    """What an option of `%%agent` can be given; [] where that is the user's own."""
    match option:
        case "backend":
            return _backends(shell)
        case "model":
            return suggested()
        case "session":
            return sessions.names(extension.conversations)
        case "tools":
            done, _, _ = begun.rpartition(",")
            names = [*_names(shell.user_ns, inspect.isfunction), *NAMES]
            return [f"{done},{name}" if done else name for name in names]
    return []


def _backends(shell: Any) -> list[str]:
    variables = _names(shell.user_ns, lambda value: isinstance(value, Backend) or _is_agent(value))
    return [*backends.names(), *variables]


def _names(variables: dict[str, Any], wanted: Any) -> list[str]:
    return [name for name, value in variables.items() if not name.startswith("_") and wanted(value)]


def _is_agent(value: Any) -> bool:
    return isinstance(getattr(value, "backend", None), Backend)
