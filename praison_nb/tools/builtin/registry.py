"""Tools that come with the package. None is there until it is named: `%%agent -t read_file,run_python`, or
`LocalAgentConfig(tools=["read_file", my_function])`. What changes something asks before each call.

>>> sorted(name for name in NAMES if make(name).policy == "ask")
['execute_command', 'run_python', 'write_file']
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ...errors import ConfigError
from ...runtime.function_call import run_in_pool
from ..policy import Policy
from ..tool import Call, Tool, tools_of

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "run_python": "ask",
        "inspect": "allow",
        "read_file": "allow",
        "write_file": "ask",
        "list_files": "allow",
        "execute_command": "ask",
    }
)
NAMES = tuple(POLICIES)


def make(name: str, working_dir: str = "", call: Call = run_in_pool) -> Tool:
    """The tool `name`. Files and commands stay in `working_dir`, by default the notebook's folder; both are
    looked up now, and once. Raises ConfigError for a name or a folder that there is not."""
    from . import commands, files, python, variables

    folder = _folder(working_dir)
    makers: dict[str, Callable[..., Any]] = {
        "run_python": functools.partial(python.tool, call),
        "inspect": functools.partial(variables.tool, call),
        "read_file": functools.partial(files.reader, folder),
        "write_file": functools.partial(files.writer, folder),
        "list_files": functools.partial(files.lister, folder),
        "execute_command": functools.partial(commands.tool, folder),
    }
    if name not in makers:
        known = ", ".join(NAMES)
        raise ConfigError(f"No tool {name!r:.60}. There are {known}; else give a Python function.")
    return Tool.of(makers[name](), policy=POLICIES[name], on_loop=True)


def _folder(working_dir: str) -> str:
    from . import working_dir as place

    try:
        folder = os.path.realpath(os.path.join(place.current(), os.path.expanduser(working_dir or ".")))
    except FileNotFoundError:
        raise ConfigError("The notebook's folder does not exist any more: %cd to another.") from None
    except ValueError:
        raise ConfigError(f"working_dir={working_dir!r:.200} is no path.") from None
    if not os.path.isdir(folder):
        raise ConfigError(f"working_dir={working_dir!r:.200}: there is no folder {folder!r:.200}.")
    return folder


def resolve(
    tools: Iterable[Callable[..., Any] | str | Tool], working_dir: str = "", call: Call = run_in_pool
) -> dict[str, Tool]:
    """The tools by name: the user's functions, and built-in ones that strings name. Raises ConfigError."""
    if isinstance(tools, str):
        raise ConfigError(f"tools must be a list, such as [{tools!r:.60}].")
    if not isinstance(tools, Collection):
        raise ConfigError(f"tools must be a list of functions and names, not {type(tools).__name__}.")
    if working_dir is not None and not isinstance(working_dir, str | os.PathLike):
        raise ConfigError(f"working_dir must be a folder's path, not {working_dir!r:.60}.")
    return tools_of(make(tool, working_dir, call) if isinstance(tool, str) else tool for tool in tools)
