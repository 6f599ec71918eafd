"""Tools that come with the package. None is there until it is named: `%%agent -t read_file,run_python`, or
`LocalAgentConfig(tools=["read_file", my_function])`. What changes something asks before each call.

>>> sorted(name for name in NAMES if make(name).policy == "ask")
['execute_command', 'run_python', 'write_file']
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..errors import ConfigError
from ..tools import Policy, Tool, tools_of

NAMES = ("run_python", "inspect", "read_file", "write_file", "list_files", "execute_command")

Call = Callable[[Callable[[], Any], bool], Awaitable[Any]]
"""`run.call`: runs a function (awaited where the second is True) where the user's own functions run."""


async def _call_apart(function: Callable[[], Any], is_async: bool) -> Any:
    return await (function() if is_async else asyncio.to_thread(function))


def make(name: str, working_dir: str = "", call: Call = _call_apart) -> Tool:
    """The tool `name`. Files and commands stay in `working_dir`, by default the notebook's folder; both are
    looked up now, and once. Raises ConfigError for a name or a folder that there is not."""
    from . import commands, files, python, variables

    folder = _folder(working_dir)
    makers: dict[str, tuple[Callable[..., Any], Policy]] = {
        "run_python": (functools.partial(python.tool, call), "ask"),
        "inspect": (functools.partial(variables.tool, call), "allow"),
        "read_file": (functools.partial(files.reader, folder), "allow"),
        "write_file": (functools.partial(files.writer, folder), "ask"),
        "list_files": (functools.partial(files.lister, folder), "allow"),
        "execute_command": (functools.partial(commands.tool, folder), "ask"),
    }
    if name not in makers:
        known = ", ".join(NAMES)
        raise ConfigError(f"No tool {name!r:.60}. There are {known}; else give a Python function.")
    maker, policy = makers[name]
    return Tool.of(maker(), policy=policy, on_loop=True)


def _folder(working_dir: str) -> str:
    from . import place

    try:
        folder = os.path.realpath(os.path.join(place.current(), os.path.expanduser(working_dir or ".")))
    except FileNotFoundError:
        raise ConfigError("The notebook's folder does not exist any more: %cd to another.") from None
    if not os.path.isdir(folder):
        raise ConfigError(f"working_dir={working_dir!r:.200}: there is no folder {folder!r:.200}.")
    return folder


def resolve(
    tools: Iterable[Callable[..., Any] | str], working_dir: str = "", call: Call = _call_apart
) -> Any:
    """The tools by name: the user's functions, and ours where a string names one. Raises ConfigError."""
    if isinstance(tools, str):
        raise ConfigError(f"tools must be a list, such as [{tools!r:.60}].")
    return tools_of(make(tool, working_dir, call) if isinstance(tool, str) else tool for tool in tools)


HIDDEN = "[key]"
"""What stands in a secret's place."""
_SHORTEST_SECRET = 8
_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


def is_secret(variable: str) -> bool:
    """Whether an environment variable's name says that it holds a secret.

    >>> is_secret("OPENAI_API_KEY"), is_secret("HOME")
    (True, False)
    """
    return bool(_SECRET_NAME.search(variable))


def hide(text: str) -> str:
    """`text` without the secrets of this process's environment."""
    if len(text) < _SHORTEST_SECRET:
        # Most of what code prints: walking the environment takes far longer than printing.
        return text
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and value in text and is_secret(name):
            text = text.replace(value, HIDDEN)
    return text
