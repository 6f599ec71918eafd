"""Tab completion of what `%%agent` and `%agent` take."""

from __future__ import annotations

import inspect
from typing import Any

from .. import backends, toolbox
from ..backends.base import Backend
from ..backends.catalog import suggested

OPTIONS = ["-b", "-m", "-s", "-t", "-o", "--new", "--system", "--max-turns", "--budget", "--bg", "--raw"]
COMMANDS = [
    "stop",
    "allow",
    "deny",
    "policy",
    "reset",
    "chat",
    "sessions",
    "resume",
    "rename",
    "archive",
    "delete",
    "forget",
    "use",
    "models",
    "price",
    "budget",
    "help",
]


def complete(extension: Any, shell: Any, event: Any) -> list[str]:
    """What can stand at the cursor. `event.line` is the line so far, `event.symbol` the word begun."""
    words = event.line.split()
    before = words[-1] if event.line.endswith(" ") or len(words) < 2 else words[-2]
    variables = shell.user_ns
    match before:
        case "-b" | "use":
            return [*backends.names(), *_names(variables, lambda v: isinstance(v, Backend) or _is_agent(v))]
        case "-m":
            return suggested()
        case "-s" | "resume" | "archive" | "delete" | "rename" | "forget":
            from . import session_commands

            return session_commands.names(extension.conversations)
        case "stop" | "allow" | "deny" | "reset":
            return [conversation.name for conversation in extension.conversations]
        case "-t":
            done, _, _ = event.symbol.rpartition(",")
            names = [*_names(variables, inspect.isfunction), *toolbox.NAMES]
            return [f"{done},{name}" if done else name for name in names]
        case "policy":
            return list(toolbox.NAMES)
        case "-o" | "--system" | "--max-turns":
            return []
    return OPTIONS if event.line.startswith("%%") else COMMANDS


def _names(variables: dict[str, Any], wanted: Any) -> list[str]:
    return [name for name, value in variables.items() if not name.startswith("_") and wanted(value)]


def _is_agent(value: Any) -> bool:
    return isinstance(getattr(value, "backend", None), Backend)
