"""The backends by name."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from ..errors import ConfigError
from ..managed import ManagedBackendProtocol
from .base import Backend
from .catalog import choice

ENTRY_POINTS = "praison_nb.backends"
"""A package can register a factory here: `name = "module:factory"`, called with the options of `create`."""

Config = TypeVar("Config")


def register(name: str, factory: Callable[..., Any]) -> None:
    """Make `name` a backend: `factory(**options)` returns an object with the five methods.

    >>> from praison_nb import ScriptedBackend, register
    >>> from praison_nb.backends import create
    >>> register("silent", lambda **options: ScriptedBackend([]))  # now `%%agent -b silent` knows it
    >>> create("silent").begin("Hi").wait().stop_reason
    'end_turn'
    """
    _registered[name] = factory


def names() -> list[str]:
    """The names that `create` knows."""
    return sorted({*_registered, *_plugins()})


def backend_class(name: str) -> type[Backend]:
    """The class of the backends with this `name`, `Backend` itself where it is not known.

    >>> backend_class("hosted").keeps_sessions_on_server, backend_class("custom").keeps_sessions_on_server
    (True, False)
    """
    if name == "hosted":
        from .hosted.agent import HostedAgent

        return HostedAgent
    if name in ("local", "embedded"):
        from .local.agent import LocalAgent

        return LocalAgent
    factory = _registered.get(name)
    return factory if isinstance(factory, type) and issubclass(factory, Backend) else Backend


def create(name: str, **options: Any) -> Backend:
    """The backend `name`, made with `options` (model, system, tools, max_turns, …), those left out that
    are None. Raises ConfigError for a name that nobody registered."""
    factory = _registered.get(name)
    if factory is None and (plugin := _plugins().get(name)):
        factory = plugin.load()
    if factory is None:
        raise ConfigError(
            f"No backend {name!r}. There are: {', '.join(names())}, or a variable that holds one."
        )
    return as_backend(factory(**{key: value for key, value in options.items() if value is not None}))


def _plugins() -> Mapping[str, EntryPoint]:
    # To look into all installed packages takes a while; who installs another one changes its folder.
    return _entry_points(tuple(os.stat(folder).st_mtime_ns for folder in sys.path if os.path.isdir(folder)))


@functools.lru_cache(maxsize=1)
def _entry_points(_changed: tuple[int, ...]) -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def choose(**options: Any) -> Backend:
    """The backend of `choice()`, made with `options`."""
    name, model = choice()
    return create(name, **{"model": model, **{k: v for k, v in options.items() if v is not None}})


def is_same(first: str, second: str) -> bool:
    """Whether two names mean one backend: "local" and "embedded" differ in their models only."""
    return first == second or {first, second} == {"local", "embedded"}


def with_model_of(name: Any, options: dict[str, Any], model: str = "") -> dict[str, Any]:
    """`options`, and the model that the backend `name` means: what is asked of "embedded" reaches no other
    model. `model` is the one used so far. Raises ConfigError."""
    if name != "embedded":
        return options
    from .local.providers import embedded, is_embedded

    return {**options, "model": embedded(options.get("model", model if is_embedded(model) else "embedded"))}


def _hosted(**options: Any) -> Backend:
    from .hosted.agent import HostedAgent
    from .hosted.config import HostedAgentConfig

    if tools := options.get("tools"):
        # Functions come beside what the container has.
        options["tools"] = [*tools, *HostedAgentConfig.tools]
    return HostedAgent(config=_config(HostedAgentConfig, "hosted", options))


def _local(backend: str = "local", /, **options: Any) -> Backend:
    from .local.agent import LocalAgent
    from .local.config import LocalAgentConfig

    return LocalAgent(config=_config(LocalAgentConfig, backend, options))


def _embedded(**options: Any) -> Backend:
    return _local("embedded", **with_model_of("embedded", options))


def _config(kind: type[Config], name: str, options: dict[str, Any]) -> Config:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := ", ".join(sorted(set(options) - known)):
        raise ConfigError(f"The {name} backend has no {unknown}: leave it out.")
    return kind(**options)


_registered: dict[str, Callable[..., Any]] = {"hosted": _hosted, "local": _local, "embedded": _embedded}
_adapters: weakref.WeakValueDictionary[int, Backend] = weakref.WeakValueDictionary()


def as_backend(value: Any) -> Backend:
    """`value` as a Backend: itself, an Agent's, or a user's own object with the five methods, wrapped once.
    Raises ConfigError that names what is missing."""
    if isinstance(value, Backend):
        return value
    if isinstance(inner := getattr(value, "backend", None), Backend):
        return inner
    if isinstance(value, type) or not isinstance(value, ManagedBackendProtocol):
        wanted = ("execute", "stream", "reset_session", "reset_all", "retrieve_session")
        missing = ", ".join(method for method in wanted if not hasattr(value, method))
        kind = (
            f"the class {value.__name__}: make an object of it"
            if isinstance(value, type)
            else f"{value!r:.80}"
        )
        raise ConfigError(f"Not a backend: {kind}." + (f" It lacks {missing}." if missing else ""))
    from .custom import CustomBackend

    # By identity: an adapter keeps its object alive, so an id in here is never another object's.
    adapter = _adapters.get(id(value))
    if adapter is None:
        adapter = _adapters[id(value)] = CustomBackend(value)
    return adapter
