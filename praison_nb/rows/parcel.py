"""An agent on its way to workers: its config and functions, and the name of the variable that has its key
there, never a key."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from .. import redaction
from ..backends.base import Backend
from ..backends.config_base import Secret
from ..backends.local.agent import LocalAgent
from ..backends.local.config import LocalAgentConfig
from ..backends.local.providers import clean_key
from ..errors import ConfigError, MissingKeyError
from ..text import describe_exception


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a worker makes the agent of."""

    config: LocalAgentConfig
    key_variable: str
    on_tool_confirmation: Callable[..., Any] | None
    on_custom_tool: Callable[..., Any] | None
    retries: int

    def backend(self) -> LocalAgent:
        """The agent. Raises MissingKeyError where its variable is not set."""
        config = self.config
        if name := self.key_variable:
            if not (key := os.environ.get(name)):
                raise MissingKeyError(
                    f"{name} is not set on the worker {socket.gethostname()}: set it where the workers start."
                )
            config = replace(config, api_key=key)
        return LocalAgent(
            config, on_tool_confirmation=self.on_tool_confirmation, on_custom_tool=self.on_custom_tool
        )


def pack(backend: Backend, retries: int) -> bytes:
    """A pickle of the agent's Parcel. Raises ConfigError for an agent that does not run on workers, and for
    one that holds a secret or what cannot be pickled."""
    if not isinstance(backend, LocalAgent):
        raise ConfigError(
            f"executor= takes agents whose loop runs here, such as LocalAgent, and not a {backend.name} one."
        )
    config = backend.config
    variable = _key_variable(config)
    public = config.__getstate__()
    for each in fields(config):
        if each.name != "api_key" and public[each.name] != getattr(config, each.name):
            raise ConfigError(
                f"{each.name} holds a secret, which goes to no worker: give the key by a variable of the "
                "environment that is set on each worker, and leave it out here."
            )
    made = Parcel(config, variable, backend.on_tool_confirmation, backend.on_custom_tool, retries)
    try:
        parcel = _dumps(made)
    except Exception as error:
        raise ConfigError(
            f"The agent cannot go to workers ({describe_exception(error)}): define its functions in a module "
            "that the workers can import, or install cloudpickle here and there."
        ) from None
    if name := redaction.known_in(parcel.decode("latin-1")):
        raise ConfigError(
            f"A function of the agent's holds a secret ({name}), which goes to no worker: read it from the "
            "environment within the function, and set the variable where the workers start."
        )
    return parcel


def _dumps(parcel: Parcel) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        return pickle.dumps(parcel)
    made: bytes = cloudpickle.dumps(parcel)
    return made


def _key_variable(config: LocalAgentConfig) -> str:
    """The name of the variable that `api_key` is from, "" where the provider's own is used."""
    key = clean_key(Secret.of(config.api_key))
    if not key:
        return ""
    if found := sorted(name for name, value in os.environ.items() if clean_key(value) == key):
        return found[0]
    raise ConfigError(
        "api_key= is a value that no variable of the environment has, and keys do not go to workers: set a "
        'variable such as MY_KEY here and on each worker, and give api_key=os.environ["MY_KEY"].'
    )
