"""What an administrator sets for all users of a machine: budgets, models, tools' policies, in the system's
IPython configuration (/etc/ipython/ipython_config.py, or etc/ipython of the environment):

    c.AgentLimits.budgets = {"day": 5, "month": 50}
    c.AgentLimits.allowed_models = ["gpt-5-mini", "ollama/*"]
    c.AgentLimits.policies = {"run_command": "deny"}
    c.AgentLimits.timezone = "Europe/Berlin"

The user's own profile is not read for these: what it says, or `%agent budget off`, lifts none of them.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .money import parse_usd

BUDGETS = ("day", "week", "month", "user", "session", "notebook")
POLICIES = ("allow", "ask", "deny")


@functools.cache
def folders() -> list[Path]:
    """Where IPython looks for a system's configuration, what counts more last."""
    if os.name == "nt":
        system = [Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "ipython"]
    else:
        system = [Path("/usr/local/etc/ipython"), Path("/etc/ipython")]
    return [*system, Path(sys.prefix) / "etc" / "ipython"]


@dataclass(frozen=True, slots=True)
class Administration:
    """`budgets` in USD by scope, `allowed_models` as patterns (empty: all), `policies` by tool, `timezone` by
    its IANA name, "" where none is set."""

    budgets: Mapping[str, Decimal] = field(default_factory=dict)
    allowed_models: tuple[str, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    timezone: str = ""

    def refusal(self, model: str) -> str:
        """Why `model` may not be asked, "" where it may.

        >>> Administration(allowed_models=("gpt-5-mini", "ollama/*")).refusal("gpt-5")
        'The administrator of this machine allows gpt-5-mini, ollama/*; not gpt-5: name another model.'
        """
        if not self.allowed_models or any(fnmatchcase(model, each) for each in self.allowed_models):
            return ""
        allowed = ", ".join(self.allowed_models)
        return (
            f"The administrator of this machine allows {allowed}; not {model or 'a model without a name'}: "
            "name another model."
        )


def administration() -> Administration:
    """What is set now. Raises ConfigError where it cannot be understood: nothing is allowed by mistake."""
    stamps = []
    for folder in filter(os.path.isdir, map(str, folders())):
        for name in ("ipython_config.json", "ipython_config.py"):
            try:
                about = os.stat(f"{folder}{os.sep}{name}")
            except OSError:
                continue
            stamps.append((folder, name, about.st_mtime_ns, about.st_size))
    return _read(tuple(stamps)) if stamps else Administration()


@functools.lru_cache(maxsize=4)
def _read(files: tuple[tuple[str, str, int, int], ...]) -> Administration:
    from traitlets.config import Config
    from traitlets.config.loader import JSONFileConfigLoader, PyFileConfigLoader

    config = Config()
    for folder, name, _, _ in files:
        loader = PyFileConfigLoader if name.endswith(".py") else JSONFileConfigLoader
        try:
            config.merge(loader(name, path=folder).load_config())
        except Exception as error:
            raise ConfigError(
                f"The system's configuration {folder}/{name} cannot be read ({error!r:.100}): ask its "
                "administrator to mend it."
            ) from error
    return _checked(_limits(config))


def _limits(config: Any) -> Any:
    from traitlets import Dict, List, TraitError, Unicode
    from traitlets.config import Configurable

    class AgentLimits(Configurable):
        """What no user can lift."""

        budgets = Dict(help="USD by scope: day, week, month, user, session, notebook.").tag(config=True)
        allowed_models = List(Unicode(), help="Models as they are named, * for any text.").tag(config=True)
        policies = Dict(help="allow, ask or deny by the tool's name.").tag(config=True)
        timezone = Unicode("", help="Where days begin, such as Europe/Berlin.").tag(config=True)

    try:
        return AgentLimits(config=config)
    except TraitError as error:
        raise ConfigError(f"c.AgentLimits in the system's configuration: {error}") from error


def _checked(limits: Any) -> Administration:
    where = "in the system's configuration"
    for scope in limits.budgets:
        if scope not in BUDGETS:
            raise ConfigError(f"c.AgentLimits.budgets {where} is by {', '.join(BUDGETS)}, not {scope!r:.40}.")
    for tool, policy in limits.policies.items():
        if policy not in POLICIES:
            raise ConfigError(f"c.AgentLimits.policies {where}: {tool!r:.40} is allow, ask or deny.")
    name = f"c.AgentLimits.budgets {where}"
    budgets = {scope: parse_usd(usd, name) for scope, usd in limits.budgets.items()}
    return Administration(budgets, tuple(limits.allowed_models), dict(limits.policies), limits.timezone)
