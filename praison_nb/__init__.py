"""Managed agents in Jupyter notebooks, and what they cost.

    %load_ext praison_nb

    %%agent
    Which columns of {df} explain churn best?

In Python:

>>> from praison_nb import Agent, LocalAgent, LocalAgentConfig
>>> agent = Agent(name="helper", backend=LocalAgent(config=LocalAgentConfig(model="embedded")))
>>> agent.retrieve_session()["status"]
'none'

Importing this loads no SDK and opens no socket; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import Agent as Agent
    from .backends import register as register
    from .backends.hosted.agent import HostedAgent as HostedAgent
    from .backends.hosted.config import (
        HostedAgentConfig as HostedAgentConfig,
        NetworkingConfig as NetworkingConfig,
        PackagesConfig as PackagesConfig,
    )
    from .backends.legacy import (
        AnthropicManagedAgent as AnthropicManagedAgent,
        LocalManagedAgent as LocalManagedAgent,
        LocalManagedConfig as LocalManagedConfig,
        ManagedAgent as ManagedAgent,
        ManagedBackendConfig as ManagedBackendConfig,
        ManagedConfig as ManagedConfig,
        NetworkingType as NetworkingType,
    )
    from .backends.local.agent import LocalAgent as LocalAgent
    from .backends.local.config import LocalAgentConfig as LocalAgentConfig
    from .backends.scripted import ScriptedBackend as ScriptedBackend
    from .errors import PraisonError as PraisonError
    from .managed import ManagedBackendProtocol as ManagedBackendProtocol
    from .metering.analysis.frame import usage as usage
    from .metering.analysis.reconcile import reconcile as reconcile
    from .notebook import chat as chat, sessions as sessions
    from .notebook.widgets.badges import StatusBadge as StatusBadge, UsagePanel as UsagePanel
    from .notebook.widgets.chat.widget import SessionWidget as SessionWidget
    from .notebook.widgets.sessions.widget import SessionBrowser as SessionBrowser
    from .rows.answer_file import AnswerFile as AnswerFile
    from .rows.api import map as map
    from .rows.compare import compare as compare
    from .rows.plan import Plan as Plan
    from .session import SessionInfo as SessionInfo, Usage as Usage
    from .turn import Turn as Turn

__version__ = "0.1.0"

_MODULES = {
    "agent": ["Agent"],
    "backends": ["register"],
    "backends.hosted.agent": ["HostedAgent"],
    "backends.hosted.config": ["HostedAgentConfig", "NetworkingConfig", "PackagesConfig"],
    "backends.legacy": [
        *("AnthropicManagedAgent", "LocalManagedAgent", "LocalManagedConfig", "ManagedAgent"),
        *("ManagedBackendConfig", "ManagedConfig", "NetworkingType"),
    ],
    "backends.local.agent": ["LocalAgent"],
    "backends.local.config": ["LocalAgentConfig"],
    "backends.scripted": ["ScriptedBackend"],
    "errors": ["PraisonError"],
    "managed": ["ManagedBackendProtocol"],
    "metering.analysis.frame": ["usage"],
    "metering.analysis.reconcile": ["reconcile"],
    "notebook": ["chat", "sessions"],
    "notebook.widgets.badges": ["StatusBadge", "UsagePanel"],
    "notebook.widgets.chat.widget": ["SessionWidget"],
    "notebook.widgets.sessions.widget": ["SessionBrowser"],
    "rows.answer_file": ["AnswerFile"],
    "rows.api": ["map"],
    "rows.compare": ["compare"],
    "rows.plan": ["Plan"],
    "session": ["SessionInfo", "Usage"],
    "turn": ["Turn"],
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name == "backend_registry":
        from .backends.arguments import INSTEAD
        from .errors import ConfigError

        raise ConfigError(f"There is no {name}: {INSTEAD[name]}.")
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext praison_nb`: the magics `%%agent`, `%agent` and `%usage`.

    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> from praison_nb import load_ipython_extension, unload_ipython_extension
    >>> shell = InteractiveShell()
    >>> load_ipython_extension(shell)
    >>> "agent" in shell.magics_manager.magics["cell"], "usage" in shell.magics_manager.magics["line"]
    (True, True)
    >>> unload_ipython_extension(shell)
    """
    from .notebook import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext praison_nb`: undo exactly what `%load_ext` did, and stop the turns under way.

    >>> from IPython.core.interactiveshell import InteractiveShell
    >>> from praison_nb import load_ipython_extension, unload_ipython_extension
    >>> shell = InteractiveShell()
    >>> load_ipython_extension(shell)
    >>> unload_ipython_extension(shell)
    >>> "agent" in shell.magics_manager.magics["cell"]
    False
    """
    from .notebook import unload

    unload(shell)
