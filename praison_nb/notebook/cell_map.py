"""A map over rows in a cell: `%%agent --rows`, and `praison_nb.map(…)` in code."""

from __future__ import annotations

import asyncio
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, PraisonError
from ..metering.tags import parse_all
from ..runtime import loop
from ..runtime.main_thread import Interrupts
from .arguments import named_agents, unquoted
from .cell_comparison import backend_of
from .cell_turn import GRACE_SECONDS, TurnInterrupted
from .expressions import evaluate, type_named
from .extension import Extension, shows_late_output
from .fill import fill, fill_options

if TYPE_CHECKING:
    from ..rows.mapping import MapRun

NOT_OF_A_MAP = ("session", "new", "outcome", "raw")


def run_map(extension: Extension, arguments: Namespace, cell: str) -> Any:
    """Start the map, block until it is over, and return the frame; with `--bg` the MapRun, at once where
    somebody reads on. Raises what made all rows fail, TurnInterrupted and ConfigError."""
    loop.refuse_to_wait()
    background = arguments.bg and shows_late_output(extension.shell)
    run, done = _begin(extension, arguments, cell, background=background, blocks=True)
    with _kept(extension.shell, run, arguments):
        if not background:
            with ExitStack() as stack:
                if threading.current_thread() is threading.main_thread():
                    stack.enter_context(Interrupts().enabled())
                try:
                    run.wait()
                    loop.run_sync(lambda: _wait_for(done))
                except KeyboardInterrupt:
                    loop.run_sync(lambda: _wait_for(done, GRACE_SECONDS))
                    raise
    return run if arguments.bg else run.result()


async def run_map_cell(extension: Extension, arguments: Namespace, cell: str) -> None:
    """`run_map` for a cell that awaits, whose value it is not: it shows the frame already."""
    background = arguments.bg and shows_late_output(extension.shell)
    run, done = _begin(extension, arguments, cell, background=background, blocks=False)
    with _kept(extension.shell, run, arguments):
        if not background:
            try:
                await run
            finally:
                await _wait_for(done)


def show_map(
    extension: Extension,
    run: MapRun,
    *,
    background: bool = False,
    blocks: bool = True,
    notes: Iterable[str] = (),
    keep: Callable[[Any], object] = lambda frame: None,
) -> Future[None]:
    """Show the map in the cell that runs now; the future is done when what stays of it is there. In a
    terminal that is a line, and the first rows. `notes` and `keep` are as `MapSubject` has them."""
    from .views.map import MapSubject

    done = extension.new_shown_future()
    extension.maps.append((run, done))
    subject = MapSubject(run, notes, keep)
    if not hasattr(extension.shell, "kernel"):
        subject.show(lambda: _write(subject, done))
        return done
    takes_clicks = background or (not blocks and extension.takes_clicks())
    subject.show(extension.output_of(subject, done, background=background, takes_clicks=takes_clicks))
    return done


def _begin(
    extension: Extension, arguments: Namespace, cell: str, *, background: bool, blocks: bool
) -> tuple[MapRun, Future[None]]:
    from ..rows import api
    from ..rows.table import Table

    shell, defaults = extension.shell, extension.magics
    for name in NOT_OF_A_MAP:
        if getattr(arguments, name):
            raise ConfigError(f"--{name} is of one turn: leave it out, or --rows.")
    frame = evaluate("--rows", arguments.rows, shell.user_ns)
    # A column wins over a variable of its name: such a variable is none of the user's here.
    columns = dict.fromkeys(map(str, Table(frame).columns))
    prompt, notes = fill(cell, {**shell.user_ns, **columns}, {**shell.user_ns_hidden, **columns})
    for name in columns:
        if prompt.count(f"{{{name}}}") > cell.count(f"{{{name}}}"):
            raise ConfigError(
                f"The value of a variable has {{{name}}} in it, which is a column: rename that."
            )
    fill_options(arguments, ("system", "model", "backend", "effort"), shell)
    agents = named_agents(arguments)
    if agents == [(None, None)]:
        agents = [(defaults.backend or None, defaults.model or None)]
    run = api.begin(
        frame,
        prompt.strip(),
        agent=[backend_of(extension, arguments, *each) for each in agents],
        output=type_named(arguments.answer_type, shell.user_ns),
        budget=arguments.budget,
        tags=parse_all(fill(str(unquoted(each)), shell.user_ns)[0] for each in arguments.tag or ()),
        parallel_tools=background,
    )

    def keep(frame: Any) -> None:
        if background and arguments.out and shell.user_ns.get(arguments.out) is run:
            shell.push({arguments.out: frame})

    return run, show_map(extension, run, background=background, blocks=blocks, notes=notes, keep=keep)


@contextmanager
def _kept(shell: Any, run: MapRun, arguments: Namespace) -> Iterator[None]:
    """However the waiting inside ends, the frame is kept as `_`, as Out[n] and in the variable of -o; with
    `--bg` the MapRun is, and in the variable the frame when there is one."""
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise TurnInterrupted from None
    finally:
        name = arguments.out
        if arguments.bg:
            _keep(shell, run, name)
        if not arguments.bg or (name and run.progress.ended):
            # The cell says why there is no frame.
            with suppress(PraisonError):
                _keep(shell, run.result(), name)


def _keep(shell: Any, value: Any, name: str | None) -> None:
    shell.displayhook.update_user_ns(value)
    if name:
        shell.push({name: value})


async def _wait_for(done: Future[None], seconds: float | None = None) -> None:
    """What a cell waits for when its map is over: that what stays is in place."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), seconds)


def _write(subject: Any, done: Future[None]) -> None:
    now = subject.now()
    if now.is_over:
        parts = (now.answer()["text/plain"], now.below(background=False)["text/plain"])
        sys.stdout.write("\n".join(filter(None, parts)) + "\n")
        done.set_result(None)
