"""Tab completion of what `%%agent` and `%agent` take."""

from __future__ import annotations

import inspect
from argparse import Action
from collections.abc import Callable, Mapping
from typing import Any, get_args

from .. import backends
from ..backends.base import Backend
from ..backends.catalog import EFFORTS, suggested
from ..tables import is_table
from ..tools.builtin.registry import NAMES
from .commands.table import COMMANDS
from .conversations import stored_sessions
from .expressions import TYPES
from .extension import Extension

BUILTIN_TYPES = ("bool", "float", "int", "list", "str")


def complete(extension: Extension, options: Mapping[str, Action], event: Any) -> list[str]:
    """What can stand at the cursor: `event.line` is the line so far, `event.symbol` the word begun, `options`
    are those of `%%agent`."""
    words = event.line.split()
    before = words[-1] if event.line.endswith(" ") or len(words) < 2 else words[-2]
    if event.line.startswith("%%"):
        option = options.get(before)
        if option is None or option.nargs == 0:
            return list(options)
        return _values(option.dest, extension, event.symbol)
    match before:
        case "use":
            return _backends(extension)
        case "-s" | "compact" | "show" | "resume" | "archive" | "delete" | "rename" | "forget":
            return stored_sessions.names(extension.conversations)
        case "stop" | "allow" | "deny" | "reset":
            return [conversation.name for conversation in extension.conversations]
        case "policy":
            return list(NAMES)
    return list(COMMANDS) if before == words[0] else []


def _values(option: str, extension: Extension, begun: str) -> list[str]:
    """What an option of `%%agent` can be given; [] where that is the user's own."""
    match option:
        case "backend":
            return _backends(extension)
        case "model":
            return suggested()
        case "effort":
            return list(EFFORTS)
        case "session":
            return stored_sessions.names(extension.conversations)
        case "answer_type":
            before, bracket, _ = begun.rpartition("[")
            names = [*_names(extension.shell.user_ns, _is_type), *TYPES, *BUILTIN_TYPES]
            return [f"{before}{bracket}{name}" for name in names]
        case "rows":
            return _names(extension.shell.user_ns, is_table)
        case "tools":
            done, _, _ = begun.rpartition(",")
            names = [*_names(extension.shell.user_ns, inspect.isfunction), *NAMES]
            return [f"{done},{name}" if done else name for name in names]
    return []


def _backends(extension: Extension) -> list[str]:
    return [*backends.names(), *_names(extension.shell.user_ns, _has_backend)]


def _names(variables: dict[str, Any], wanted: Callable[[Any], bool]) -> list[str]:
    return [name for name, value in variables.items() if not name.startswith("_") and wanted(value)]


def _is_type(value: Any) -> bool:
    """Whether answers may be of it, as far as can be seen without pydantic."""
    is_own = isinstance(value, type) and value.__module__ != "builtins" and not issubclass(value, Backend)
    return is_own or bool(get_args(value))


def _has_backend(value: Any) -> bool:
    return isinstance(value, Backend) or isinstance(getattr(value, "backend", None), Backend)
