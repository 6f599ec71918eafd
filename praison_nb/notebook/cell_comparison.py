"""A cell of several models: `%%agent -m a,b,c`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from ..backends import with_model_of
from ..backends.base import Backend
from ..backends.catalog import backend_for_model
from ..errors import ConfigError
from ..rows.compare import NAME, Comparison, fresh_backend
from ..runtime.approvals import Asker, ask_by_input
from ..runtime.options import Subscriber
from .arguments import Named, unquoted
from .commands.tools import tools_named
from .conversations.conversation import make_backend
from .extension import Extension

MakeView = Callable[[Comparison], Subscriber]


def start_comparison(
    extension: Extension,
    arguments: Namespace,
    agents: list[Named],
    prompt: str,
    *,
    blocks: bool,
    **options: Any,
) -> tuple[Comparison, list[Future[None]]]:
    """Begin the turns and show them; `options` are those of Comparison. Raises ConfigError."""
    for name in ("bg", "outcome"):
        if getattr(arguments, name):
            raise ConfigError(f"--{name} is for one model at a time, and these are {len(agents)}.")
    takes_clicks = not blocks and extension.takes_clicks()
    comparison = Comparison(
        prompt,
        [backend_of(extension, arguments, *each) for each in agents],
        names=[" ".join(filter(None, each)) for each in agents],
        session=unquoted(arguments.session) or NAME,
        asker=None if takes_clicks else ask_by_input,
        stream=not hasattr(extension.shell, "kernel"),
        **options,
    )
    done = extension.new_shown_future()
    try:
        view = extension.view_maker(done, background=False, takes_clicks=takes_clicks, in_columns=True)
        return comparison.begin(view), [done]
    except BaseException:
        # It may have started, where an interrupt comes.
        comparison.stop()
        done.cancel()
        raise


def asker_and_view(extension: Extension, *, blocks: bool) -> tuple[Asker | None, MakeView | None]:
    """Who asks about tools of a comparison that code in a cell makes, and what makes its view."""
    if not hasattr(extension.shell, "kernel"):
        # In a terminal the list says it all.
        return ask_by_input, None
    takes_clicks = not blocks and extension.takes_clicks()

    def view(comparison: Comparison) -> Subscriber:
        done = extension.new_shown_future()
        make = extension.view_maker(done, background=False, takes_clicks=takes_clicks, in_columns=True)
        assert make is not None
        return make(comparison)

    return None if takes_clicks else ask_by_input, view


def backend_of(extension: Extension, arguments: Namespace, name: str | None, model: str | None) -> Backend:
    """A backend with a session of its own, which alone has the options. A model may be the name of a backend
    too, or of a variable that holds one."""
    found, defaults = extension.backend(name), extension.magics
    if name is None and model:
        with suppress(ConfigError):
            # A variable that holds something else is none of this.
            found = extension.find_backend(model)
        found, model = (backend_for_model(model), model) if found is None else (found, None)
    options = {
        "model": model,
        "system": unquoted(arguments.system) or defaults.system or None,
        "max_turns": arguments.max_turns or defaults.max_turns or None,
        "tools": tools_named(arguments.tools, extension.shell.user_ns),
        "effort": unquoted(arguments.effort) or None,
    }
    options = {key: value for key, value in options.items() if value is not None}
    if not (found is None or isinstance(found, str)):
        found = fresh_backend(found)
    return make_backend(found, with_model_of(found, options))
