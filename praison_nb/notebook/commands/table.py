"""What `%agent` can do: its commands by name."""

from __future__ import annotations

from collections.abc import Callable

from ... import backends
from ...backends.catalog import available_models
from ...errors import ConfigError
from ..extension import Extension
from ..views.tables import show, table
from . import budgets, files, prices, sessions, tools
from .hosted import hosted
from .show import show_turn


def run_command(extension: Extension, line: str) -> None:
    """Do what the line of `%agent` says. Raises PraisonError."""
    command, _, rest = line.strip().partition(" ")
    if not command:
        sessions.overview(extension)
    elif command in COMMANDS:
        COMMANDS[command](extension, rest.strip())
    else:
        raise ConfigError(
            f"%agent has no command {command!r:.40}. It has {', '.join(COMMANDS)}: see `%agent help`."
        )


def _use(extension: Extension, name: str) -> None:
    magics = extension.magics
    if not name:
        default = magics.model or magics.backend or " ".join(filter(None, backends.choice()))
        show(
            extension.shell,
            f"The default is {default}. `%agent use BACKEND` or `%agent use MODEL` changes it.",
        )
        return
    is_backend = extension.find_backend(name) is not None
    magics.backend, magics.model = (name, "") if is_backend else ("", name)
    extension.conversations.leave("main")
    show(extension.shell, f"%%agent uses {name} from now on, in a new conversation.")


def _models(extension: Extension, rest: str) -> None:
    table(extension.shell, ["model", "where", "ready"], available_models(), numbers=())


def _help(extension: Extension, rest: str) -> None:
    magics = extension.magics
    show(extension.shell, f"{magics.agent.__doc__}\n{magics.agent_line.__doc__}")


COMMANDS: dict[str, Callable[[Extension, str], None]] = {
    "stop": sessions.stop,
    "allow": tools.allow,
    "deny": tools.deny,
    "policy": tools.policy,
    "reset": sessions.reset,
    "compact": sessions.compact,
    "files": files.files,
    "show": show_turn,
    "sessions": sessions.all_sessions,
    "resume": sessions.resume,
    "rename": sessions.rename,
    "archive": sessions.archive,
    "delete": sessions.delete,
    "forget": sessions.forget,
    "hosted": hosted,
    "use": _use,
    "models": _models,
    "chat": sessions.chat,
    "budget": budgets.budget_command,
    "price": prices.price_command,
    "prices": prices.prices_command,
    "help": _help,
}
"""Each gets the extension and what stands behind its name. Completion offers these; the docstring of `%agent`
is their help page and has them in this order."""
