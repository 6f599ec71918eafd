"""A cell with `%%agent`: it starts a turn, shows it, and waits for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from .. import plain, render
from ..backends.base import checked
from ..errors import ConfigError
from ..usage.price_file import amount
from ..verdicts import ask_by_input
from .arguments import unquoted
from .display import show, takes_clicks
from .fill import fill
from .magics import can_await
from .toolbox_magic import tools_named
from .usage_settings import give_budget

if TYPE_CHECKING:
    from ..run import Run
    from ..turn import Turn
    from .magics import Extension


class TurnInterrupted(KeyboardInterrupt):
    """The user interrupted the cell: later cells of a Run All must not run."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"]


def run_cell(extension: Extension, arguments: Any, cell: str) -> Any:
    """Start the turn, and wait for it where nothing can be awaited; else return what the cell awaits."""
    (run, shown), name = _begin(extension, arguments, cell), arguments.out
    if arguments.bg:
        # The Run is `_` and `name`: it can be awaited, waited for and stopped.
        _keep(extension.shell, run, name)
        return Nothing() if can_await(extension.shell) else None
    if can_await(extension.shell):
        return Waiting(extension, run, shown, name)
    _block(extension.shell, run, shown, name)
    return None


def _begin(extension: Extension, arguments: Any, cell: str) -> tuple[Run, Future[None]]:
    """Start the turn and show it; the future is done when what stays of the turn is in the cell. Whatever may
    be refused is looked at before anything is changed."""
    shell, defaults, conversations = extension.shell, extension.magics, extension.conversations
    prompt, notes = (cell, []) if arguments.raw else fill(cell, shell.user_ns, shell.user_ns_hidden)
    prompt = checked(prompt).strip()
    budget = None if arguments.budget is None else amount(arguments.budget, "--budget")
    if budget == 0:
        raise ConfigError("--budget must be more than $0.")
    session = unquoted(arguments.session)
    conversation = conversations.get(
        session or arguments.backend or "main",
        extension.backend(arguments.backend or (None if arguments.model else defaults.backend)),
        new=arguments.new,
        is_named=bool(session),
        model=arguments.model or (None if arguments.backend else defaults.model) or None,
        system=unquoted(arguments.system) or defaults.system or None,
        max_turns=arguments.max_turns or defaults.max_turns or None,
        tools=tools_named(arguments.tools, shell.user_ns),
    )
    in_terminal = not hasattr(shell, "kernel")
    give_budget(conversation.backend)
    if missed := conversations.attach(conversation):
        extension.show_missed(missed)
    run: Run = conversations.begin(
        conversation,
        prompt,
        notices=tuple(notes),
        lend=not arguments.bg,
        stream=in_terminal and not arguments.bg,
        budget=budget,
        asker=None if arguments.bg or takes_clicks(shell, defaults.live) else ask_by_input,
    )
    if not in_terminal:
        return run, show(run, shell, defaults.live, background=arguments.bg).done
    nothing: Future[None] = Future()
    nothing.set_result(None)
    return run, nothing


class Nothing:
    """For the `await` that stands before our cells."""

    def __await__(self) -> Iterator[Any]:
        return iter(())


class Waiting:
    """Waits for the turn when it is awaited, without blocking the kernel. Where nobody does, the magic having
    been called in a function say, the turn goes on by itself when the cell has ended."""

    def __init__(self, extension: Extension, run: Run, shown: Future[None], name: str | None) -> None:
        self._shell, self._conversations = extension.shell, extension.conversations
        self._run, self._shown, self._name = run, shown, name
        self._is_awaited = False
        self._shell.events.register("post_run_cell", self._cell_has_ended)

    def __await__(self) -> Generator[Any, None, None]:
        self._is_awaited = True
        return self._wait().__await__()

    async def _wait(self) -> None:
        try:
            await self._run
            await asyncio.wrap_future(self._shown)
            await self._conversations.settled()
        except (asyncio.CancelledError, KeyboardInterrupt):
            _keep(self._shell, self._run.turn, self._name)
            raise TurnInterrupted from None
        _end(self._shell, self._run.turn, self._name)

    def _cell_has_ended(self, result: Any) -> None:
        self._shell.events.unregister("post_run_cell", self._cell_has_ended)
        if not self._is_awaited:
            self._run.leave()
            _keep(self._shell, self._run, self._name)


def _block(shell: Any, run: Run, shown: Future[None], name: str | None) -> None:
    """Wait for the turn; in a terminal, write the text as it comes."""
    try:
        for text in run.text():
            sys.stdout.write(plain.clean(text))
            sys.stdout.flush()
        shown.result()
    except KeyboardInterrupt:
        _keep(shell, run.turn, name)
        raise TurnInterrupted from None
    finally:
        if not hasattr(shell, "kernel"):
            sys.stdout.write(f"\n{render.below_text(run.turn)}\n")
    _end(shell, run.turn, name)


def _end(shell: Any, turn: Turn, name: str | None) -> None:
    _keep(shell, turn, name)
    if turn.error is not None:
        raise turn.error


def _keep(shell: Any, turn: Turn | Run, name: str | None) -> None:
    """The Turn as `_`, Out[n] and `name`; it is shown already, so it is not the cell's value."""
    shell.displayhook.update_user_ns(turn)
    if name:
        shell.push({name: turn})
