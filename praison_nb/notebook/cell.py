"""A cell with `%%agent`: it starts a turn, shows it, and waits for it.

There are two ways to wait. A cell that `%%agent` begins awaits, and the kernel stays alive. Whoever calls the
magic in code of their own, in a loop, a function or a callback, has their thread blocked and gets the Turn.
"""

from __future__ import annotations

import functools
from argparse import Namespace
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from ..backends.answer import validate_prompt
from ..content import Attachment, attach_all
from ..errors import ConfigError
from ..metering.tags import parse_all
from ..money import parse_usd
from ..runtime import loop
from ..runtime.run import Run
from .arguments import named_agents, unquoted
from .cell_turn import block, keep_result, raise_error, result_of, start, wait_until_saved
from .commands.tools import tools_named
from .expressions import type_named
from .extension import Extension, shows_late_output
from .fill import fill, fill_options

if TYPE_CHECKING:
    from ..rows.compare import Comparison


def run_magic(extension: Extension, arguments: Namespace, cell: str) -> Any:
    """Start the turn, block until it is over, and return it, of several models their Turns; with `--bg` the
    Run, at once where somebody reads on. With `--rows` it is a map. Raises the turn's error, TurnInterrupted,
    and ConfigError where blocking stops all turns."""
    if arguments.rows:
        from .cell_map import run_map

        return run_map(extension, arguments, cell)
    loop.refuse_to_wait()
    background = arguments.bg and shows_late_output(extension.shell)
    run, pending = _begin(extension, arguments, cell, background=background, blocks=True)
    with keep_result(extension.shell, run, arguments):
        if not background:
            block(extension, run, pending)
    return run if arguments.bg else result_of(run)


async def run_cell(extension: Extension, arguments: Namespace, cell: str) -> None:
    """`run_magic` for a cell that awaits, whose value it is not: it shows the turn already."""
    if arguments.rows:
        from .cell_map import run_map_cell

        await run_map_cell(extension, arguments, cell)
        return
    background = arguments.bg and shows_late_output(extension.shell)
    run, pending = _begin(extension, arguments, cell, background=background, blocks=False)
    with keep_result(extension.shell, run, arguments):
        if not background:
            try:
                await run
            finally:
                await wait_until_saved(extension, pending)
            raise_error(run)


def _begin(
    extension: Extension, arguments: Namespace, cell: str, *, background: bool, blocks: bool
) -> tuple[Run | Comparison, list[Future[None]]]:
    """Start the turn and show it; the futures are done when what stays of it is in the cell. Whatever may
    be refused is looked at before anything is changed. With `background` the turn goes on when its cell has
    ended; else the cell waits for it, and no click arrives if it `blocks`."""
    shell, defaults, conversations = extension.shell, extension.magics, extension.conversations
    prompt, notes, attachments = cell, list[str](), list[Attachment]()
    if not arguments.raw:
        prompt, notes = fill(cell, shell.user_ns, shell.user_ns_hidden, attachments)
        options = ("system", "session", "model", "backend", "effort", "outcome")
        notes += fill_options(arguments, options, shell)
    prompt = validate_prompt(prompt).strip()
    attach_all(prompt, attachments)
    tags = parse_all(_filled(str(unquoted(each)), arguments, shell) for each in arguments.tag or ())
    budget = None if arguments.budget is None else parse_usd(arguments.budget, "--budget")
    if budget == 0:
        raise ConfigError("--budget must be more than $0.")
    output = type_named(arguments.answer_type, shell.user_ns)
    session = unquoted(arguments.session)
    if len(agents := named_agents(arguments)) > 1:
        from .cell_comparison import start_comparison

        sent = {"notices": tuple(notes), "budget": budget, "attachments": attachments, "tags": tags}
        sent["output"] = output
        return start_comparison(extension, arguments, agents, prompt, blocks=blocks, **sent)
    ((arguments.backend, arguments.model),) = agents
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
    begin = functools.partial(
        conversations.begin,
        conversation,
        prompt,
        notices=tuple(notes),
        budget=budget,
        attachments=attachments,
        tags=tags,
        rubric=unquoted(arguments.outcome) or None,
        output=output,
    )
    return start(extension, conversation, begin, background=background, blocks=blocks)


def _filled(text: str, arguments: Namespace, shell: Any) -> str:
    return text if arguments.raw else fill(text, shell.user_ns, shell.user_ns_hidden)[0]
