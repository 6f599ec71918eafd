"""The user's yes or no to tool calls that ask. Whoever has the Run gives it (`run.approve`, `run.deny`: a
page's buttons, `%agent allow`); where nobody has, the user is asked by `input()`, or it is a no.

A yes is for the call that was shown, to the byte: it carries the call's digest, and where another call stands
under the same id by then it counts for nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from ..render import review
from ..text import shorten
from ..turn import ToolCall
from . import loop
from .function_call import ToolInterrupted

NO = "The user said no."
NOBODY = "Nobody can be asked here."
CHANGED = "The call was changed while the user was asked about it: call the tool again."

Asker = Callable[[ToolCall], bool]
"""Asks the user about a call, on the thread that waits for the turn. Raises NobodyToAskError."""


class NobodyToAskError(Exception):
    """There is no user who could be asked."""


class Approvals:
    """The answers of one turn; all on the loop's thread. `ask(call)` asks the user, where that is left to us,
    and `tell(line)` says a line to the user. `allowed` are the tools that may always run."""

    def __init__(
        self,
        allowed: set[str],
        ask: Callable[[ToolCall], Awaitable[bool]] | None,
        tell: Callable[[str], object],
    ) -> None:
        self._allowed, self._ask, self._tell = allowed, ask, tell
        self._answers: dict[tuple[str, str], asyncio.Future[str | None]] = {}
        """By the call's id and digest."""
        self._asked: dict[str, ToolCall] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.changed: set[str] = set()
        """Calls that took the place of another one which the user had been asked about."""
        self.shown: set[tuple[str, str]] = set()
        """Calls of which the user was shown all, by id and digest."""

    def of(self, call_id: str, digest: str) -> asyncio.Future[str | None]:
        """The answer to come: None for yes, else the message of the no."""
        answer = self._answer(call_id, digest)
        self._begin(call_id)
        return answer

    def asked(self, call: ToolCall) -> None:
        """The user has been shown the question."""
        self._asked[call.id] = call
        self._begin(call.id)

    def called(self, call_id: str, digest: str) -> None:
        """There is a call of this id from now on. What was said about another one is no answer to it."""
        if self._asked.pop(call_id, None) is not None:
            self.changed.add(call_id)
        for key in [key for key in self._answers if key[0] == call_id]:
            if self._answers[key].done():
                del self._answers[key]
            elif key[1] != digest:
                self.settle(*key, CHANGED)

    def allow(self, call_id: str, digest: str) -> bool:
        """Give a yes. Returns whether it counts: not where the user was shown another call, or none."""
        call = self._asked.get(call_id)
        if call is None or digest_of(call) != digest:
            return False
        self.settle(call_id, digest, None)
        return True

    def settle(self, call_id: str, digest: str, message: str | None) -> None:
        """Give the answer; a second one counts for nothing."""
        answer = self._answer(call_id, digest)
        if not answer.done():
            answer.set_result(message)

    def always(self, tool: str) -> bool:
        """Whether the user allowed the tool for the whole session."""
        return tool in self._allowed

    def allow_always(self, tool: str) -> None:
        """Ask no more about the tool in this session."""
        self._allowed.add(tool)

    def _answer(self, call_id: str, digest: str) -> asyncio.Future[str | None]:
        key = call_id, digest
        if key not in self._answers or self._answers[key].cancelled():
            self._answers[key] = loop.get().create_future()
        return self._answers[key]

    def _begin(self, call_id: str) -> None:
        call = self._asked.get(call_id)
        # Who decides by a callback shows the question too, and waits for no answer of ours.
        if self._ask is None or call is None:
            return
        key = call_id, digest_of(call)
        answer, task = self._answers.get(key), self._asking.get(key)
        if answer is None or answer.done() or (task is not None and not task.done()):
            return
        self._asking[key] = loop.get().create_task(self._decide(call, self._ask))

    async def _decide(self, call: ToolCall, ask: Callable[[ToolCall], Awaitable[bool]]) -> None:
        digest = digest_of(call)
        try:
            if await ask(call):
                self.allow(call.id, digest)
            else:
                self.settle(call.id, digest, NO)
        except NobodyToAskError:
            name = shorten(call.name, 60)
            self._tell(f"{name} was not run: nobody can be asked here. Allow it by its policy.")
            self.settle(call.id, digest, NOBODY)
        except ToolInterrupted:
            self.settle(call.id, digest, NO)
        except Exception as error:
            name = shorten(call.name, 60)
            self._tell(f"{name} was not run: asking failed ({type(error).__name__}).")
            self.settle(call.id, digest, NOBODY)


def digest_of(call: ToolCall) -> str:
    """What an answer to the question about `call` carries."""
    return review.digest(call.name, call.arguments)


def ask_by_input(call: ToolCall) -> bool:
    """Ask with `input()`: in a terminal, and in a notebook whose front end can answer a running cell. Raises
    NobodyToAskError."""
    ipython = sys.modules.get("IPython")
    in_kernel = ipython is not None and hasattr(ipython.get_ipython(), "kernel")
    in_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    if threading.current_thread() is not threading.main_thread() or not (in_kernel or in_terminal):
        raise NobodyToAskError
    counts = review.arguments(call.arguments).counts
    try:
        # The counts once more: of a long question only the end is in view.
        answer = input(f"{review.question(call.name, call.arguments)}\n{counts}. Allow it? [y/N] ")
    except (EOFError, NotImplementedError, OSError):
        raise NobodyToAskError from None
    return answer.strip().lower() in ("y", "yes")
