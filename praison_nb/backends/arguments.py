"""Arguments that there are not: each is one line that names what there is instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigError
from ..text import did_you_mean, shorten

P = ParamSpec("P")
T = TypeVar("T")

_PLACES = (
    "tools run in this kernel with LocalAgent, and in the provider's container with HostedAgent; no other "
    "sandbox is offered"
)
_STORE = "conversations of a notebook are kept by themselves, see `%agent sessions`"
INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("compute", "compute_provider", "sandbox", "sandbox_type", "tools_run_on"), _PLACES),
    **dict.fromkeys(("session_store", "db", "memory"), _STORE),
    "backend_registry": "praison_nb.register(name, factory) makes a backend known by its name",
    "run_on": "backend=HostedAgent() runs the whole agent at its provider's",
    "llm": "the model is named by the backend's config, such as LocalAgentConfig(model=…)",
    "packages": "with HostedAgent they are installed in its container; here use %pip install",
    "host_packages_ok": "install packages with %pip install",
    "networking": "with HostedAgent it limits a container; what runs here has this machine's network",
    "env": "set variables with os.environ or %env",
    "callable_agents": "HostedAgentConfig(multiagent=…) has the agents that another one may call",
}
"""What PraisonAI's users may look for, and what there is here."""


def refuse(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error of an argument or field that there is not: `what` begins the line."""
    known = list(known)
    instead = INSTEAD.get(name)
    hint = f": {instead}." if instead else did_you_mean(name, known) or f". There are {', '.join(known)}."
    return ConfigError(f"{what}{shorten(name, 60)}{hint}")


def check_options(method: str, options: Iterable[str], function: Callable[..., Any]) -> None:
    """Raise ConfigError, which names the `method` of ours, for the first of the options that `function`, to
    which they go, does not take.

    >>> check_options("list_sessions", ["statusses"], lambda statuses, order: None)
    Traceback (most recent call last):
    praison_nb.errors.ConfigError: list_sessions has no argument statusses: did you mean 'statuses'?
    """
    known = [name for name in inspect.signature(function).parameters if not name.startswith("extra_")]
    for name in options:
        if name not in known:
            raise refuse(f"{method} has no argument ", name, known)


def check_methods(cls: type[T]) -> type[T]:
    """Decorates a class: the public methods that it defines check their arguments."""
    for name, value in list(vars(cls).items()):
        if inspect.isfunction(value) and not (name.startswith("_") or hasattr(value, "__wrapped__")):
            setattr(cls, name, checked_arguments()(value))
    return cls


def checked_arguments(config: type[Any] | None = None) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a constructor or a method: an argument that it does not take is a ConfigError that names the
    right one, or the field of `config` that it is. Before the config may stand what PraisonAI has there,
    the name of a place."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        known = [name for name in signature.parameters if name not in ("self", "options", "kwargs")]
        takes_any = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())

        @functools.wraps(function)
        def checked(*values: Any, **given: Any) -> Any:
            if known[:1] == ["config"] and len(values) > 1 and isinstance(values[1], str):
                first = "provider" if "provider" in known else "compute"
                given, values = {first: values[1], **given}, (values[0], *values[2:])
            # A method is its object's, wherever it is defined.
            owner = function.__qualname__ if "." not in function.__qualname__ else type(values[0]).__name__
            if function.__name__ not in ("__init__", owner):
                owner += f".{function.__name__}"
            for name in () if takes_any else [each for each in given if each not in known]:
                if name in INSTEAD and (given[name] is None or given[name] == "local"):
                    # What is here is what was asked for.
                    del given[name]
                    continue
                field_names = [each.name for each in fields(config)] if config else []
                if config is not None and name in field_names:
                    raise ConfigError(
                        f"{owner} has no {name}: it is the config's, config={config.__name__}({name}=…)."
                    )
                raise refuse(f"{owner} has no argument ", name, known)
            try:
                return function(*values, **given)
            except TypeError:
                # Of the call, or of what the function does. To bind each call first takes longer than most.
                try:
                    signature.bind(*values, **given)
                except TypeError as error:
                    takes = ", ".join(known) or "no arguments"
                    raise ConfigError(f"{owner}: {error}. It takes {takes}.") from None
                raise

        return checked

    return decorate
