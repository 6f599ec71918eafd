"""The user's yes or no to tool calls that ask. Whoever has the Run gives it (`run.approve`, `run.deny`: a
page's buttons, `%agent allow`); where nobody has, the user is asked by `input()`, or it is a no.

A yes is for the call that was shown, to the byte: it carries the call's digest, and is ignored where another
call has the same id by then."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from ..events import ApprovalAsked, Event, ToolStarted
from ..render import review
from ..text import shorten
from ..turn import ToolCall, Turn
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
    """The answers of one turn, which `turn()` returns; used on the loop's thread unless stated otherwise.
    `ask(call)` asks the user, None where a page or a command does; `show(line)` shows the user a line.
    `allowed` are the tools that run without a question in this session."""

    def __init__(
        self,
        turn: Callable[[], Turn],
        allowed: set[str],
        ask: Callable[[ToolCall], Awaitable[bool]] | None,
        show: Callable[[str], object],
    ) -> None:
        self._turn, self._allowed, self._ask, self._show = turn, allowed, ask, show
        self._answers: dict[tuple[str, str], asyncio.Future[str | None]] = {}
        """By the call's id and digest."""
        self._asked: dict[str, ToolCall] = {}
        self._ask_tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._changed: set[str] = set()
        """Ids of calls that replaced another one which the user had been asked about."""
        self._shown: set[tuple[str, str]] = set()
        """The calls that the user was shown in full, by id and digest."""

    # From any thread

    def pop_changed(self, call_id: str) -> bool:
        """Whether the call replaced another one that the user was asked about. True once: the caller shows
        the new one."""
        is_changed = call_id in self._changed
        self._changed.discard(call_id)
        return is_changed

    def mark_shown(self, call: ToolCall) -> None:
        """Note that the whole question about `call` is where the user answers by a command."""
        self._shown.add((call.id, digest_of(call)))

    def is_shown(self, call: ToolCall) -> bool:
        """Whether `mark_shown` was called for this very call."""
        return (call.id, digest_of(call)) in self._shown

    # On the loop's thread

    def decision(self, call_id: str, digest: str = "") -> asyncio.Future[str | None]:
        """The user's answer, once it is given: None for yes, else the reason for the no. Without a digest it
        is about the call as the turn has it now."""
        answer = self._answer(call_id, digest or self._digest(call_id))
        self._start_asking(call_id)
        return answer

    def note(self, event: Event) -> None:
        """Take an event of the turn: a call that replaces another of its id, or one that the user is asked
        about."""
        match event:
            case ToolStarted():
                self._drop_stale_answers(event.call_id)
            case ApprovalAsked():
                for call in self._turn().waiting:
                    self._asked[call.id] = call
                    self._start_asking(call.id)

    def _drop_stale_answers(self, call_id: str) -> None:
        """Forget what was answered to another call of this id, which a new one has replaced."""
        if self._asked.pop(call_id, None) is not None:
            self._changed.add(call_id)
        for key in [key for key in self._answers if key[0] == call_id]:
            if self._answers[key].done():
                del self._answers[key]
            elif key[1] != self._digest(call_id):
                self._resolve(*key, CHANGED)

    def auto_answer(self, event: ApprovalAsked) -> bool:
        """Answer where nobody has to be asked about the call, or it cannot be shown, and return whether that
        was so."""
        call = self._call(event.call_id)
        if call is None:
            return False
        digest = digest_of(call)
        if event.digest and event.digest != digest:
            self._resolve(call.id, event.digest, CHANGED)
        elif call.name in self._allowed:
            self._resolve(call.id, digest, None)
        elif not review.can_be_shown(call.name, call.arguments):
            self._show(f"{shorten(call.name, 60)} was not run: its arguments are too long to be shown.")
            self._resolve(call.id, digest, review.TOO_LONG)
        else:
            return False
        return True

    def approve(self, call_id: str, digest: str, for_session: bool = False) -> None:
        """Give a yes. It is ignored where the user was shown another call, or none."""
        call = self._asked.get(call_id)
        if call is None or digest_of(call) != digest:
            return
        self._resolve(call_id, digest, None)
        if for_session:
            self._allowed.add(call.name)
            for other in self._turn().waiting:
                if other.name == call.name:
                    self.approve(other.id, digest_of(other))

    def deny(self, call_id: str, message: str) -> None:
        """Give a no to the call as the turn has it now."""
        self._resolve(call_id, self._digest(call_id), message)

    def _resolve(self, call_id: str, digest: str, message: str | None) -> None:
        """Set the answer; a second one is ignored."""
        answer = self._answer(call_id, digest)
        if not answer.done():
            answer.set_result(message)

    def _call(self, call_id: str) -> ToolCall | None:
        return next((call for call in self._turn().tools if call.id == call_id), None)

    def _digest(self, call_id: str) -> str:
        call = self._call(call_id)
        return digest_of(call) if call else ""

    def _answer(self, call_id: str, digest: str) -> asyncio.Future[str | None]:
        key = call_id, digest
        if key not in self._answers or self._answers[key].cancelled():
            self._answers[key] = loop.get().create_future()
        return self._answers[key]

    def _start_asking(self, call_id: str) -> None:
        call = self._asked.get(call_id)
        # A callback that decides shows the question too, and waits for no answer from here.
        if self._ask is None or call is None:
            return
        key = call_id, digest_of(call)
        answer, task = self._answers.get(key), self._ask_tasks.get(key)
        if answer is None or answer.done() or (task is not None and not task.done()):
            return
        self._ask_tasks[key] = loop.get().create_task(self._ask_user(call, self._ask))

    async def _ask_user(self, call: ToolCall, ask: Callable[[ToolCall], Awaitable[bool]]) -> None:
        digest, name = digest_of(call), shorten(call.name, 60)
        try:
            if await ask(call):
                self.approve(call.id, digest)
                return
            message = NO
        except NobodyToAskError:
            self._show(f"{name} was not run: nobody can be asked here. Allow it by its policy.")
            message = NOBODY
        except ToolInterrupted:
            message = NO
        except Exception as error:
            self._show(f"{name} was not run: asking failed ({type(error).__name__}).")
            message = NOBODY
        self._resolve(call.id, digest, message)


def digest_of(call: ToolCall) -> str:
    """The digest that an answer about `call` carries."""
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
