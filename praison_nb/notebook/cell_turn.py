"""A turn of a cell or of a command: it is started, shown, and waited for."""

from __future__ import annotations

import asyncio
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..runtime import loop
from ..runtime.approvals import ask_by_input
from ..runtime.main_thread import Interrupts
from ..runtime.run import Run
from ..text import strip_control_chars
from ..turn import Turn
from .conversations.conversation import Conversation
from .extension import Extension

if TYPE_CHECKING:
    from ..rows.compare import Comparison
    from ..rows.turns import Turns

GRACE_SECONDS = 5.0
"""An interrupted cell waits at most so long until what stays of its turn is in place."""


class TurnInterrupted(KeyboardInterrupt):
    """The user interrupted the cell: later cells of a Run All must not run."""

    def _render_traceback_(self) -> list[str]:
        return ["KeyboardInterrupt: the turn was stopped; its text and usage so far are kept"]


def start(
    extension: Extension,
    conversation: Conversation,
    begin: Callable[..., Run],
    *,
    background: bool,
    blocks: bool,
) -> tuple[Run, list[Future[None]]]:
    """Begin the turn and show it."""
    in_terminal = not hasattr(extension.shell, "kernel")
    reattached = extension.reattach(conversation)
    takes_clicks = background or (not blocks and extension.takes_clicks())
    done = extension.new_shown_future()
    turns = conversation.backend.session
    before = turns.under_way
    try:
        run = begin(
            caller_waits=not background,
            stream=in_terminal and not background,
            asker=None if takes_clicks else ask_by_input,
            view=extension.view_maker(done, background=background, takes_clicks=takes_clicks),
        )
        return run, [done, *([reattached[1]] if reattached else [])]
    except BaseException:
        # It may have started, where an interrupt comes.
        turns.stop(but=before)
        done.cancel()
        raise


@contextmanager
def keep_result(shell: Any, run: Run | Comparison, arguments: Namespace | None = None) -> Iterator[None]:
    """However the waiting inside ends, the Turn, with `--bg` the Run, is kept as `_`, as Out[n] and in the
    variable of -o. It is shown already, so it is not the cell's value."""
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise TurnInterrupted from None
    finally:
        kept = run if arguments and arguments.bg else result_of(run)
        shell.displayhook.update_user_ns(kept)
        if arguments and arguments.out:
            shell.push({arguments.out: kept})


def block(extension: Extension, run: Run | Comparison, pending: list[Future[None]]) -> None:
    """Wait for the turn on the caller's thread; in a terminal, write the text as it comes."""
    is_main = threading.current_thread() is threading.main_thread()
    with ExitStack() as stack:
        try:
            if is_main:
                stack.enter_context(Interrupts().enabled())
            for text in run.text():
                # A typed answer is a table when it is whole.
                if run.output is None:
                    sys.stdout.write(strip_control_chars(text))
                    sys.stdout.flush()
        except BaseException:
            # Whoever reads the text stops the turn; an interrupt may come before there is a reader.
            run.stop()
            run.wait()
            raise
        finally:
            if not hasattr(extension.shell, "kernel") and isinstance(run, Run):
                from ..render.text import answer_text, below_text

                answer = "" if run.output is None else answer_text(run.turn)
                sys.stdout.write(f"{answer}\n{below_text(run.turn)}\n")
            try:
                loop.run_sync(lambda: wait_until_saved(extension, pending))
            except KeyboardInterrupt:
                # What stays of the turn is worth another moment.
                loop.run_sync(lambda: asyncio.wait_for(wait_until_saved(extension, pending), GRACE_SECONDS))
                raise
    raise_error(run)


async def wait_until_saved(extension: Extension, pending: list[Future[None]]) -> None:
    """What a cell waits for when its turn is over, so that nothing is lost with the kernel."""
    for each in pending:
        await asyncio.shield(asyncio.wrap_future(each))
    await extension.conversations.wait_until_stored()


def result_of(run: Run | Comparison) -> Turn | Turns:
    return run.turn if isinstance(run, Run) else run.turns


def raise_error(run: Run | Comparison) -> None:
    if run.turn.error is not None:
        raise run.turn.error
