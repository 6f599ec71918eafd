"""A cell with `%%agent`: it starts a turn, shows it, and waits for it.

There are two ways to wait. A cell that `%%agent` begins awaits, and the kernel stays alive. Whoever calls the
magic in code of their own, in a loop, a function or a callback, has their thread blocked and gets the Turn.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any

from ..backends.base import validate_prompt
from ..errors import ConfigError
from ..money import parse_usd
from ..render.text import below_text
from ..runtime import loop
from ..runtime.approvals import ask_by_input
from ..runtime.main_thread import Interrupts
from ..runtime.run import Run
from ..text import strip_control_chars
from ..turn import Turn
from .arguments import unquoted
from .commands.tools import tools_named
from .extension import Extension, shows_late_output
from .fill import fill, fill_options
from .views import choose

GRACE_SECONDS = 5.0
"""An interrupted cell waits at most so long until what stays of its turn is in place."""


class TurnInterrupted(KeyboardInterrupt):
    """The user interrupted the cell: later cells of a Run All must not run."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"]


def run_magic(extension: Extension, arguments: Namespace, cell: str) -> Turn | Run:
    """Start the turn, block until it is over, and return it; with `--bg` the Run, at once where somebody
    reads on. Raises the turn's error, TurnInterrupted, and ConfigError where blocking stops all turns."""
    loop.refuse_to_wait()
    background = arguments.bg and shows_late_output(extension.shell)
    run, pending = _begin(extension, arguments, cell, background=background, blocks=True)
    with _keep_result(extension.shell, run, arguments):
        if not background:
            _block(extension, run, pending)
    return run if arguments.bg else run.turn


async def run_cell(extension: Extension, arguments: Namespace, cell: str) -> None:
    """`run_magic` for a cell that awaits, whose value it is not: it shows the turn already."""
    background = arguments.bg and shows_late_output(extension.shell)
    run, pending = _begin(extension, arguments, cell, background=background, blocks=False)
    with _keep_result(extension.shell, run, arguments):
        if not background:
            try:
                await run
            finally:
                await _wait_until_saved(extension, pending)
            _raise_error(run)


def _begin(
    extension: Extension, arguments: Namespace, cell: str, *, background: bool, blocks: bool
) -> tuple[Run, list[Future[None]]]:
    """Start the turn and show it; the futures are done when what stays of it is in the cell. Whatever may
    be refused is looked at before anything is changed. With `background` the turn goes on when its cell has
    ended; else the cell waits for it, and no click arrives if it `blocks`."""
    shell, defaults, conversations = extension.shell, extension.magics, extension.conversations
    prompt, notes = cell, list[str]()
    if not arguments.raw:
        prompt, notes = fill(cell, shell.user_ns, shell.user_ns_hidden)
        notes += fill_options(arguments, ("system", "session", "model", "backend", "effort"), shell)
    prompt = validate_prompt(prompt).strip()
    budget = None if arguments.budget is None else parse_usd(arguments.budget, "--budget")
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
        effort=unquoted(arguments.effort) or None,
    )
    in_terminal = not hasattr(shell, "kernel")
    reattached = extension.reattach(conversation)
    takes_clicks = background or (not blocks and choose.takes_clicks(shell, defaults.live))
    done = extension.new_shown_future()
    turns = conversation.backend.session
    before = turns.under_way
    try:
        run = conversations.begin(
            conversation,
            prompt,
            notices=tuple(notes),
            caller_waits=not background,
            stream=in_terminal and not background,
            budget=budget,
            asker=None if takes_clicks else ask_by_input,
            view=choose.view_maker(
                shell, defaults.live, background=background, takes_clicks=takes_clicks, done=done
            ),
        )
        return run, [done, *([reattached[1]] if reattached else [])]
    except BaseException:
        # It may have started, where an interrupt comes.
        turns.stop(but=before)
        done.cancel()
        raise


@contextmanager
def _keep_result(shell: Any, run: Run, arguments: Namespace) -> Iterator[None]:
    """However the waiting inside ends, the Turn, with `--bg` the Run, is kept as `_`, as Out[n] and in the
    variable of -o. It is shown already, so it is not the cell's value."""
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise TurnInterrupted from None
    finally:
        kept = run if arguments.bg else run.turn
        shell.displayhook.update_user_ns(kept)
        if arguments.out:
            shell.push({arguments.out: kept})


def _block(extension: Extension, run: Run, pending: list[Future[None]]) -> None:
    """Wait for the turn on the caller's thread; in a terminal, write the text as it comes."""
    is_main = threading.current_thread() is threading.main_thread()
    with ExitStack() as stack:
        try:
            if is_main:
                stack.enter_context(Interrupts().enabled())
            for text in run.text():
                sys.stdout.write(strip_control_chars(text))
                sys.stdout.flush()
        except BaseException:
            # Whoever reads the text stops the turn; an interrupt may come before there is a reader.
            run.stop()
            run.wait()
            raise
        finally:
            if not hasattr(extension.shell, "kernel"):
                sys.stdout.write(f"\n{below_text(run.turn)}\n")
            try:
                loop.run_sync(lambda: _wait_until_saved(extension, pending))
            except KeyboardInterrupt:
                # What stays of the turn is worth another moment.
                loop.run_sync(lambda: asyncio.wait_for(_wait_until_saved(extension, pending), GRACE_SECONDS))
                raise
    _raise_error(run)


async def _wait_until_saved(extension: Extension, pending: list[Future[None]]) -> None:
    """What a cell waits for when its turn is over, so that nothing is lost with the kernel."""
    for each in pending:
        await asyncio.shield(asyncio.wrap_future(each))
    await extension.conversations.wait_until_stored()


def _raise_error(run: Run) -> None:
    if run.turn.error is not None:
        raise run.turn.error
