"""The user's yes or no to tool calls that ask. Whoever has the Run gives it (`run.approve`, `run.deny`: a
page's buttons, `%agent allow`); where nobody has, the user is asked by `input()`, or it is a no."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from . import loop, plain, render
from .lend import ToolInterrupted
from .turn import ToolCall

NO = "The user said no."
NOBODY = "Nobody can be asked here."

Asker = Callable[[ToolCall], bool]
"""Asks the user about a call, on the thread that waits for the turn. Raises NobodyToAskError."""


class NobodyToAskError(Exception):
    """There is no user who could be asked."""


class Verdicts:
    """The answers of one turn; all on the loop's thread. `ask(call)` asks the user, where that is left to us,
    and `tell(line)` says a line to the user. `allowed` are the tools that may always run."""

    def __init__(
        self,
        allowed: set[str],
        ask: Callable[[ToolCall], Awaitable[bool]] | None,
        tell: Callable[[str], object],
    ) -> None:
        self._allowed, self._ask, self._tell = allowed, ask, tell
        self._answers: dict[str, asyncio.Future[str | None]] = {}
        self._asked: dict[str, ToolCall] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def of(self, call_id: str) -> asyncio.Future[str | None]:
        """The answer to come: None for yes, else the message of the no."""
        answer = self._answers.setdefault(call_id, loop.get().create_future())
        self._begin(call_id)
        return answer

    def asked(self, call: ToolCall) -> None:
        """The user has been shown the question."""
        self._asked[call.id] = call
        self._begin(call.id)

    def answer(self, call_id: str, message: str | None) -> None:
        """Give the answer; a second one counts for nothing."""
        answer = self._answers.setdefault(call_id, loop.get().create_future())
        if not answer.done():
            answer.set_result(message)

    def always(self, tool: str) -> bool:
        """Whether the user allowed the tool for the whole session."""
        return tool in self._allowed

    def allow_always(self, tool: str) -> None:
        """Ask no more about the tool in this session."""
        self._allowed.add(tool)

    def _begin(self, call_id: str) -> None:
        call, answer = self._asked.get(call_id), self._answers.get(call_id)
        # Who decides by a callback shows the question too, and waits for no answer of ours.
        if self._ask is None or call is None or answer is None or answer.done() or call_id in self._asking:
            return
        self._asking[call_id] = loop.get().create_task(self._decide(call, self._ask))

    async def _decide(self, call: ToolCall, ask: Callable[[ToolCall], Awaitable[bool]]) -> None:
        try:
            self.answer(call.id, None if await ask(call) else NO)
        except NobodyToAskError:
            name = plain.short(call.name, 60)
            self._tell(f"{name} was not run: nobody can be asked here. Allow it by its policy.")
            self.answer(call.id, NOBODY)
        except ToolInterrupted:
            self.answer(call.id, NO)
        except Exception as error:
            name = plain.short(call.name, 60)
            self._tell(f"{name} was not run: asking failed ({type(error).__name__}).")
            self.answer(call.id, NOBODY)


def ask_by_input(call: ToolCall) -> bool:
    """Ask with `input()`: in a terminal, and in a notebook whose front end can answer a running cell. Raises
    NobodyToAskError."""
    ipython = sys.modules.get("IPython")
    in_kernel = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    in_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if threading.current_thread() is not threading.main_thread() or not (in_kernel or in_terminal):
        raise NobodyToAskError
    question = plain.exact(f"{call.name} wants to run: {render.arguments(call, indent=2)}")
    try:
        answer = input(f"{question}\nAllow it? [y/N] ")
    except (EOFError, NotImplementedError, OSError):
        raise NobodyToAskError from None
    return answer.strip().lower() in ("y", "yes")
